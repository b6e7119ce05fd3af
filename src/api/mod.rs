//! OpenAI's API without HTTP: a request body to a call, and the answer to an object, to chunks, or to an error.
//!
//! ```text
//! ChatBody       bytes                        -> conversation and fields, as they were sent
//! ChatRequest    ChatBody, Defaults           -> tools, schema, settings: all that a call needs, checked
//! ChatCompletion Answer                       -> the object of the answer (in `call::openai`)
//! ApiError       call::Error                  -> status, type, code and message
//! ```

mod body;
mod chunk;
mod completion;
mod defaults;
mod details;
mod envelope;
mod error;
mod request;
mod text_chunk;

pub use body::{ChatBody, Streaming};
pub use chunk::Chunks;
pub use completion::{CompletionRequest, TextPrompt, text_completion};
pub use defaults::Defaults;
pub use details::details;
pub use error::{ApiError, Result};
pub use request::ChatRequest;
pub use text_chunk::TextChunks;

/// Most messages of a request.
pub const MAX_MESSAGES: usize = 1 << 14;
/// Most tools of a request.
pub const MAX_TOOLS: usize = 512;
/// Most bytes of one schema: of a tool's parameters or of an answer.
pub const MAX_SCHEMA_BYTES: usize = 1 << 18;
