//! The judge's prompt, and the parser of its reply.

use crate::{
    bench::data::{Call, Style},
    chat::Message,
    hash::hex,
    json::spaced,
};
use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The system message of every question.
pub const WRAPPER: &str = "You grade one tool call of an assistant against a reference. Apply the criteria. End with one \
                           line: VERDICT: good or VERDICT: bad.";

/// The user message; the names in braces are replaced.
const BLOCKS: &str = "<criteria>\n{criteria}\n</criteria>\n\n<conversation>\n{conversation}\n</conversation>\n\n\
                      <reference>\n{reference}\n</reference>\n\n<prediction>\n{prediction}\n</prediction>";

/// Name of the prompt's version with its hash; verdicts under different names are not comparable.
pub(super) fn name() -> String {
    format!("edgecall-judge-1 {}", &hex(&Sha256::digest(format!("{WRAPPER}\0{BLOCKS}")))[..12])
}

/// The user message of one call to judge.
#[derive(Clone, Debug)]
pub struct Question(String);

impl Question {
    /// Question about `predicted` after `messages`. Both calls are written with `parameters`, the name that the
    /// criteria use.
    pub fn new(criteria: &str, messages: &[Message], gold: &Call, predicted: &Call) -> Question {
        let fields = messages.iter().map(|message| Value::Object(message.fields().clone()));
        let parts = [
            ("{criteria}", criteria.trim().to_owned()),
            ("{conversation}", spaced(&fields.collect::<Vec<_>>())),
            ("{reference}", gold.render(Style::Teacher)),
            ("{prediction}", predicted.render(Style::Teacher)),
        ];
        // From front to back, so that text already inserted is never searched for names.
        let (mut text, mut rest) = (String::new(), BLOCKS);
        for (place, part) in parts {
            let (before, after) = rest.split_once(place).expect("the blocks name every part");
            text.extend([before, &part]);
            rest = after;
        }
        Question(text + rest)
    }

    /// The text of the user's message.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// The last verdict in a reply: true for good, false for bad, `None` if it has none.
pub(super) fn verdict(reply: &str) -> Option<bool> {
    static VERDICT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\bverdict[\s*_`]*:[\s*_`]*(good|bad)\b").expect("the pattern is a constant")
    });
    let last = VERDICT.captures_iter(reply).last()?;
    Some(last[1].eq_ignore_ascii_case("good"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Role;

    #[test]
    fn the_last_verdict_counts_in_whatever_dress() {
        for (reply, expected) in [
            ("VERDICT: good", Some(true)),
            ("The city is wrong.\n\n**Verdict:** bad\n", Some(false)),
            ("VERDICT: good? No, the time is off. verdict:BAD", Some(false)),
            ("**VERDICT: `good`**.", Some(true)),
            ("VERDICT: goodish", None),
            ("VERDICT: unclear", None),
            ("It is good.", None),
            ("", None),
        ] {
            assert_eq!(verdict(reply), expected, "{reply}");
        }
    }

    #[test]
    fn a_question_shows_all_four_parts_and_fills_in_nothing_twice() {
        let call = |text: &str| Call::parse(text).unwrap();
        let messages = [Message::text(Role::User, "{reference} in München")];
        let question = Question::new(
            "Be {prediction} strict.\n",
            &messages,
            &call(r#"{"name": "f", "arguments": {"a": 1}}"#),
            &call(r#"{"name": "g", "arguments": {}}"#),
        );
        assert_eq!(
            question.text(),
            "<criteria>\nBe {prediction} strict.\n</criteria>\n\n<conversation>\n\
             [{\"role\": \"user\", \"content\": \"{reference} in München\"}]\n</conversation>\n\n<reference>\n\
             {\"name\": \"f\", \"parameters\": {\"a\": 1}}\n</reference>\n\n<prediction>\n\
             {\"name\": \"g\", \"parameters\": {}}\n</prediction>"
        );
    }

    #[test]
    fn the_wrapper_keeps_its_name_as_long_as_it_keeps_its_text() {
        assert_eq!(name(), "edgecall-judge-1 63f8a2c754fd");
    }
}
