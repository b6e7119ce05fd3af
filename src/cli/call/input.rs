//! Input of `edgecall call` from arguments, files and stdin.

mod stdin;

use super::{super::exit::CliError, Args};
use crate::cli::error::ReadError;
use anyhow::Context;
use edgecall::{
    Kind,
    chat::{self, Conversation, Message, Role},
    files, json,
};
use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

/// The conversation from arguments and stdin.
pub fn conversation(args: &Args) -> anyhow::Result<Conversation> {
    let conversation = match &args.messages {
        Some(path) if path.as_os_str() == "-" => messages(Path::new("stdin"), &stdin::read()?)?,
        Some(path) => messages(path, &read(path)?)?,
        None => Conversation { messages: vec![Message::text(Role::User, prompt(args)?)], tools: None },
    };
    let Some(system) = system(args)? else { return Ok(conversation) };
    if conversation.messages.iter().any(|message| matches!(message.role(), Role::System | Role::Developer)) {
        return Err(CliError::usage(
            "the messages have a system message of their own; take it out, or --system and --task away",
        ));
    }
    Ok(conversation.with_system(system))
}

fn messages(path: &Path, text: &[u8]) -> anyhow::Result<Conversation> {
    Conversation::parse(text).with_context(|| path.display().to_string())
}

/// The argument PROMPT, followed by the text on stdin, if there is any; `-` waits for it.
fn prompt(args: &Args) -> anyhow::Result<String> {
    let given = args.prompt.as_deref().filter(|prompt| *prompt != "-");
    let prompt = given.unwrap_or("");
    let nothing = || {
        CliError::usage(
            "there is nothing to answer; give a PROMPT, --messages MESSAGES.json, or text on stdin",
        )
    };
    let waits = args.prompt.is_some() && given.is_none();
    if io::stdin().is_terminal() && !waits {
        return joined(prompt, "").ok_or_else(nothing);
    }
    let piped = match prompt.trim() {
        "" => stdin::read()?,
        _ => stdin::read_if_it_speaks()?,
    };
    let piped = text(&piped, "the text on stdin")?;
    joined(prompt, &piped).ok_or_else(|| match given {
        Some(_) => CliError::usage("the prompt is empty, and so is stdin"),
        None => CliError::with_kind(Kind::Data, "stdin is empty, and there is no PROMPT"),
    })
}

/// Joins two texts with a blank line; blank texts are left out.
fn joined(prompt: &str, piped: &str) -> Option<String> {
    // Like the shell's $(...): the line feed at the end of a file is not part of the question.
    let piped = piped.trim_end_matches(['\n', '\r']);
    let parts: Vec<&str> = [prompt, piped].into_iter().filter(|part| !part.trim().is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Decodes `bytes` as text; `what` names them in errors.
pub fn text(bytes: &[u8], what: &str) -> anyhow::Result<String> {
    match json::text(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(CliError::with_kind(Kind::Data, format!("{what} is {error}"))),
    }
}

/// Limit on the size of an input: larger than any context, but a path may name a device without an end.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Reads the file at `path`; one over the size limit is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = fs::File::open(path).map_err(|source| ReadError::new(path, source))?;
    let bytes = files::read_within(MAX_INPUT_BYTES, file).map_err(|source| ReadError::new(path, source))?;
    bytes.ok_or_else(|| too_long(&path.display().to_string()))
}

fn too_long(name: &str) -> anyhow::Error {
    let message = format!("{name} has more than {MAX_INPUT_BYTES} bytes, and no context holds as many");
    CliError::with_kind(Kind::Data, message)
}

fn system(args: &Args) -> anyhow::Result<Option<String>> {
    let Some(path) = &args.task else { return Ok(args.system.clone()) };
    let text = text(&read(path)?, &format!("{}: the task description", path.display()))?;
    Ok(Some(chat::task_system_text(&text)))
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn prompt_and_stdin_are_joined_by_a_blank_line() {
        assert_eq!(joined("Sum up:", "one\ntwo\n").unwrap(), "Sum up:\n\none\ntwo");
        assert_eq!(joined("Sum up:", "\n").unwrap(), "Sum up:");
        assert_eq!(joined("", "  one\r\n").unwrap(), "  one");
        assert_eq!(joined(" ", "\n"), None);
    }
}
