//! The chat template of a call.

use super::{
    super::{exit::CliError, model_path},
    Args,
    input::{read, text},
};
use edgecall::{
    Kind,
    call::{PromptTemplate, Request},
    chat::Conversation,
    dialect::tools::Lost,
    runtime::{Trust, Vocabulary},
    tools::ToolSet,
};
use serde_json::{Map, Value};
use std::{
    io::{self, Write},
    path::Path,
};

/// The chat template of a call, its arguments, and what is done about what it does not show.
///
/// # Errors
/// As [`prompt_template`].
pub fn template(args: &Args) -> anyhow::Result<PromptTemplate> {
    let arguments = args.template_arg.iter().cloned().collect();
    let template = prompt_template(args.chat_template.as_deref(), arguments, args.trust_content)?;
    Ok(PromptTemplate { says_lost: args.tools_in_description == SayLost::Auto, ..template })
}

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
    Ok(PromptTemplate { template, arguments, trust_content, says_lost: false })
}

/// Argument of `--tools-in-description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SayLost {
    // Without help of their own: it would stretch the help of all options.
    Auto,
    Off,
}

/// Says on stderr what the chat template does not show the model of the tools.
pub fn note_lost(
    template: &PromptTemplate,
    vocabulary: &Vocabulary,
    request: &Request<'_>,
) -> anyhow::Result<()> {
    if template.says_lost {
        return Ok(());
    }
    let notes: Vec<String> = template.lost(vocabulary, request)?.iter().map(Lost::note).collect();
    let (shown, more) = notes.split_at(notes.len().min(MAX_NOTES));
    // Nobody reads a closed stderr.
    let mut stderr = io::stderr();
    for note in shown {
        let _ = writeln!(stderr, "note: {}", note.replace(char::is_control, " "));
    }
    if !more.is_empty() {
        let _ = writeln!(stderr, "note: and {} further parts", more.len());
    }
    if !shown.is_empty() {
        let _ = writeln!(stderr, "note: --tools-in-description auto adds this to the tools' descriptions");
    }
    Ok(())
}

/// Says what the chat template of the model, if one is given, does not show of `tools`.
pub fn explain_lost(args: &Args, tools: Option<&ToolSet>) -> anyhow::Result<()> {
    let (Some(path), Some(tools)) = (&args.model, tools) else { return Ok(()) };
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    // The schemas are explained whatever the model is.
    let Ok(vocabulary) = Vocabulary::load_with(&model_path::gguf(path)?, trust) else { return Ok(()) };
    let conversation = Conversation::default();
    let template = template(args)?;
    if template.template(&vocabulary, true).is_err() {
        return Ok(());
    }
    note_lost(&template, &vocabulary, &Request::new(&conversation, Some(tools)))
}

/// Most parts of tools that are named.
const MAX_NOTES: usize = 8;

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
