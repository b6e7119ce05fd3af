//! The chat template, from the four places where a checkpoint may keep it.

use super::{Error, read_json, read_text};
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

/// Finds the chat template of the checkpoint in `dir`, whose `tokenizer_config.json` is `config`.
///
/// `tokenizer_config.json` comes first, even if its value is `null`; then `chat_template.jinja`, with
/// `additional_chat_templates/*.jinja` beside it; then `chat_template.json`. This is the order of llama.cpp's
/// converter. transformers prefers the `.jinja` file.
pub(super) fn find(
    dir: &Path,
    config: &Map<String, Value>,
) -> Result<Option<ChatTemplate>, checkpoint::Error> {
    if let Some(value) = config.get("chat_template") {
        return parse(value).map_err(|e| e.in_file(&dir.join("tokenizer_config.json")));
    }
    if let Some(text) = read_text(&dir.join("chat_template.jinja"))? {
        return beside_default(&dir.join("additional_chat_templates"), text).map(Some);
    }
    let path = dir.join("chat_template.json");
    match read_json(&path)? {
        Some(file) => match file.get("chat_template") {
            Some(value) => parse(value).map_err(|e| e.in_file(&path)),
            None => Ok(None),
        },
        None => Ok(None),
    }
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
        find(dir.path(), config.as_object().unwrap()).unwrap()
    }

    fn default_text(template: &ChatTemplate) -> Option<&str> {
        let ChatTemplate::Named(list) = template else { panic!("one template: {template:?}") };
        list.iter().find(|(name, _)| name == "default").map(|(_, text)| text.as_str())
    }

    fn one(text: &str) -> Option<ChatTemplate> {
        Some(ChatTemplate::One(text.to_owned()))
    }

    #[test]
    fn the_configuration_comes_before_the_files_even_with_null() {
        let files = [("chat_template.jinja", "J"), ("chat_template.json", r#"{"chat_template": "JSON"}"#)];
        assert_eq!(found(json!({"chat_template": "C"}), &files), one("C"));
        assert_eq!(found(json!({"chat_template": null}), &files), None);
        assert_eq!(found(json!({}), &files), one("J"));
        assert_eq!(found(json!({}), &files[1..]), one("JSON"));
        assert_eq!(found(json!({}), &[]), None);
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
