//! The person at the terminal: sees each step on stderr, and says yes or no.

use super::{super::output, say};
use edgecall::{
    agent::{Doubt, Effect, Event, Log, Question, Result, Status, User},
    display::{bytes, visible},
};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal, Read, Write},
};

/// Longest answer to a question that is read.
const MAX_ANSWER: u64 = 1024;
/// Most characters of a result that a line repeats.
const MAX_SHOWN: usize = 100;

/// The person at the terminal, and the log.
pub(super) struct Person {
    log: Option<Log>,
    can_answer: bool,
    /// Tools that need no further yes.
    always: BTreeSet<String>,
}

/// An answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Once,
    Always,
    No,
}

impl Answer {
    /// Anything but a clear yes is a no.
    fn from_line(line: &str, may_be_always: bool) -> Answer {
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Answer::Once,
            "a" | "always" if may_be_always => Answer::Always,
            _ => Answer::No,
        }
    }
}

impl Person {
    /// The person, if stdin and stderr are a terminal; else nobody, who says no.
    pub fn new(log: Option<Log>) -> Person {
        let can_answer = io::stdin().is_terminal() && io::stderr().is_terminal();
        Person { log, can_answer, always: BTreeSet::new() }
    }

    fn ask(&mut self, question: &Question<'_>) -> Answer {
        let tool = visible(question.tool);
        let may_be_always = question.doubt == Doubt::Unconfirmed;
        let choices = match may_be_always {
            true => format!("[y]es, [a]lways {tool}, [N]o"),
            false => "[y]es, [N]o".to_owned(),
        };
        output::clear_progress();
        // Nobody reads a closed stderr, and then nobody says yes.
        let _ = write!(io::stderr(), "  {}? {choices}: ", verb(question.effect));
        let mut line = String::new();
        match io::stdin().lock().take(MAX_ANSWER).read_line(&mut line) {
            Ok(_) => Answer::from_line(&line, may_be_always),
            Err(_) => Answer::No,
        }
    }
}

fn verb(effect: Effect) -> &'static str {
    match effect {
        Effect::Reads => "Run this, which only reads",
        Effect::Acts => "Run this",
    }
}

impl User for Person {
    fn confirm(&mut self, question: &Question<'_>) -> bool {
        if question.doubt == Doubt::Unconfirmed && self.always.contains(question.tool) {
            return true;
        }
        if question.doubt == Doubt::UntrustedOutput {
            say("  the model has read output that is not trusted, which may have talked it into this call");
        }
        if !self.can_answer {
            let remedy = match question.doubt {
                Doubt::Unconfirmed => format!("--yes-for {} or --yes allows it", visible(question.tool)),
                Doubt::UntrustedOutput => "--trust-output beside --yes allows it".to_owned(),
            };
            say(&format!("  not run: there is no terminal to ask on; {remedy}"));
            return false;
        }
        let answer = self.ask(question);
        if answer == Answer::Always {
            self.always.insert(question.tool.to_owned());
        }
        answer != Answer::No
    }

    fn note(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Tools { step, tools, .. } if *step > 1 => {
                say(&format!("the tools have changed: there are {} now", tools.len()));
            }
            Event::Reply { step, content, calls } => {
                if let Some(text) =
                    content.as_deref().filter(|text| !calls.is_empty() && !text.trim().is_empty())
                {
                    say(&visible(text.trim_end()));
                }
                for call in calls {
                    say(&format!("step {step}: {} {}", visible(&call.name), visible(&call.arguments)));
                }
            }
            Event::Plan { shown, notes, .. } => {
                say(&format!("  {}", shown.replace('\n', "\n  ")));
                notes.iter().for_each(|note| say(&format!("  note: {note}")));
            }
            Event::Result { status, content, ms, .. } => say(&format!("  {}", result(*status, content, *ms))),
            _ => {}
        }
        self.log.as_mut().map_or(Ok(()), |log| log.write(event))
    }
}

/// A result on one line.
fn result(status: Status, content: &str, ms: u64) -> String {
    let outcome = status.word();
    if status != Status::Ok {
        let start: String = content.chars().take(MAX_SHOWN).collect();
        let dots = if start.len() < content.len() { "..." } else { "" };
        return format!("{outcome}: {}{dots}", visible(&start));
    }
    format!("{outcome}: {} in {ms} ms", bytes(content.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (line, once, always) in [
            ("y\n", Answer::Once, Answer::Once),
            (" Yes \n", Answer::Once, Answer::Once),
            ("a\n", Answer::No, Answer::Always),
            ("\n", Answer::No, Answer::No),
            ("", Answer::No, Answer::No),
            ("n\n", Answer::No, Answer::No),
            ("yeah\n", Answer::No, Answer::No),
            ("no, yes\n", Answer::No, Answer::No),
        ] {
            assert_eq!(Answer::from_line(line, false), once, "{line}");
            assert_eq!(Answer::from_line(line, true), always, "{line}");
        }
    }

    #[test]
    fn a_result_is_one_line_that_steers_no_terminal() {
        assert_eq!(result(Status::Ok, "\x1b[2J\n\n", 7), "ok: 6 B in 7 ms");
        let long = format!("\x1b[2J{}", "x".repeat(200));
        let line = result(Status::Failed, &long, 7);
        assert!(line.starts_with("failed: \\u{1b}[2Jxxx") && line.ends_with("x...") && line.len() < 130);
    }
}
