//! The study of a chat template, kept in the cache.

use super::Result;
use crate::{
    cache::Cache,
    dialect::{Study, derive::REVISION},
};
use std::sync::Arc;

/// The study of `template`: the one that this process has made before, or an earlier one has left in `cache`; otherwise it is
/// made and kept there.
///
/// # Errors
/// As [`Study::new`]; failures of the cache are none.
pub(super) fn study(template: &str, cache: Option<&Cache>) -> Result<Arc<Study>> {
    let make = || {
        let Some(cache) = cache else { return Study::new(template) };
        let key = Cache::derivation_key(template, &format!("{} {REVISION}", env!("CARGO_PKG_VERSION")));
        let kept = cache.derivation(&key);
        if let Some(study) = kept.and_then(|json| serde_json::from_str(&json).ok()) {
            return Ok(study);
        }
        let study = Study::new(template)?;
        if let Ok(json) = serde_json::to_string(&study) {
            cache.keep_derivation(&key, &json);
        }
        Ok(study)
    };
    Ok(Study::remembered(template, make)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const TEMPLATE: &str = "\
        {%- if tools %}<|sys|>{{ tools | tojson }}<|end|>\n{% endif %}\
        {%- for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{%- for c in m.tool_calls %}<call>\
        {{ c.function.name }} {{ c.function.arguments | tojson }}</call>{% endfor %}<|end|>\n{% endfor %}\
        {%- if add_generation_prompt %}<|assistant|>\n{% endif %}";

    #[test]
    fn a_study_is_kept_and_read_and_made_again_where_what_is_kept_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        // Other templates each time: a process remembers its own.
        let template = |n: usize| format!("{{# {n} #}}{TEMPLATE}");
        let made = study(&template(0), Some(&cache)).unwrap();
        assert_eq!(made.shown().derived.as_ref().unwrap().dialect.first.len(), 3);
        let stored = || cache.list(true).unwrap().files;
        assert_eq!(stored().len(), 1);

        let version = format!("{} {REVISION}", env!("CARGO_PKG_VERSION"));
        let key = Cache::derivation_key(&template(1), &version);
        let json = serde_json::to_string(&*made).unwrap();
        cache.keep_derivation(&key, &json.replace("<call>", "<kept>"));
        let kept = serde_json::to_string(&*study(&template(1), Some(&cache)).unwrap()).unwrap();
        assert!(kept.contains("<kept>") && !kept.contains("<call>"), "{kept}");

        let key = Cache::derivation_key(&template(2), &version);
        cache.keep_derivation(&key, "{\"shown\":null}");
        study(&template(2), Some(&cache)).unwrap();
        assert_eq!(cache.derivation(&key).unwrap(), json);

        fs::remove_dir_all(cache.path()).unwrap();
        study(&template(3), None).unwrap();
        assert!(stored().is_empty() && !cache.path().exists());
        assert!(study("{% if %}", Some(&cache)).is_err());
        assert!(stored().is_empty(), "what is no template leaves nothing");
    }
}
