//! A conversation as JSON in OpenAI's form.

use edgecall::{chat::Conversation, json};
use serde_json::{Value, json};

/// `{"messages": [...]}`, as `--messages` takes it.
pub(super) fn json(conversation: &Conversation) -> String {
    let messages: Vec<Value> =
        conversation.messages.iter().map(|message| message.fields().clone().into()).collect();
    json::spaced(&json!({"messages": messages}))
}
