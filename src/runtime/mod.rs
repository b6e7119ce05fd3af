//! The only module that names llama_cpp_2 or llguidance: a prompt and a grammar in, text out.

pub mod cpu;
mod ffi;
mod vocabulary;

pub use vocabulary::Vocabulary;

use crate::error::Kind;
use llama_cpp_2::{LogOptions, llama_backend::LlamaBackend, send_logs_to_tracing};
use std::{path::PathBuf, sync::OnceLock};

/// The llama.cpp backend, started at the first call and kept for the life of the process.
///
/// llama.cpp's and ggml's logs go to `tracing` (target `llama-cpp-2`), never to stderr, and a
/// failed assertion in ggml ends the process without starting a debugger on it.
///
/// # Errors
/// [`Error::Cpu`] on a machine without the instructions that ggml was compiled for.
pub fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    cpu::check()?;
    Ok(BACKEND.get_or_init(|| {
        ffi::forbid_backtraces();
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().expect("only this function starts the backend, and only once")
    }))
}

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine lacks instructions that the C++ half was compiled for.
    #[error(
        "this build needs a CPU with {}, and this one has not; build edgecall on this machine \
         with the GGML_* switches of the README off",
        missing.join(", ")
    )]
    Cpu {
        /// What is missing, as the CPU's vendor calls it.
        missing: Vec<&'static str>,
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
    /// The file does not begin like a GGUF file.
    #[error("{}: not a GGUF file: {found}; `edgecall convert` makes one from a checkpoint", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The path cannot be handed to llama.cpp.
    #[error("{}: llama.cpp takes only paths in UTF-8; rename the file", path.display())]
    Path {
        /// The file.
        path: PathBuf,
    },
    /// llama.cpp does not load the file and gives no reason but in its log.
    #[error("{}: llama.cpp does not load this file; -v shows its log", path.display())]
    Load {
        /// The file.
        path: PathBuf,
    },
    /// A text is longer than llama.cpp's tokenizer can count.
    #[error("the text has {bytes} bytes, and at most 2147483647 can be tokenized")]
    TextTooLong {
        /// The text's length.
        bytes: usize,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Cpu { .. } => Kind::Unavailable,
            Error::Open { .. } => Kind::NoInput,
            Error::NotGguf { .. } | Error::Path { .. } | Error::Load { .. } | Error::TextTooLong { .. } => {
                Kind::Data
            }
        }
    }
}
