//! The chat template, from the four places where a checkpoint may keep it.

use super::{Error, read_json, read_text};
use crate::checkpoint;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A checkpoint's chat template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatTemplate {
    /// The only one.
    One(String),
    /// Several by name, such as `default` and `tool_use`, in the order they were found.
    Named(Vec<(String, String)>),
}

impl ChatTemplate {
    /// The template that is used when none is asked for by name.
    pub fn default_text(&self) -> Option<&str> {
        match self {
            ChatTemplate::One(text) => Some(text),
            ChatTemplate::Named(list) => {
                list.iter().find(|(name, _)| name == "default").map(|(_, text)| text.as_str())
            }
        }
    }

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
/// `tokenizer_config.json` comes first, even where it says `null`; then `chat_template.jinja`, with
/// `additional_chat_templates/*.jinja` beside it; then `chat_template.json`. That is the order of
/// llama.cpp's converter, not of transformers, where the `.jinja` file comes first.
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

/// The template of `chat_template.jinja` and its named neighbours, sorted by name: a folder has no order
/// of its own that another machine would share.
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
