//! Observer of a call: receives text while it is generated, and may end the call.

use super::{AnswerToken, Reader};
use std::ops::ControlFlow;

/// The settled beginning of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialCall {
    /// Name of the tool.
    pub name: String,
    /// Beginning of the text of the arguments, which ends behind a complete member; all of it if the call is complete.
    pub arguments: String,
}

/// Observer of a call that is being made.
pub trait Observer {
    /// Receives text while it is generated, piece by piece; [`ControlFlow::Break`] ends the generation.
    fn text(&mut self, text: &str) -> ControlFlow<()>;

    /// Receives the tokens of the text that comes next, if the settings ask for log probabilities: those that begin in it,
    /// and those before that were not received.
    fn tokens(&mut self, tokens: Vec<AnswerToken>) {
        let _ = tokens;
    }

    /// Receives the reasoning before the answer, whole.
    fn reasoning(&mut self, text: &str) {
        let _ = text;
    }

    /// True if the observer wants [`Observer::calls`].
    fn wants_calls(&self) -> bool {
        false
    }

    /// Receives the calls as far as they are settled, after each token: nothing of them is taken back, and each is longer
    /// or as long as before. Calls whose values are checked after they were written are not among them.
    fn calls(&mut self, calls: &[PartialCall]) {
        let _ = calls;
    }

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
