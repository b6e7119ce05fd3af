//! The format for models without one of their own: a JSON object, as our description in the prompt requests it.
//!
//! ```text
//! {"name": "find", "arguments": {"city": "Leeds"}}
//! ```

use super::{Dialect, Frame, NameForm, Part, Shown, body};
use crate::tools::{Error, ToolCall};

/// A bare JSON object with `name` and `arguments`.
pub struct Generic;

impl Dialect for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn frame(&self) -> Frame {
        Frame {
            open: &[Part::Text("{\"name\": ")],
            name: NameForm::Json,
            middle: &[Part::Text(", \"arguments\": ")],
            close: &[Part::Text("}")],
        }
    }

    fn is_shown(&self, _: &Shown, _: &str) -> bool {
        // Whatever a template renders is its own format, and then this one is not needed.
        false
    }

    fn thought_end(&self) -> Option<(&'static str, &'static str)> {
        Some(("</think>", "\n"))
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        body::parse(text, "arguments")
    }
}
