//! The chat template of a call.

use super::{
    super::exit::CliError,
    input::{read, text},
};
use edgecall::{Kind, call::PromptTemplate};
use serde_json::{Map, Value};
use std::path::Path;

/// The chat template in the file at `path`, or the model's own, with its arguments.
///
/// # Errors
/// A file that cannot be read, or is empty.
pub fn prompt_template(
    path: Option<&Path>,
    arguments: Map<String, Value>,
    trust_content: bool,
) -> anyhow::Result<PromptTemplate> {
    let template = match path {
        None => None,
        Some(path) => {
            let text = text(&read(path)?, &format!("{}: the chat template", path.display()))?;
            if text.trim().is_empty() {
                return Err(CliError::with_kind(
                    Kind::Data,
                    format!("{}: the chat template is empty", path.display()),
                ));
            }
            Some(text)
        }
    };
    Ok(PromptTemplate { template, arguments, trust_content })
}

/// Parses `KEY=JSON`.
pub fn template_arg(text: &str) -> Result<(String, Value), String> {
    const FORM: &str = "expected KEY=JSON, such as date=\"today\" (with the quotes) or depth=3";
    let (key, json) = text.split_once('=').ok_or(FORM)?;
    if key.is_empty() {
        return Err(FORM.into());
    }
    let value = serde_json::from_str(json).map_err(|e| format!("{e}; {FORM}"))?;
    Ok((key.to_owned(), value))
}
