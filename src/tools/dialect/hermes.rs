//! Hermes' format, also used by Qwen2.5 and Qwen3: JSON between `<tool_call>` and `</tool_call>`.
//!
//! ```text
//! <tool_call>
//! {"name": "find", "arguments": {"city": "Leeds"}}
//! </tool_call>
//! ```

use super::{Between, Dialect, Frame, NameForm, Part, body, no_call};
use crate::tools::{Error, ToolCall};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// JSON with `name` and `arguments` between `<tool_call>` and `</tool_call>`.
pub struct Hermes;

impl Dialect for Hermes {
    fn name(&self) -> &'static str {
        "hermes"
    }

    fn frame(&self) -> Frame {
        Frame {
            open: &[Part::Mark(OPEN), Part::Text("\n{\"name\": ")],
            name: NameForm::Json,
            middle: &[Part::Text(", \"arguments\": ")],
            close: &[Part::Text("}\n"), Part::Mark(CLOSE)],
        }
    }

    fn between(&self) -> Option<Between> {
        Some(Between {
            close: self.frame().close,
            open: &[Part::Text("\n"), Part::Mark(OPEN), Part::Text("\n{\"name\": ")],
        })
    }

    fn thought_end(&self) -> Option<(&'static str, &'static str)> {
        Some(("</think>", "\n\n"))
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        let (_, rest) = text.split_once(OPEN).ok_or_else(|| no_call("there is no <tool_call>"))?;
        let (body, after) = rest.rsplit_once(CLOSE).ok_or_else(|| no_call("the </tool_call> is missing"))?;
        if after.contains(OPEN) {
            return Err(no_call("there is more than one"));
        }
        body::parse(body, "arguments")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_back_as_it_was_written() {
        let call = ToolCall::from_text("f\"ü", r#"{"b": "</tool_call>", "a": [1.0, {}]}"#).unwrap();
        let text = Hermes.write(&call);
        assert_eq!(
            text,
            "<tool_call>\n{\"name\": \"f\\\"ü\", \"arguments\": {\"b\": \"</tool_call>\", \"a\": [1.0, {}]}}\n</tool_call>"
        );
        assert_eq!(Hermes.parse(&text).unwrap(), call);
    }

    #[test]
    fn what_is_not_one_whole_call_is_refused() {
        for text in [
            "",
            "{\"name\": \"f\", \"arguments\": {}}",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\n</tool_call>",
            "<tool_call>\n{\"name\": \"f\"}\n</tool_call>",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": 1}\n</tool_call>",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call><tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>",
        ] {
            assert!(Hermes.parse(text).is_err(), "{text}");
        }
    }
}
