//! For models that were taught no format: one JSON object, which our own text in the prompt asks for.
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
        // What a template writes it teaches, and a dialect that is taught is not this one.
        false
    }

    fn thought_end(&self) -> Option<(&'static str, &'static str)> {
        Some(("</think>", "\n"))
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        body::parse(text, "arguments")
    }
}
