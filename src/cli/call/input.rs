//! Input of `edgecall call` from arguments, files and stdin.

mod stdin;

use super::{super::exit::CliError, Args};
use crate::cli::error::ReadError;
use anyhow::Context;
use edgecall::{
    Kind,
    call::RequestFields,
    chat::{self, Conversation, Message, RequestBody, Role},
    files, json,
    profile::Profile,
};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// The conversation from arguments and stdin, and the other fields of its request body. The system message is that of an
/// option or of the request body, else the messages' own, else the profile's.
pub fn conversation(args: &Args, profile: &Profile) -> anyhow::Result<(Conversation, RequestFields)> {
    if on_stdin(args).count() > 1 {
        let names: Vec<&str> = on_stdin(args).collect();
        return Err(CliError::usage(format!("only one of {} can be read from stdin", names.join(" and "))));
    }
    let (conversation, fields) = match &args.messages {
        Some(path) => request_body(path)?,
        None => {
            let messages = vec![Message::text(Role::User, prompt(args)?)];
            (Conversation { messages, tools: None }, RequestFields::default())
        }
    };
    let is_system = |message: &&Message| matches!(message.role(), Role::System | Role::Developer);
    let own = conversation.messages.iter().find(is_system);
    let Some(system) = system(args)?.or_else(|| fields.system.clone()) else {
        return match (&profile.system, own) {
            (Some(theirs), None) => Ok((conversation.with_system(theirs.message()), fields)),
            (Some(theirs), Some(own)) if own.content() != Some(&*theirs.message()) => {
                note(
                    "the messages have a system message of their own, so that of the model's profile is not used",
                );
                Ok((conversation, fields))
            }
            _ => Ok((conversation, fields)),
        };
    };
    if own.is_some() {
        return Err(CliError::usage(
            "the messages have a system message of their own; take it out, or --system and --task away",
        ));
    }
    Ok((conversation.with_system(system), fields))
}

fn request_body(path: &Path) -> anyhow::Result<(Conversation, RequestFields)> {
    let (name, text) = source(path)?;
    let body = RequestBody::parse(&text, &RequestFields::names()).with_context(|| name.clone())?;
    let fields = RequestFields::read(&body.fields, &body.unknown).with_context(|| name.clone())?;
    if fields.logprobs.is_some() {
        return Err(CliError::usage(format!(
            "the `logprobs` of {name} can be had of a server only; leave them out, or start `edgecall serve`"
        )));
    }
    warn(&fields.warnings);
    Ok((body.conversation, fields))
}

/// Options whose value `-` reads stdin.
fn on_stdin(args: &Args) -> impl Iterator<Item = &'static str> {
    let options =
        [("--messages", &args.messages), ("--tools", &args.tools), ("--json-schema", &args.json_schema)];
    let stdin = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str() == "-");
    options.into_iter().filter(move |(_, path)| stdin(path)).map(|(name, _)| name)
}

/// The bytes of the file at `path`, or of stdin for `-`, and the name for errors.
pub fn source(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    match path.as_os_str() == "-" {
        true => Ok(("stdin".to_owned(), stdin::read()?)),
        false => Ok((path.display().to_string(), read(path)?)),
    }
}

/// Prints each warning on stderr.
pub fn warn(warnings: &[String]) {
    for warning in warnings {
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}

fn note(text: &str) {
    // Nobody reads a closed stderr.
    let _ = writeln!(io::stderr(), "note: {text}");
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
    if io::stdin().is_terminal() && !waits || on_stdin(args).next().is_some() {
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

/// Longest path that Linux takes.
const MAX_NAME_BYTES: usize = 4096;

/// Reads the file at `path`; one over the size limit is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = files::open_input(path).map_err(|source| match given_as_text(path) {
        Some(message) => CliError::usage(message),
        None => ReadError::new(path, source).into(),
    })?;
    let bytes = files::read_within(MAX_INPUT_BYTES, file).map_err(|source| ReadError::new(path, source))?;
    bytes.ok_or_else(|| too_long(&path.display().to_string()))
}

/// The error for a file's contents in place of its name.
fn given_as_text(path: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    let text = text.trim_start();
    let begins = text.starts_with(['{', '[']) && (text.contains('"') || text.contains('\''));
    if !begins && text.len() <= MAX_NAME_BYTES && !text.contains('\n') {
        return None;
    }
    let start: String = text.chars().take(24).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(format!(
        "`{start}...` is no file's name but the text itself; put it into a file (--tools, --messages and \
         --json-schema also read stdin, as `-`)"
    ))
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
    use super::{given_as_text, joined};
    use std::path::Path;

    #[test]
    fn contents_in_place_of_a_files_name_are_called_so_and_not_printed_whole() {
        let tools = format!("[{{\"name\": \"f\"{}}}]", " ".repeat(9999));
        let message = given_as_text(Path::new(&tools)).unwrap();
        assert!(message.starts_with("`[{\"name\": \"f\"") && message.len() < 200, "{message}");
        assert!(given_as_text(Path::new("[{'name': 'f'}]")).is_some());
        assert!(given_as_text(Path::new("{%- for message in messages %}\n{% endfor %}")).is_some());
        for name in ["tools.json", "[1].json", "{a}/b c.json"] {
            assert_eq!(given_as_text(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn prompt_and_stdin_are_joined_by_a_blank_line() {
        assert_eq!(joined("Sum up:", "one\ntwo\n").unwrap(), "Sum up:\n\none\ntwo");
        assert_eq!(joined("Sum up:", "\n").unwrap(), "Sum up:");
        assert_eq!(joined("", "  one\r\n").unwrap(), "  one");
        assert_eq!(joined(" ", "\n"), None);
    }
}
