//! llama.cpp and llguidance: generates text from a prompt and a grammar. No other module names the two.

mod backtrack;
pub mod closing;
mod compiler;
pub mod constraint;
pub mod cpu;
pub mod draft;
mod error;
mod ffi;
mod fingerprint;
pub mod generate;
pub mod kernels;
mod log_capture;
mod mask;
mod masks;
mod model;
mod near_tie;
mod parts;
mod prefix;
mod repetition;
mod sample;
pub mod sequence;
mod session;
mod special_texts;
mod steps;
mod token_env;
mod trace;
pub mod validator;
mod vocabulary;

pub use crate::gguf::{FlashAttention, KV_TYPES, KvType};
pub use crate::guard::{self, Trust};
pub use compiler::Compiler;
pub use constraint::Constraint;
pub use draft::Drafter;
pub use error::Error;
pub use ffi::{kernels::started_without_stdout, leave};
pub use fingerprint::{FileStat, ModelFile, fingerprint};
pub use generate::{Completion, DecodeMode, Finish, Limits};
pub use mask::Mask;
pub use model::{LoadOptions, Metadata, Model};
pub use prefix::{Evaluated, Prefix, PrefixCache, piece_ends};
pub use repetition::Repetition;
pub use sample::{Sampler, Sampling};
pub use session::{N_BATCH, Options, Session};
pub use special_texts::SpecialTexts;
pub use steps::Steps;
pub use trace::{Score, TokenDetail, TokenSource, Traced, TracedToken};
pub use vocabulary::Vocabulary;

use llama_cpp_2::{LogOptions, llama_backend::LlamaBackend, send_logs_to_tracing};
use std::sync::OnceLock;

/// The engines with their pinned versions: other versions compute other bits.
pub const ENGINE: &str = "llama-cpp-sys-2 0.1.161, llguidance 1.9.1";

/// Starts the llama.cpp backend at the first call; it lives as long as the process.
///
/// llama.cpp's and ggml's logs go to `tracing` (target `llama-cpp-2`), never to stderr. A failed assertion in
/// ggml ends the process without starting a debugger on it.
///
/// # Errors
/// Errors of [`kernels::active`].
pub fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    kernels::active()?;
    Ok(BACKEND.get_or_init(|| {
        ffi::forbid_backtraces();
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().expect("only this function starts the backend, and only once")
    }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_engine_is_named_as_it_is_pinned() {
        let manifest = include_str!("../../Cargo.toml");
        for part in super::ENGINE.split(", ") {
            let (name, version) = part.split_once(' ').unwrap();
            let pin = format!("\"={version}\"");
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} ="))).unwrap();
            assert!(line.contains(&pin), "{line}");
        }
    }
}
