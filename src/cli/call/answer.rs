//! An answer on stdout, and what is said about it on stderr.

use super::super::{exit::Failure, output};
use clap::ValueEnum;
use edgecall::{
    Error, Kind,
    call::{Answer, Choice, End, openai::ChatCompletion},
    chat,
    tools::{ToolCall, json},
};
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// What of an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputArg {
    // No doc comments here: with them clap prints the long form of the whole help.
    Call,
    Openai,
    Arguments,
    Name,
}

/// Prints `answer`, which `model` gave where `choice` was left to it.
///
/// # Errors
/// No call where a part of one is to be printed; stdout that cannot be written.
pub fn print(answer: &Answer, choice: &Choice, output: OutputArg, model: &Path) -> anyhow::Result<()> {
    let part = |what: &str, part: &dyn Fn(&ToolCall) -> String| -> anyhow::Result<()> {
        if answer.calls.is_empty() {
            say(answer.content.as_deref());
            let message = format!("the model answered in text, so there is no {what} to print");
            return Err(Failure::of(Kind::Negative, message));
        }
        let lines: Vec<String> = answer.calls.iter().map(part).collect();
        Ok(output::line(&lines.join("\n"))?)
    };
    match output {
        OutputArg::Openai => {
            let name = model.file_stem().unwrap_or_default().to_string_lossy();
            let object = ChatCompletion::new(answer, name, created()?);
            Ok(output::line(&json::spaced(&object))?)
        }
        OutputArg::Arguments => part("arguments", &|call| call.arguments_text().to_owned()),
        OutputArg::Name => part("name", &|call| call.name().to_owned()),
        OutputArg::Call => match (&answer.content, choice) {
            (said, _) if !answer.calls.is_empty() => {
                say(said.as_deref());
                part("call", &ToString::to_string)
            }
            // Where a call was as likely, a program has to be able to tell.
            (Some(text), Choice::Auto) => {
                Ok(output::line(&format!("{{\"content\": {}}}", json::spaced(text)))?)
            }
            (text, _) => {
                let text = text.as_deref().unwrap_or("");
                Ok(output::line(&text.strip_suffix('\n').unwrap_or(text))?)
            }
        },
    }
}

/// Says on stderr what stdout does not hold: the thought, and that the answer was cut off.
pub fn comment(answer: &Answer, output: OutputArg) {
    if output != OutputArg::Openai {
        say(answer.thought.as_deref());
    }
    if answer.end == End::CutOff {
        let what = if answer.calls.is_empty() {
            "the text is cut off"
        } else {
            "the call is closed with what was complete"
        };
        say(Some(&format!("warning: the tokens ran out before the model was done; {what} (--max-tokens)")));
    }
}

fn say(text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        // A closed stderr has nobody to read it.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Seconds since 1970, or what the environment says in their place, for output that is the same
/// each time.
fn created() -> anyhow::Result<u64> {
    let pinned = chat::source_date_epoch().map_err(Error::from)?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Ok(pinned.map_or_else(now, |seconds| seconds.max(0) as u64))
}

/// Text on its way to stdout.
#[derive(Default)]
pub struct Stream {
    failed: Option<io::Error>,
    ends_line: bool,
}

impl Stream {
    /// Writes the next piece; a stdout that cannot be written ends the generation.
    pub fn push(&mut self, text: &str) -> ControlFlow<()> {
        self.ends_line = text.ends_with('\n');
        match output::text(text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Ends the last line.
    ///
    /// # Errors
    /// The system's error where stdout could not be written.
    pub fn finish(self) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None if self.ends_line => Ok(()),
            None => output::text("\n"),
        }
    }
}
