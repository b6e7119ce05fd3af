//! Events of an answer, from the thread with the model to a connection.

use crate::{
    api::ApiError,
    call::{Answer, AnswerToken, Continuation, Cut, PartialCall},
    remedy::Remedy,
};

/// Event of an answer.
pub(super) enum Event {
    /// The reasoning.
    Reasoning(String),
    /// The next piece of the text, with its tokens if their log probabilities were asked for.
    Text(String, Vec<AnswerToken>),
    /// The call at this index, as far as it is settled now.
    Call(usize, PartialCall),
    /// The answer; no event follows.
    Done(Outcome),
}

/// End of an answer.
pub(super) enum Outcome {
    /// A usable answer.
    Answer(Box<Answer>),
    /// The tokens ran out before any of it could be used, or the model repeated itself.
    CutOff {
        /// The partial answer.
        cut: Box<Cut>,
        /// The reason in words.
        reason: String,
        /// A change that would help.
        remedy: Option<Remedy>,
    },
    /// The continuation of a prompt.
    Continuation(Box<Continuation>),
    /// None.
    Failed(ApiError),
}
