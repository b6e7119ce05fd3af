//! Observer of a call: receives text while it is generated, and may end the call.

use super::Reader;
use std::ops::ControlFlow;

/// Observer of a call that is being made.
pub trait Observer {
    /// Receives text while it is generated, piece by piece; [`ControlFlow::Break`] ends the generation.
    fn text(&mut self, text: &str) -> ControlFlow<()>;

    /// True if nobody wants the answer any more. Asked before each piece of the prompt and each token of the answer; the
    /// call then ends with [`runtime::Error::Cancelled`](crate::runtime::Error::Cancelled).
    fn is_cancelled(&mut self) -> bool {
        false
    }
}

/// An observer that only receives text.
pub(super) struct TextReader<'o, 'r>(pub &'o mut Reader<'r>);

impl Observer for TextReader<'_, '_> {
    fn text(&mut self, text: &str) -> ControlFlow<()> {
        (self.0)(text)
    }
}
