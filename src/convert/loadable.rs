//! Checks that calls make when they load a file, made on its plan: a file that they refuse is not written.

use super::Error;
use crate::{
    chat::{Template, select_template},
    checkpoint::tokenizer::ChatTemplate,
    display,
    gguf::{Gguf, Header},
    guard::{self, Trust},
};

/// Fields of `config.json` by the keys that are made of them, without the architecture's name.
const CONFIG_FIELDS: [(&str, &str); 9] = [
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("rope.freq_base", "rope_theta"),
];

/// Checks the keys and tensors of a planned file.
///
/// # Errors
/// [`Error::Unloadable`].
pub(super) fn check_header(header: &Header) -> Result<(), Error> {
    let gguf = Gguf::from(header);
    match guard::check_model(&gguf, &gguf.tensors, Trust::Checked) {
        // The token check names it, and may be left out on purpose.
        Err(guard::Error::Key { key, .. }) if key.ends_with("_token_id") => Ok(()),
        checked => checked.map_err(|source| Error::Unloadable { place: place(&source), source }),
    }
}

/// The place in the checkpoint that the error comes from.
fn place(error: &guard::Error) -> String {
    let key = match error {
        guard::Error::MissingKey { key, .. }
        | guard::Error::Key { key, .. }
        | guard::Error::Element { key, .. } => key,
        guard::Error::DuplicateToken { .. } => return "the vocabulary in tokenizer.json".to_owned(),
        _ => return "config.json".to_owned(),
    };
    if let Some(name) = key.strip_prefix("tokenizer.ggml.") {
        return match name.strip_suffix("_token_id") {
            Some(kind) => {
                let kind = match kind {
                    "padding" => "pad",
                    "unknown" => "unk",
                    "seperator" => "sep",
                    kind => kind,
                };
                format!("`{kind}_token_id` in config.json")
            }
            None => format!("`{name}` in tokenizer.json"),
        };
    }
    let name = key.split_once('.').map_or(key.as_str(), |(_, name)| name);
    match CONFIG_FIELDS.iter().find(|(key, _)| *key == name) {
        Some((_, field)) => format!("`{field}` in config.json"),
        None if name.starts_with("rope.") => "`rope_scaling` in config.json".to_owned(),
        None => "config.json".to_owned(),
    }
}

/// Checks the templates that calls may take. Returns warnings about the others.
///
/// # Errors
/// [`Error::Template`].
pub(super) fn check_templates(template: Option<&ChatTemplate>) -> Result<Vec<String>, Error> {
    let list: Vec<(&str, &str)> = match template {
        None => return Ok(Vec::new()),
        Some(ChatTemplate::One(one)) => vec![("default", one)],
        Some(ChatTemplate::Named(list)) => {
            list.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
        }
    };
    let parse = |text: &str| Template::new(text).map(drop);
    let taken = [true, false].map(|has_tools| select_template(&list, has_tools));
    for text in taken.iter().flatten() {
        parse(text).map_err(|source| Error::Template { source })?;
    }
    let mut warnings = Vec::new();
    if let [Err(source), Err(_)] = &taken {
        warnings.push(format!("calls cannot choose a chat template: {source}"));
    }
    for (name, text) in &list {
        if !taken.iter().flatten().any(|taken| taken == text)
            && let Err(error) = parse(text)
        {
            warnings.push(format!("the chat template `{name}` cannot be used: {}", display::chain(&error)));
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Value;

    fn key(key: &str) -> guard::Error {
        guard::Error::Key { key: key.into(), found: "x".into(), expected: "y".into() }
    }

    #[test]
    fn an_error_names_the_field_of_the_checkpoint() {
        for (name, expected) in [
            ("x.attention.layer_norm_rms_epsilon", "`rms_norm_eps` in config.json"),
            ("x.context_length", "`max_position_embeddings` in config.json"),
            ("x.rope.scaling.factor", "`rope_scaling` in config.json"),
            ("tokenizer.ggml.padding_token_id", "`pad_token_id` in config.json"),
            ("tokenizer.ggml.merges", "`merges` in tokenizer.json"),
            ("x.other", "config.json"),
        ] {
            assert_eq!(place(&key(name)), expected);
        }
    }

    #[test]
    fn a_header_that_no_call_loads_is_refused() {
        let header = Header::new(vec![("general.architecture".into(), Value::String("none".into()))]);
        assert!(matches!(check_header(&header), Err(Error::Unloadable { .. })));
    }

    #[test]
    fn templates_that_do_not_parse_are_refused_or_told_if_calls_do_not_take_them() {
        let one = |text: &str| check_templates(Some(&ChatTemplate::One(text.to_owned())));
        assert!(one("{{ messages }}").unwrap().is_empty());
        for bad in ["{% for m in messages %}", "{{ 1 + }}", "{% nonsense %}"] {
            assert!(matches!(one(bad), Err(Error::Template { .. })), "{bad}");
        }
        let named = |list: &[(&str, &str)]| {
            let list = list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            check_templates(Some(&ChatTemplate::Named(list)))
        };
        assert!(named(&[("default", "a"), ("tool_use", "{{")]).is_err());
        let told = named(&[("default", "a"), ("rag", "{{ 1 + }}")]).unwrap();
        assert!(told[0].starts_with("the chat template `rag` cannot be used: "), "{told:?}");
        assert!(named(&[("x", "a"), ("y", "b")]).unwrap()[0].starts_with("calls cannot choose"));
    }
}
