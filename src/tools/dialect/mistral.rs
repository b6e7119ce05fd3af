//! Mistral's format up to the tokenizer of Nemo: a JSON list after `[TOOL_CALLS]`.
//!
//! ```text
//! [TOOL_CALLS][{"name": "find", "arguments": {"city": "Leeds"}}]
//! ```
//!
//! The first models with this token write a space after it. Histories contain ids, which the model does not
//! write.

use super::{Between, Dialect, Frame, NameForm, Part, body::Body, no_call};
use crate::tools::{Error, ToolCall};

const OPEN: &str = "[TOOL_CALLS]";

/// A JSON list of objects with `name` and `arguments` after `[TOOL_CALLS]`.
pub struct Mistral;

impl Dialect for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn frame(&self) -> Frame {
        Frame {
            open: &[Part::Mark(OPEN), Part::Space, Part::Text("[{\"name\": ")],
            name: NameForm::Json,
            middle: &[Part::Text(", \"arguments\": ")],
            close: &[Part::Text("}]")],
        }
    }

    fn between(&self) -> Option<Between> {
        Some(Between { close: &[Part::Text("}")], open: &[Part::Text(", {\"name\": ")] })
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        let list = text.trim().strip_prefix(OPEN).ok_or_else(|| no_call("there is no [TOOL_CALLS]"))?;
        let list: Vec<Body<'_>> = serde_json::from_str(list)
            .map_err(|error| no_call(format!("behind [TOOL_CALLS] stands no list of calls ({error})")))?;
        match <[Body<'_>; 1]>::try_from(list) {
            Ok([body]) => body.call("arguments"),
            Err(list) => Err(no_call(format!("its list holds {}", list.len()))),
        }
    }
}
