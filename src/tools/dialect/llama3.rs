//! Llama 3.1 and 3.2: one JSON object with `parameters`, and nothing around it.
//!
//! ```text
//! {"name": "find", "parameters": {"city": "Leeds"}}
//! ```

use super::{Dialect, Frame, NameForm, Part, body};
use crate::tools::{Error, ToolCall};

/// A bare JSON object with `name` and `parameters`.
pub struct Llama3;

impl Dialect for Llama3 {
    fn name(&self) -> &'static str {
        "llama3"
    }

    fn frame(&self) -> Frame {
        Frame {
            open: &[Part::Text("{\"name\": ")],
            name: NameForm::Json,
            middle: &[Part::Text(", \"parameters\": ")],
            close: &[Part::Text("}")],
        }
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        body::parse(text, "parameters")
    }
}
