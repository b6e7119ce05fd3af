//! Input of `edgecall call` from arguments, files and stdin.

use super::{super::exit::CliError, Args};
use crate::cli::error::ReadError;
use anyhow::Context;
use edgecall::{
    Kind,
    chat::{self, Conversation, Message, Role},
    files, json,
};
use std::{
    io::{self, IsTerminal, Read},
    path::Path,
};

/// The conversation from arguments and stdin.
pub fn conversation(args: &Args) -> anyhow::Result<Conversation> {
    let conversation = match &args.messages {
        Some(path) if path.as_os_str() == "-" => messages(Path::new("stdin"), &stdin()?)?,
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

/// The argument PROMPT, followed by the text on stdin.
fn prompt(args: &Args) -> anyhow::Result<String> {
    let prompt = args.prompt.as_deref().unwrap_or("");
    let nothing = || {
        CliError::usage(
            "there is nothing to answer; give a PROMPT, --messages MESSAGES.json, or text on stdin",
        )
    };
    if io::stdin().is_terminal() {
        return joined(prompt, "").ok_or_else(nothing);
    }
    let piped = text(&stdin()?, "the text on stdin")?;
    joined(prompt, &piped).ok_or_else(|| match args.prompt {
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

fn stdin() -> anyhow::Result<Vec<u8>> {
    bounded(io::stdin().lock(), "stdin").context("cannot read stdin")?
}

/// Reads the file at `path`; one over the size limit is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = files::open_input(path).map_err(|source| ReadError::new(path, source))?;
    bounded(file, &path.display().to_string()).map_err(|source| ReadError::new(path, source))?
}

fn bounded(input: impl Read, name: &str) -> io::Result<anyhow::Result<Vec<u8>>> {
    Ok(files::read_within(MAX_INPUT_BYTES, input)?.ok_or_else(|| {
        let message = format!("{name} has more than {MAX_INPUT_BYTES} bytes, and no context holds as many");
        CliError::with_kind(Kind::Data, message)
    }))
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
