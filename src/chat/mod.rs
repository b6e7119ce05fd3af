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
mod template;
mod validate;

pub use error::{Error, FieldError};
pub use message::{Conversation, Message, RequestBody, Role};
pub use template::{LocalTime, RenderOptions, Template, select_template, source_date_epoch};

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
