//! Checks of a GGUF file before llama.cpp sees it.
//!
//! llama.cpp aborts the process on many malformed files: an assertion fails, or nobody catches a C++ exception.
//! So [`gguf`](crate::gguf) checks the bytes, and this module their *meaning*. For the architectures that
//! `convert` writes, that is every hyperparameter, every tensor and the tokenizer. Files of other architectures
//! are loaded only if the user trusts them; then the keys that all architectures share are checked.

mod architecture;
mod error;
mod foreign;
mod hyperparameters;
mod keys;
mod tokens;

pub use error::Error;

use crate::{
    arch,
    gguf::{Gguf, TensorInfo},
};
#[cfg(feature = "engine")]
pub(crate) use keys::shown;

/// Trust in a model file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only files with complete checks are loaded.
    #[default]
    Checked,
    /// Files of other architectures and tokenizers are loaded, too. Their bytes, the tokenizer's arrays, and
    /// the hyperparameters that every architecture has are still checked.
    ///
    /// llama.cpp may still end the process on such a file, by an assertion or an exception. A program that must go
    /// on loads it in a child process first, as `edgecall` does; the library starts no processes.
    Unchecked,
}

/// Checks the metadata of a file of which only the vocabulary is loaded.
///
/// # Errors
/// The first violation, by key.
pub fn check_vocabulary(gguf: &Gguf, trust: Trust) -> Result<(), Error> {
    check_architecture(gguf, trust)?;
    tokens::check(gguf, trust).map(drop)
}

/// Checks the metadata of a model and the tensors of all its files.
///
/// # Errors
/// The first violation, by key or tensor.
pub fn check_model(gguf: &Gguf, tensors: &[TensorInfo], trust: Trust) -> Result<(), Error> {
    check_architecture(gguf, trust)?;
    let n_vocab = tokens::check(gguf, trust)?;
    match gguf.architecture().and_then(arch::by_name) {
        Some(architecture) => architecture::check(gguf, tensors, architecture, n_vocab),
        None => foreign::check(gguf, tensors),
    }
}

/// True if the architecture and the tokenizer that `gguf` names have complete checks: nothing is left to trust.
pub fn is_checked(gguf: &Gguf) -> bool {
    let architecture = gguf.architecture().and_then(arch::by_name);
    architecture.is_some() && tokens::is_checked(gguf)
}

fn check_architecture(gguf: &Gguf, trust: Trust) -> Result<(), Error> {
    let found = keys::Keys::new(gguf, "general").text("architecture")?.ok_or_else(|| Error::MissingKey {
        key: "general.architecture".into(),
        expected: format!("one of {}", architecture::checked().join(", ")),
    })?;
    if trust == Trust::Checked && arch::by_name(found).is_none() {
        return Err(Error::Architecture { found: found.to_owned(), checked: architecture::checked() });
    }
    Ok(())
}
