//! The chat template, from the four places where a checkpoint may keep it.

use super::{
    Error,
    read::{read_json, read_text},
};
use crate::checkpoint;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A checkpoint's chat template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatTemplate {
    /// A single template.
    One(String),
    /// Several templates by name, such as `default` and `tool_use`, in the order they were found.
    Named(Vec<(String, String)>),
}

impl ChatTemplate {
    /// Every template's text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (one, named) = match self {
            ChatTemplate::One(text) => (Some(text.as_str()), &[][..]),
            ChatTemplate::Named(list) => (None, list.as_slice()),
        };
        one.into_iter().chain(named.iter().map(|(_, text)| text.as_str()))
    }
}

/// The chat template of a checkpoint.
pub(super) struct Found {
    /// The template; `None` if there is none.
    pub(super) template: Option<ChatTemplate>,
    /// A warning if two files have different ones.
    pub(super) warning: Option<String>,
}

/// Finds the chat template of the checkpoint in `dir`, whose `tokenizer_config.json` is `config`.
///
/// `chat_template.jinja` comes first, with `additional_chat_templates/*.jinja` beside it; then
/// `tokenizer_config.json`, even if its value is `null`; then `chat_template.json`. This is the order of transformers
/// (4.57.6 and 5.24.0, `PreTrainedTokenizerBase._from_pretrained`). llama.cpp's converter prefers the configuration,
/// which is that of the base model where a trained model has both.
pub(super) fn find(dir: &Path, config: &Map<String, Value>) -> Result<Found, checkpoint::Error> {
    let set = config.get("chat_template");
    let configured = || match set {
        Some(value) => parse(value).map_err(|e| e.in_file(&dir.join("tokenizer_config.json"))),
        None => Ok(None),
    };
    if let Some(text) = read_text(&dir.join("chat_template.jinja"))? {
        // What is overridden is compared if it can be, and need not be right.
        let other = configured().unwrap_or_default();
        let template = beside_default(&dir.join("additional_chat_templates"), text)?;
        return Ok(match other {
            None => Found { template: Some(template), warning: None },
            Some(other) if is_same(&other, &template) => Found { template: Some(other), warning: None },
            Some(_) => Found { template: Some(template), warning: Some(differ(dir)) },
        });
    }
    if set.is_some() {
        return Ok(Found { template: configured()?, warning: None });
    }
    let path = dir.join("chat_template.json");
    let template = match read_json(&path)?.as_ref().and_then(|file| file.get("chat_template")) {
        Some(value) => parse(value).map_err(|e| e.in_file(&path))?,
        None => None,
    };
    Ok(Found { template, warning: None })
}

fn differ(dir: &Path) -> String {
    format!(
        "{}: chat_template.jinja and tokenizer_config.json have different chat templates; the file gets that of \
         chat_template.jinja, as transformers loads it",
        dir.display()
    )
}

/// True if two templates render the same whatever the line ends of their files: Jinja leaves out the last one.
fn is_same(a: &ChatTemplate, b: &ChatTemplate) -> bool {
    let text = |text: &str| {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.strip_suffix('\n').map_or(text.clone(), str::to_owned)
    };
    let named = |template: &ChatTemplate| -> Vec<(String, String)> {
        match template {
            ChatTemplate::One(one) => vec![("default".to_owned(), text(one))],
            ChatTemplate::Named(list) => {
                let mut list: Vec<_> = list.iter().map(|(name, one)| (name.clone(), text(one))).collect();
                list.sort();
                list
            }
        }
    };
    named(a) == named(b)
}

fn parse(value: &Value) -> Result<Option<ChatTemplate>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(ChatTemplate::One(text.clone()))),
        Value::Array(list) => {
            let named = list.iter().map(named).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(ChatTemplate::Named(named)))
        }
        _ => Err(Error::ChatTemplate),
    }
}

fn named(entry: &Value) -> Result<(String, String), Error> {
    let text = |key| entry.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(Error::ChatTemplate);
    Ok((text("name")?, text("template")?))
}

