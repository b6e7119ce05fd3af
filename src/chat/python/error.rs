//! Errors in the engine's form.

use minijinja::{Error, ErrorKind};

/// An error of the template, in Python's words if Python has this error.
pub(crate) fn python_error(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The text that a template passed to `raise_exception`, as the source of the engine's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RaisedError(pub(crate) String);
