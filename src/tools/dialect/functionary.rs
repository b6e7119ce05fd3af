//! The format of Functionary 3.1 and of Llama 3.1's custom tool calls: the name in a tag, JSON arguments in the
//! element.
//!
//! ```text
//! <function=find>{"city": "Leeds"}</function>
//! ```

use super::{Between, Dialect, Frame, NameForm, Part, no_call};
use crate::tools::{Error, ToolCall};

const OPEN: &str = "<function=";
const MIDDLE: &str = ">";
const CLOSE: &str = "</function>";

/// JSON arguments in an element whose tag contains the name.
pub struct Functionary;

impl Dialect for Functionary {
    fn name(&self) -> &'static str {
        "functionary"
    }

    fn frame(&self) -> Frame {
        Frame {
            open: &[Part::Text(OPEN)],
            name: NameForm::Plain,
            middle: &[Part::Text(MIDDLE)],
            close: &[Part::Text(CLOSE)],
        }
    }

    fn between(&self) -> Option<Between> {
        Some(Between { close: &[Part::Text(CLOSE)], open: &[Part::Text(OPEN)] })
    }

    fn parse(&self, text: &str) -> Result<ToolCall, Error> {
        let call = text.trim().strip_prefix(OPEN).ok_or_else(|| no_call("there is no <function="))?;
        let call = call.strip_suffix(CLOSE).ok_or_else(|| no_call("the </function> is missing"))?;
        let (name, arguments) =
            call.split_once(MIDDLE).ok_or_else(|| no_call("the tag around its name does not end"))?;
        ToolCall::from_text(name, arguments)
    }
}
