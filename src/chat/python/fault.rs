//! Errors as the engine carries them.

use minijinja::{Error, ErrorKind};

/// An error of the template's own making, in the words of Python where it has some.
pub(crate) fn fault(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// What a template gave to `raise_exception`, carried as the source of the engine's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(pub(crate) String);
