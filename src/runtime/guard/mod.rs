//! A GGUF file is looked through before llama.cpp sees it.
//!
//! llama.cpp ends the process on much that a file can say: an assertion fails, or a C++ exception
//! meets nobody. So what the bytes are is checked by [`gguf`](crate::gguf), and what they *mean* here:
//! for the architectures that `convert` writes, every hyperparameter, every tensor and the
//! tokenizer. Other architectures pass only where the user trusts the file, and then what they share
//! with all others is checked.

mod architecture;
mod error;
mod foreign;
mod keys;
mod split;
mod tokens;

pub use error::Error;

use crate::gguf::{Gguf, TensorInfo};
pub(super) use split::Parts;

/// How far a model file is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only files that were checked whole are loaded.
    #[default]
    Checked,
    /// Files of architectures and tokenizers that are not checked whole are loaded too. What is checked
    /// of them all the same: the bytes, the tokenizer's arrays, and the hyperparameters that every
    /// architecture has.
    Unchecked,
}

/// Checks the metadata of a file that only its vocabulary is wanted of.
///
/// # Errors
/// The first thing that is wrong, by key.
pub fn check_vocabulary(gguf: &Gguf, trust: Trust) -> Result<(), Error> {
    check_architecture(gguf, trust)?;
    tokens::check(gguf, trust).map(drop)
}

/// Checks the metadata of a model and the tensors of all its files.
///
/// # Errors
/// The first thing that is wrong, by key or tensor.
pub fn check_model(gguf: &Gguf, tensors: &[TensorInfo], trust: Trust) -> Result<(), Error> {
    check_architecture(gguf, trust)?;
    let n_vocab = tokens::check(gguf, trust)?;
    match gguf.architecture() {
        Some(name) if architecture::is_checked(name) => architecture::check(gguf, tensors, n_vocab),
        _ => foreign::check(gguf, tensors),
    }
}

fn check_architecture(gguf: &Gguf, trust: Trust) -> Result<(), Error> {
    let found = keys::Keys::new(gguf, "general").text("architecture")?.ok_or_else(|| Error::MissingKey {
        key: "general.architecture".into(),
        expected: format!("one of {}", architecture::checked().join(", ")),
    })?;
    if trust == Trust::Checked && !architecture::is_checked(found) {
        return Err(Error::Architecture { found: found.to_owned(), checked: architecture::checked() });
    }
    Ok(())
}
