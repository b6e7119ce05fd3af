//! Output of an answer on stdout, with remarks on stderr.

use super::super::{
    exit::CliError,
    output::{self, StdoutError},
};
use clap::ValueEnum;
use edgecall::{
    Kind,
    call::{Answer, Choice, End, openai::ChatCompletion},
    chat, json,
    tools::ToolCall,
};
use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Part of an answer to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputArg {
    // No doc comments here: with them clap prints the long form of the whole help.
    Call,
    Openai,
    Arguments,
    Name,
}

/// Prints `answer`; `model` is the file that gave it, and `choice` the tool choice of the request.
///
/// # Errors
/// No call although a part of it should be printed; stdout that cannot be written.
pub fn print(answer: &Answer, choice: &Choice, output: OutputArg, model: &Path) -> anyhow::Result<()> {
    let part = |what: &str, part: &dyn Fn(&ToolCall) -> String| -> anyhow::Result<()> {
        if answer.calls.is_empty() {
            say(answer.content.as_deref());
            let message = format!("the model answered in text, so there is no {what} to print");
            return Err(CliError::with_kind(Kind::Negative, message));
        }
        let lines: Vec<String> = answer.calls.iter().map(part).collect();
        Ok(output::line(&lines.join("\n"))?)
    };
    match output {
        OutputArg::Openai => {
            let name = model.file_stem().unwrap_or_default().to_string_lossy();
            let object = ChatCompletion::created_at(answer, name, created()?);
            Ok(output::line(&json::spaced(&object))?)
        }
        OutputArg::Arguments => part("arguments", &|call| call.arguments_text().to_owned()),
        OutputArg::Name => part("name", &|call| call.name().to_owned()),
        OutputArg::Call => match (&answer.content, choice) {
            (said, _) if !answer.calls.is_empty() => {
                say(said.as_deref());
                part("call", &ToString::to_string)
            }
            // With the choice `auto` a program must be able to tell text from a call.
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

/// Prints on stderr what stdout lacks: the reasoning, and a warning if the answer was cut off.
pub fn comment(answer: &Answer, output: OutputArg) {
    if output != OutputArg::Openai {
        say(answer.reasoning.as_deref());
    }
    let what = match answer.calls.is_empty() {
        true => "the text is cut off",
        false => "the call is closed with what was complete",
    };
    match answer.end {
        End::Complete => {}
        End::CutOff => {
            say(Some(&format!(
                "warning: the tokens ran out before the model was done; {what} (--max-tokens)"
            )));
        }
        End::Repetition => say(Some(&format!("warning: the model repeats itself; {what}"))),
    }
}

fn say(text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Time since 1970, or `SOURCE_DATE_EPOCH` if it is set, for reproducible output.
fn created() -> anyhow::Result<Duration> {
    let pinned = chat::source_date_epoch()?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(pinned.map_or_else(now, |seconds| Duration::from_secs(seconds.max(0) as u64)))
}

/// Writer of streamed text to stdout.
#[derive(Default)]
pub struct Stream {
    failed: Option<StdoutError>,
    ends_line: bool,
}

impl Stream {
    /// Writes the next piece; an error on stdout stops the generation.
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
    /// The error of an earlier or this write to stdout.
    pub fn finish(self) -> Result<(), StdoutError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.ends_line => Ok(()),
            None => output::text("\n"),
        }
    }
}
