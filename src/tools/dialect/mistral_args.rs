//! Mistral's format since version 13 of its tokenizer: a special token before the name, and one after it.
//!
//! ```text
//! [TOOL_CALLS]find[ARGS]{"city": "Leeds"}
//! ```

use super::{Between, Dialect, Frame, NameForm, Part, no_call};
use crate::tools::{Error, ToolCall};

const OPEN: &str = "[TOOL_CALLS]";
const MIDDLE: &str = "[ARGS]";

/// A name and JSON arguments, each after a special token.
pub struct MistralArgs;

impl Dialect for MistralArgs {
    fn name(&self) -> &'static str {
        "mistral-args"
    }

    fn frame(&self) -> Frame {
        Frame { open: &[Part::Mark(OPEN)], name: NameForm::Plain, middle: &[Part::Mark(MIDDLE)], close: &[] }
    }

    fn between(&self) -> Option<Between> {
        Some(Between { close: &[], open: &[Part::Mark(OPEN)] })
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        let call = text.trim().strip_prefix(OPEN).ok_or_else(|| no_call("there is no [TOOL_CALLS]"))?;
        let (name, arguments) = call.split_once(MIDDLE).ok_or_else(|| no_call("the [ARGS] is missing"))?;
        ToolCall::from_text(name, arguments)
    }
}
