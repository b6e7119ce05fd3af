//! The chat template of a call.

use super::{
    super::exit::CliError,
    Args,
    input::{read, text},
};
use edgecall::{Kind, call::PromptTemplate};

/// The chat template and its arguments.
pub fn template(args: &Args) -> anyhow::Result<PromptTemplate> {
    let template = match &args.chat_template {
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
    let arguments = args.template_arg.iter().cloned().collect();
    Ok(PromptTemplate { template, arguments, trust_content: args.trust_content })
}

/// Parses `KEY=JSON`.
pub fn template_arg(text: &str) -> Result<(String, serde_json::Value), String> {
    const FORM: &str = "expected KEY=JSON, such as date=\"today\" (with the quotes) or depth=3";
    let (key, json) = text.split_once('=').ok_or(FORM)?;
    if key.is_empty() {
        return Err(FORM.into());
    }
    let value = serde_json::from_str(json).map_err(|e| format!("{e}; {FORM}"))?;
    Ok((key.to_owned(), value))
}
