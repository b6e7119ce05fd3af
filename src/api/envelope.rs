//! The object around each chunk of a stream.

use crate::{call::openai::Usage, json};
use serde_json::{Value, json};

/// Properties that all chunks of one answer share.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// Id of the answer, with its prefix.
    pub id: String,
    /// OpenAI's name of the object.
    pub object: &'static str,
    /// Time of the answer in Unix seconds.
    pub created: u64,
    /// Name of the model.
    pub model: String,
    /// True if the token counts come as the last chunk.
    pub include_usage: bool,
}

impl Envelope {
    /// A chunk with one choice.
    pub fn chunk(&self, choice: &Value) -> String {
        let mut chunk = self.with_choices(&json!([choice]));
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        json::spaced(&chunk)
    }

    /// The last chunks: `end`, and the token counts if they were asked for.
    pub fn last(&self, end: String, usage: Usage) -> Vec<String> {
        let mut chunks = vec![end];
        if self.include_usage {
            let mut chunk = self.with_choices(&json!([]));
            chunk["usage"] = serde_json::to_value(usage).unwrap_or_default();
            chunks.push(json::spaced(&chunk));
        }
        chunks
    }

    fn with_choices(&self, choices: &Value) -> Value {
        let Envelope { id, object, created, model, .. } = self;
        json!({"id": id, "object": object, "created": created, "model": model, "choices": choices})
    }
}
