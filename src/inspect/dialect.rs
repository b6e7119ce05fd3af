//! The tool-call format of a model.

use super::Error;
use crate::{
    chat::select_template,
    checkpoint::tokenizer::{ChatTemplate, Tokenizer},
    dialect::{Dialect, Report, Study, Wanted},
    files,
    gguf::{Array, Gguf, Value},
    mmap::Map,
};
use std::{collections::HashSet, fs::File, path::Path, sync::Arc};

/// Most bytes of a template's file.
const MAX_TEMPLATE: u64 = 1 << 20;

/// Reports on the tool-call format of the GGUF file, the checkpoint folder, the chat template or the dialect (`.json`) at `path`. A
/// template by itself has no vocabulary, so that every text counts as a token.
///
/// # Errors
/// A path that cannot be read, a model without a chat template, or a template or a dialect that is none.
pub fn dialect(path: &Path) -> Result<Report, Error> {
    let is = |ending: &str| path.extension().is_some_and(|extension| extension == ending);
    if path.is_dir() {
        let tokenizer = Tokenizer::open(path)?;
        let template = tokenizer.chat_template().ok_or_else(|| Error::no_template(path))?;
        let templates: Vec<(&str, &str)> = match template {
            ChatTemplate::One(text) => vec![("default", text)],
            ChatTemplate::Named(list) => list.iter().map(|(name, text)| (&**name, &**text)).collect(),
        };
        return report(&templates, &|token| tokenizer.added_id(token).is_some());
    }
    if is("gguf") {
        let file = Map::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        let gguf = Gguf::parse(&file).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
        let templates = templates(&gguf);
        if templates.is_empty() {
            return Err(Error::no_template(path));
        }
        let tokens = gguf.array("tokenizer.ggml.tokens").and_then(Array::as_strings).unwrap_or_default();
        let tokens: HashSet<&str> = tokens.iter().map(String::as_str).collect();
        return report(&templates, &|token| tokens.contains(token));
    }
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let bytes = files::read_within(MAX_TEMPLATE, File::open(path).map_err(failed)?).map_err(failed)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Error::NotTemplate { path: path.to_path_buf() })?;
    if is("json") {
        let wanted = Wanted::Given(Arc::new(Dialect::parse(text.as_bytes())?));
        return Ok(Report::new(Study::new("")?.choose("", &|_| true, &wanted)?));
    }
    report(&[("default", &text)], &|_| true)
}

fn report(templates: &[(&str, &str)], is_token: &dyn Fn(&str) -> bool) -> Result<Report, Error> {
    let template = select_template(templates, true)?;
    let choice = Study::new(template)?.choose(template, is_token, &Wanted::Auto)?;
    Ok(Report::new(choice))
}

/// The templates in a file's metadata, by name.
fn templates(gguf: &Gguf) -> Vec<(&str, &str)> {
    fn named((key, value): &(String, Value)) -> Option<(&str, &str)> {
        let name = match key.strip_prefix("tokenizer.chat_template")? {
            "" => "default",
            name => name.strip_prefix('.')?,
        };
        Some((name, value.as_str()?))
    }
    gguf.metadata.iter().filter_map(named).collect()
}
