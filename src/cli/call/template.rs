//! The chat template of a call.

use super::{
    super::{exit::CliError, model_path},
    Args,
    input::{read, text},
};
use edgecall::{
    Kind,
    cache::Cache,
    call::{PromptTemplate, Request, ToolFormat},
    dialect::{Wanted, tools::Lost},
    runtime::{Trust, Vocabulary},
    schema::{KeyOrder, Line, Status, notation::Notation},
    tools::{
        ToolSet,
        explain::{self, ToolReport},
    },
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

/// Says on stderr what the chat template does not show the model of the tools, and what calls in the format that is `wanted`
/// cannot hold. What was derived from the template is read from the cache or kept there.
pub fn note_lost(
    template: &PromptTemplate,
    vocabulary: &Vocabulary,
    request: &Request<'_>,
    (wanted, cache): (&Wanted, Option<&Cache>),
) -> anyhow::Result<()> {
    // A format that cannot be told is refused where it is used.
    let format = template.tool_format_with(vocabulary, request, wanted, cache).ok().flatten();
    if let (Some(tools), Some(format)) = (request.tools, &format) {
        note_left_out(tools, request.key_order, format)?;
    }
    if template.says_lost {
        return Ok(());
    }
    let lost = template.lost(vocabulary, request, format.as_ref())?;
    let notes: Vec<String> = lost.iter().map(Lost::note).collect();
    if show_notes(&notes) {
        // Nobody reads a closed stderr.
        let _ =
            writeln!(io::stderr(), "note: --tools-in-description auto adds this to the tools' descriptions");
    }
    Ok(())
}

/// Says on stderr which keys and values of the tools' arguments the call format cannot write.
fn note_left_out(tools: &ToolSet, key_order: KeyOrder, format: &ToolFormat) -> anyhow::Result<()> {
    let notation = format.dialect.notation()?;
    // JSON can write all there is.
    if matches!(notation, Notation::Value(_)) {
        return Ok(());
    }
    let explanation = explain::explain_in(tools, key_order, &notation);
    let each = explanation.tools.iter().flat_map(|tool| tool.keywords.iter().map(move |line| (tool, line)));
    let left_out = each.filter(|(_, line)| line.status == Status::LeftOut);
    let note = |(tool, line): (&ToolReport, &Line)| {
        format!("tool `{}`, {}: {}; calls are made without it", tool.name, line.pointer, line.note)
    };
    show_notes(&left_out.map(note).collect::<Vec<_>>());
    Ok(())
}

/// Prints the first of `notes` to stderr; true if there are any.
fn show_notes(notes: &[String]) -> bool {
    let (shown, more) = notes.split_at(notes.len().min(MAX_NOTES));
    // Nobody reads a closed stderr.
    let mut stderr = io::stderr();
    for note in shown {
        let _ = writeln!(stderr, "note: {}", note.replace(char::is_control, " "));
    }
    if !more.is_empty() {
        let _ = writeln!(stderr, "note: and {} further parts", more.len());
    }
    !shown.is_empty()
}

/// Vocabulary and template of the model, if one is given and has them.
pub fn vocabulary(args: &Args) -> anyhow::Result<Option<(Vocabulary, PromptTemplate)>> {
    let Some(path) = &args.model else { return Ok(None) };
    let trust = if args.trust_model { Trust::Unchecked } else { Trust::Checked };
    // The schemas are explained whatever the model is.
    let Ok(vocabulary) = Vocabulary::load_with(&model_path::gguf(path)?, trust) else { return Ok(None) };
    let template = template(args)?;
    let has_template = template.template(&vocabulary, true).is_ok();
    Ok(has_template.then_some((vocabulary, template)))
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
