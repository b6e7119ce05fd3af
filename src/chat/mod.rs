//! Conversation -> prompt.
//!
//! A [`Conversation`] is read from messages in OpenAI's form and checked field by field; a
//! [`Template`] is the model's own Jinja chat template and renders it as `transformers` would,
//! byte for byte. [`select_template`] picks among several templates of one model.

mod error;
mod message;
mod python;
mod read;
mod template;

pub use error::{Error, Problem};
pub use message::{Conversation, Message, Role};
pub use template::{LocalTime, RenderOptions, Template, select_template, source_date_epoch};

/// The system text that the TFT models were trained with, around a task description.
///
/// The description is taken as it stands; the two line feeds at the end belong to the text.
pub fn task_system_text(task_description: &str) -> String {
    format!(
        "You are a tool-calling model working on:\n<task_description>{task_description}</task_description>\n\n\
         Respond to the conversation history by generating an appropriate tool call that satisfies the user \
         request. Generate only the tool call according to the provided tool schema, do not generate anything \
         else. Always respond with a tool call.\n\n"
    )
}
