//! Conversation -> prompt.
//!
//! A [`Conversation`] is parsed from messages in OpenAI's form and validated field by field. A [`Template`] is
//! the model's own Jinja chat template and renders it as `transformers` does, byte for byte.
//! [`select_template`] picks one of several templates of a model.

mod error;
mod message;
mod python;
mod read;
mod results;
mod tags;
mod template;
mod validate;

pub use error::{Error, FieldError};
pub use message::{Conversation, Message, RequestBody, Role};
pub use template::{LocalTime, RenderOptions, Renderer, Template, select_template, source_date_epoch};

/// `repr` of a float in Python, as templates print it.
pub(crate) fn python_float(value: f64) -> String {
    python::float_repr(value)
}

/// True if Python's `repr` of a string shows `c` as it is.
pub(crate) fn is_printable_in_python(c: char) -> bool {
    python::is_printable(c)
}

/// The system prompt with which the TFT models were trained, for a task description.
///
/// The description is inserted unchanged. The two line feeds at the end are part of the prompt.
pub fn task_system_text(task_description: &str) -> String {
    format!(
        "You are a tool-calling model working on:\n<task_description>{task_description}</task_description>\n\n\
         Respond to the conversation history by generating an appropriate tool call that satisfies the user \
         request. Generate only the tool call according to the provided tool schema, do not generate anything \
         else. Always respond with a tool call.\n\n"
    )
}