/// The template of `chat_template.jinja` and the additional ones, sorted by name, since the order of a
/// directory listing differs between machines.
fn beside_default(folder: &Path, default: String) -> Result<ChatTemplate, checkpoint::Error> {
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jinja"));
    paths.sort();
    if paths.is_empty() {
        return Ok(ChatTemplate::One(default));
    }
    let mut list = vec![("default".to_owned(), default)];
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(text) = read_text(&path)? {
            list.push((name, text));
        }
    }
    Ok(ChatTemplate::Named(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(config: Value, files: &[(&str, &str)]) -> Option<ChatTemplate> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        find(dir.path(), config.as_object().unwrap()).unwrap().template
    }

    fn default_text(template: &ChatTemplate) -> Option<&str> {
        let ChatTemplate::Named(list) = template else { panic!("one template: {template:?}") };
        list.iter().find(|(name, _)| name == "default").map(|(_, text)| text.as_str())
    }

    fn one(text: &str) -> Option<ChatTemplate> {
        Some(ChatTemplate::One(text.to_owned()))
    }

    #[test]
    fn the_jinja_file_comes_first_as_transformers_loads_it() {
        let files = [("chat_template.jinja", "J"), ("chat_template.json", r#"{"chat_template": "JSON"}"#)];
        assert_eq!(found(json!({"chat_template": "C"}), &files), one("J"));
        assert_eq!(found(json!({"chat_template": null}), &files), one("J"));
        assert_eq!(found(json!({"chat_template": 5}), &files), one("J"));
        assert_eq!(found(json!({"chat_template": "C"}), &files[1..]), one("C"));
        assert_eq!(found(json!({"chat_template": null}), &files[1..]), None);
        assert_eq!(found(json!({}), &files), one("J"));
        assert_eq!(found(json!({}), &files[1..]), one("JSON"));
        assert_eq!(found(json!({}), &[]), None);
    }

    #[test]
    fn two_templates_that_differ_are_told_and_a_line_end_is_no_difference() {
        let warning = |config: Value| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("chat_template.jinja"), "J\n").unwrap();
            find(dir.path(), config.as_object().unwrap()).unwrap().warning
        };
        assert_eq!(warning(json!({})), None);
        assert_eq!(warning(json!({"chat_template": null})), None);
        assert_eq!(warning(json!({"chat_template": "J"})), None);
        assert_eq!(warning(json!({"chat_template": [{"name": "default", "template": "J\r\n"}]})), None);
        assert!(
            warning(json!({"chat_template": "C"}))
                .unwrap()
                .contains("the file gets that of chat_template.jinja")
        );
        let more = json!([{"name": "default", "template": "J"}, {"name": "tool_use", "template": "T"}]);
        assert!(warning(json!({"chat_template": more})).is_some());
    }

    #[test]
    fn line_ends_are_pythons() {
        assert_eq!(found(json!({}), &[("chat_template.jinja", "a\r\nb\rc\n")]), one("a\nb\nc\n"));
    }

    #[test]
    fn neighbours_of_the_jinja_file_are_named_after_their_files() {
        let files = [
            ("chat_template.jinja", "J"),
            ("additional_chat_templates/rag.jinja", "R"),
            ("additional_chat_templates/a-b.jinja", "A"),
            ("additional_chat_templates/notes.txt", "N"),
        ];
        let template = found(json!({}), &files).unwrap();
        assert_eq!(default_text(&template), Some("J"));
        assert_eq!(template.texts().collect::<Vec<_>>(), ["J", "A", "R"]);
    }

    #[test]
    fn a_list_is_read_by_name_and_anything_else_refused() {
        let list = json!([{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]);
        let template = found(json!({"chat_template": list}), &[]).unwrap();
        assert_eq!(default_text(&template), Some("D"));
        for bad in [json!(5), json!([{"name": "default"}]), json!([1]), json!({"default": "D"})] {
            let error = parse(&bad).unwrap_err();
            assert_eq!(error.to_string(), "`chat_template` is neither text nor a list of {name, template}");
        }
    }
}
