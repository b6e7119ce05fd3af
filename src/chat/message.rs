//! Messages in OpenAI's form.

use serde_json::{Map, Value};

/// Author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// Instructions of the application, under OpenAI's newer name.
    Developer,
    /// The user; in the TFT data also a tool's result.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
}

impl Role {
    /// Every role, in the usual order of a conversation.
    pub const ALL: [Role; 5] = [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool];

    /// The role's name in messages and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A message: its role, and all fields as the template gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    role: Role,
    fields: Map<String, Value>,
}

impl Message {
    /// A message with validated fields.
    pub(super) fn new(role: Role, fields: Map<String, Value>) -> Message {
        Message { role, fields }
    }

    /// A message of plain text.
    pub fn text(role: Role, content: impl Into<String>) -> Message {
        let mut fields = Map::new();
        fields.insert("role".into(), role.as_str().into());
        fields.insert("content".into(), Value::String(content.into()));
        Message { role, fields }
    }

    /// A message of the model with calls in OpenAI's form, whose `arguments` are objects.
    pub fn calls(content: Option<&str>, tool_calls: Vec<Value>) -> Message {
        let mut message = Message::text(Role::Assistant, content.unwrap_or_default());
        message.fields.insert("tool_calls".into(), Value::Array(tool_calls));
        message
    }

    /// The result of the call `id` of the tool `name`.
    pub fn result(id: &str, name: &str, content: impl Into<String>) -> Message {
        let mut message = Message::text(Role::Tool, content);
        message.fields.insert("tool_call_id".into(), id.into());
        message.fields.insert("name".into(), name.into());
        message
    }

    /// Author of the message.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The text, if there is any.
    pub fn content(&self) -> Option<&str> {
        self.fields.get("content").and_then(Value::as_str)
    }

    /// The tool calls of an assistant message, in OpenAI's form; `arguments` are objects.
    pub fn tool_calls(&self) -> &[Value] {
        self.fields.get("tool_calls").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The message with other fields; the role stays.
    #[cfg(feature = "engine")]
    pub(crate) fn with_fields(&self, fields: Map<String, Value>) -> Message {
        Message { role: self.role, fields }
    }

    /// The message with `content` as its text and without its tool calls.
    pub fn with_content(mut self, content: impl Into<String>) -> Message {
        self.fields.insert("content".into(), Value::String(content.into()));
        self.fields.shift_remove("tool_calls");
        self
    }

    /// All fields, keys in the order of the input.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// A list of messages, and the tools that came with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The value of `tools`, if the input was an object with that key; not validated here.
    pub tools: Option<Value>,
}

impl Conversation {
    /// Inserts `text` as a system message before all others.
    pub fn with_system(mut self, text: impl Into<String>) -> Conversation {
        self.messages.insert(0, Message::text(Role::System, text));
        self
    }
}

/// A conversation, and what came with it in a request body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestBody {
    /// The messages and `tools`.
    pub conversation: Conversation,
    /// The other fields whose names the reader knows, in their order; not validated here, never null.
    pub fields: Map<String, Value>,
    /// Names of the other fields; their values are not kept.
    pub unknown: Vec<String>,
}
