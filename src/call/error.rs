//! Errors of a call.

use super::{Call, Parts, Timings};
use crate::{
    chat,
    kind::Kind,
    memory::{AddressSpaceError, MemoryError},
    remedy::Remedy,
    runtime::{self, Completion, Finish, Repetition, validator::Violation},
    tools,
};

/// An answer that was cut short.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The text generated so far.
    pub partial: String,
    /// Durations and token counts up to there.
    pub timings: Timings,
}

/// Result of the functions that make a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reasons why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tokens ran out before the answer was complete.
    #[error("the budget of {max_tokens} tokens ended before the {what} did")]
    Budget {
        /// The budget.
        max_tokens: usize,
        /// The expected answer for the message: `call`, or `answer` where text is allowed.
        what: &'static str,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// The context was full before the answer was complete.
    #[error("the context of {n_ctx} tokens was full before the {what} was complete; shorten the prompt")]
    ContextFull {
        /// The context's length.
        n_ctx: usize,
        /// The expected answer for the message: `call`, or `answer` where text is allowed.
        what: &'static str,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// The model repeated itself.
    #[error(
        "the model repeats itself: the same {} {times} times in a row, before the {what} was complete: {}",
        match .run { 1 => "token".to_owned(), run => format!("{run} tokens") }, shown(.text)
    )]
    Repetition {
        /// Number of tokens that are repeated.
        run: usize,
        /// Number of times that they were written.
        times: usize,
        /// Their text.
        text: String,
        /// The expected answer for the message: `call`, or `answer` where text is allowed.
        what: &'static str,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// Every value that was generated failed a check that the grammar cannot express.
    #[error(
        "no value for {what} passed its check in {attempts} attempts; the last one failed `{}` at {}: {}",
        violation.keyword, violation.pointer, violation.message
    )]
    Unsatisfied {
        /// The value that has the schema: the arguments of a tool, or the answer.
        what: String,
        /// Number of values generated.
        attempts: usize,
        /// The reason why the last of them was refused.
        violation: Box<Violation>,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// The answer is not a call that the tools accept, although the grammar should have ensured that.
    #[error("the model's answer is not valid, and nothing else was tried")]
    Invalid {
        /// The violation.
        #[source]
        source: tools::Error,
        /// The text that was generated.
        partial: String,
    },
    /// The model has no chat template.
    #[error(
        "the model has no chat template (key `tokenizer.chat_template`), so it is not known how to talk to it"
    )]
    NoTemplate,
    /// The model's template uses a tool-call format that is not supported.
    #[error(
        "the model's chat template teaches a call format that is not supported: {format}; supported are {}",
        supported.join(", ")
    )]
    NoDialect {
        /// Name of the format.
        format: &'static str,
        /// Names of the supported formats.
        supported: Vec<String>,
    },
    /// The messages cannot fit the context, whatever the tokenizer makes of them.
    #[error(
        "the prompt has {bytes} bytes of messages, which are {at_least} tokens or more, and the context has {n_ctx} \
         (the model takes up to {n_ctx_train}); shorten the conversation"
    )]
    TextTooLong {
        /// Bytes of the messages.
        bytes: usize,
        /// Lower bound of their tokens.
        at_least: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
    },
    /// The prompt fills the context, with no token left for the answer.
    #[error(
        "the prompt has {n_prompt} tokens and the context {n_ctx} (the model takes up to {n_ctx_train}); \
         shorten the conversation or the tools\n{parts}"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_prompt: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
        /// Tokens by part of the prompt, and the number of messages that would fit.
        parts: Parts,
    },
    /// A field of a request body is invalid, or cannot be held.
    #[error("the request's `{field}` {problem}")]
    Field {
        /// The field.
        field: String,
        /// The defect.
        problem: String,
    },
    /// Messages or a chat template that cannot be used.
    #[error(transparent)]
    Chat(#[from] chat::Error),
    /// Tools or a schema that cannot be used.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A model that cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The buffers to allocate do not fit into this machine's memory.
    #[error(transparent)]
    Memory(#[from] Box<MemoryError>),
    /// The call does not fit into what the process may address.
    #[error(transparent)]
    AddressSpace(#[from] AddressSpaceError),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Budget { .. }
            | Error::ContextFull { .. }
            | Error::Repetition { .. }
            | Error::Unsatisfied { .. }
            | Error::Invalid { .. } => Kind::Negative,
            Error::Chat(e) => e.kind(),
            Error::Tools(e) => e.kind(),
            Error::Runtime(e) => e.kind(),
            Error::Memory(_) | Error::AddressSpace(_) => Kind::Unavailable,
            Error::Field { .. }
            | Error::NoTemplate
            | Error::NoDialect { .. }
            | Error::TextTooLong { .. }
            | Error::PromptTooLong { .. } => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Budget { .. } => vec![Remedy::MoreTokens],
            Error::Repetition { .. } => vec![Remedy::AllowRepetition],
            Error::NoTemplate => vec![Remedy::ChatTemplate],
            Error::NoDialect { .. } => vec![Remedy::GenericDialect],
            Error::Memory(shortage) => shortage.remedies.iter().cloned().chain([Remedy::Force]).collect(),
            Error::Chat(e) => e.remedies(),
            Error::Runtime(e) => e.remedies(),
            _ => Vec::new(),
        }
    }

    /// The error for an answer that ended at the token budget, at the end of the context, or at a repetition, before
    /// `what` was complete.
    pub(super) fn cut_off(
        call: &Call<'_>,
        completion: &Completion,
        what: &'static str,
        timings: &Timings,
    ) -> Error {
        let partial = String::from_utf8_lossy(&completion.text).into_owned();
        let cut = Box::new(Cut { partial, timings: *timings });
        match completion.finish {
            Finish::Context => Error::ContextFull { n_ctx: timings.n_ctx, what, cut },
            Finish::Repetition(Repetition { run, times }) => {
                let last = &completion.tokens[completion.tokens.len().saturating_sub(run)..];
                let text = String::from_utf8_lossy(&call.model.vocabulary().bytes(last)).into_owned();
                Error::Repetition { run, times, text, what, cut }
            }
            _ => Error::Budget { max_tokens: call.settings.max_tokens, what, cut },
        }
    }

    /// Text that the model had generated before the failure.
    pub fn partial(&self) -> Option<&str> {
        match self {
            Error::Invalid { partial, .. } => Some(partial),
            _ => self.cut().map(|cut| cut.partial.as_str()),
        }
    }

    /// The partial answer with its timings, for the errors that have one.
    pub fn cut(&self) -> Option<&Cut> {
        match self {
            Error::Budget { cut, .. }
            | Error::ContextFull { cut, .. }
            | Error::Repetition { cut, .. }
            | Error::Unsatisfied { cut, .. } => Some(cut),
            _ => None,
        }
    }
}

/// The beginning of a text that a model wrote, on one line.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut start = format!("{:?}", text.chars().take(MOST).collect::<String>());
    if text.chars().count() > MOST {
        start += "...";
    }
    start
}
