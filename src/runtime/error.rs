//! Reasons why a model cannot be loaded or run.

use super::guard;
use crate::{kind::Kind, remedy::Remedy};
use std::path::{Path, PathBuf};

/// Reasons why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The CPU cannot run the requested kernels, or any kernels of this program.
    #[error("the kernels `{name}` need a CPU with {}, and this one has not; {way_on}", missing.join(", "))]
    Cpu {
        /// Name of the kernels.
        name: &'static str,
        /// The missing instruction sets, under the CPU vendor's names.
        missing: Vec<&'static str>,
        /// The remedy, in words.
        way_on: String,
    },
    /// This program has no kernels of the requested name.
    #[error("there are no kernels named `{name}` in this program; it has {}", compiled.join(", "))]
    Kernels {
        /// The requested name.
        name: String,
        /// The names that it has.
        compiled: Vec<&'static str>,
    },
    /// The model file is missing or cannot be read.
    #[error("cannot read the model {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The path is a folder, perhaps a checkpoint.
    #[error("{} is a folder; `edgecall convert` makes a GGUF file of a checkpoint folder", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The path is a pipe or a device.
    #[error("{} is no regular file; a model is mapped into memory, so save it to a file first", path.display())]
    Irregular {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a GGUF file, or a damaged one.
    #[error("cannot use {} as a model", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: crate::gguf::Error,
    },
    /// The metadata or tensors are those of no model that can be run.
    #[error("cannot use {} as a model", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// The first violation.
        #[source]
        source: guard::Error,
    },
    /// The path is not UTF-8, which llama.cpp requires.
    #[error("{}: llama.cpp takes only paths in UTF-8; rename the file", path.display())]
    Path {
        /// The file.
        path: PathBuf,
    },
    /// llama.cpp does not load the file.
    #[error("{}: llama.cpp does not load this model: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The reason in llama.cpp's log.
        reason: String,
    },
    /// A text is longer than llama.cpp's tokenizer can count.
    #[error("the text has {bytes} bytes, and at most 2147483647 can be tokenized")]
    TextTooLong {
        /// Bytes of the text.
        bytes: usize,
    },
    /// A text with characters that the tokenizer has no token for, not even bytes.
    #[error(
        "the model's tokenizer has no token for a part of a text of {bytes} bytes; leave out characters that its \
         vocabulary does not cover"
    )]
    Untokenized {
        /// Bytes of the text.
        bytes: usize,
    },
    /// No memory for the stack that tokenizing a long text needs.
    #[error(
        "a text of {bytes} bytes needs a thread with {stack_mib} MiB of stack to be tokenized; shorten it, or raise the \
         limit: {}",
        crate::stack::LIMITS
    )]
    Stack {
        /// Bytes of the text.
        bytes: usize,
        /// Size of the stack.
        stack_mib: usize,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The caller no longer wants the answer.
    #[error("the answer is no longer wanted")]
    Cancelled,
    /// The prompt fills the context, with no token left for the answer.
    #[error(
        "the prompt has {n_prompt} tokens and the context {n_ctx} (the model takes up to {n_ctx_train}); \
         shorten the conversation or the tools"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_prompt: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
    },
    /// The requested context is longer than the model was trained for.
    #[error("a context of {n_ctx} tokens was asked for, and the model was trained for {n_ctx_train}")]
    ContextTooLong {
        /// Requested length in tokens.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
    },
    /// llama.cpp cannot create the context.
    #[error(
        "llama.cpp makes no context of {n_ctx} tokens with a KV cache in {kv_type}: {reason}; ask for \
         fewer tokens or another type"
    )]
    Context {
        /// Tokens of the context.
        n_ctx: usize,
        /// The KV cache's type.
        kv_type: &'static str,
        /// The reason in llama.cpp's log.
        reason: String,
    },
    /// A quantized KV cache needs flash attention, which was turned off.
    #[error(
        "a KV cache in {kv_type} takes flash attention, which was turned off; turn it on, or keep the cache in f16"
    )]
    FlashAttention {
        /// The KV cache's type.
        kv_type: &'static str,
    },
    /// More threads than the process has CPUs.
    #[error(
        "{threads} threads were asked for, and this process may use {most} CPUs: more threads than CPUs \
         wait for each other instead of computing; ask for at most {most}"
    )]
    Threads {
        /// The requested number.
        threads: usize,
        /// The number of CPUs that the process may use.
        most: usize,
    },
    /// More tokens than the context holds.
    #[error("the context of {n_ctx} tokens is full")]
    ContextFull {
        /// Tokens of the context.
        n_ctx: usize,
    },
    /// llama.cpp failed to compute.
    #[error("llama.cpp failed to decode (its code {code}); -v shows its log")]
    Decode {
        /// Return value of `llama_decode`.
        code: i32,
    },
    /// A grammar does not compile.
    #[error("the grammar does not compile: {reason}")]
    Grammar {
        /// llguidance's reason.
        reason: String,
    },
    /// The matcher failed in the middle of a text.
    #[error("the grammar cannot be held against the text any longer: {reason}")]
    Constraint {
        /// llguidance's reason.
        reason: String,
    },
    /// Every value that was generated failed a check that the grammar cannot express.
    #[error(
        "no value that `{}` at {} accepts came up in {attempts} attempts: {}",
        violation.keyword, violation.pointer, violation.message
    )]
    Unsatisfied {
        /// Number of values generated.
        attempts: usize,
        /// The reason why the last of them was refused.
        violation: Box<super::validator::Violation>,
        /// The text before the end of the last value.
        written: Vec<u8>,
    },
    /// A value failed its check, and the model's memory cannot be rolled back.
    #[error(
        "llama.cpp cannot take this model's memory back to token {n_past}, so no other value can be tried"
    )]
    Rewind {
        /// The number of tokens to keep.
        n_past: usize,
    },
    /// The grammar allows no continuation, or none that the vocabulary has tokens for.
    #[error(
        "nothing can follow what is written: keywords of the schema contradict each other there, or the model's \
         vocabulary has no token for what they ask for"
    )]
    DeadEnd,
    /// No allowed token has a finite logit.
    #[error("the model gives no token that the grammar takes a finite logit; is the file damaged?")]
    NoToken,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Unsatisfied { .. } | Error::Rewind { .. } => Kind::Negative,
            Error::Cpu { .. } | Error::Context { .. } | Error::Stack { .. } => Kind::Unavailable,
            Error::Open { .. } => Kind::NoInput,
            Error::Cancelled => Kind::Interrupted,
            Error::Kernels { .. }
            | Error::ContextTooLong { .. }
            | Error::Threads { .. }
            | Error::FlashAttention { .. } => Kind::Usage,
            Error::Folder { .. }
            | Error::Irregular { .. }
            | Error::Gguf { .. }
            | Error::Model { .. }
            | Error::Path { .. }
            | Error::Load { .. }
            | Error::TextTooLong { .. }
            | Error::Untokenized { .. }
            | Error::PromptTooLong { .. }
            | Error::ContextFull { .. }
            | Error::Grammar { .. }
            | Error::DeadEnd
            | Error::NoToken => Kind::Data,
            Error::Decode { .. } | Error::Constraint { .. } => Kind::Bug,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Model { source, .. } => source.remedies(),
            _ => Vec::new(),
        }
    }

    pub(super) fn refused(path: &Path, source: guard::Error) -> Error {
        Error::Model { path: path.to_path_buf(), source }
    }

    pub(super) fn grammar(reason: impl std::fmt::Display) -> Error {
        Error::Grammar { reason: reason.to_string() }
    }

    pub(super) fn constraint(reason: impl std::fmt::Display) -> Error {
        let reason = reason.to_string();
        // llguidance's name for an empty mask.
        if reason.starts_with("NoExtensionBias") { Error::DeadEnd } else { Error::Constraint { reason } }
    }
}
