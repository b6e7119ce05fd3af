//! The body of a chat request, as it was sent.

use super::{ApiError, MAX_MESSAGES, MAX_TOOLS, Result};
use crate::{
    call::RequestFields,
    chat::{Conversation, RequestBody},
};
use serde_json::{Map, Value};

/// Fields that are read here, beside those of [`RequestFields`].
const OURS: [&str; 4] = ["model", "stream", "stream_options", DETAILS];
/// Field that asks for [`ChatBody::details`]; no other API has it.
const DETAILS: &str = "edgecall_details";

/// Form of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// One object.
    No,
    /// Chunks, with the token counts in the last one if `include_usage`.
    Yes {
        /// OpenAI's `stream_options.include_usage`.
        include_usage: bool,
    },
}

/// A chat request as it was sent.
#[derive(Clone, Debug)]
pub struct ChatBody {
    /// Messages and tools.
    pub conversation: Conversation,
    /// The other fields.
    pub fields: RequestFields,
    /// Form of the reply.
    pub streaming: Streaming,
    /// True if the answer is to say where its tokens came from, how each keyword of the schemas is handled, and what took
    /// how long.
    pub details: bool,
}

impl ChatBody {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// A body that is not JSON or has no messages; a field that has an invalid value or cannot be held, by its name.
    pub fn read(bytes: &[u8]) -> Result<ChatBody> {
        let known: Vec<&str> = RequestFields::names().into_iter().chain(OURS).collect();
        let mut body = RequestBody::parse(bytes, &known)?;
        let messages = body.conversation.messages.len();
        if messages > MAX_MESSAGES {
            return Err(too_many("messages", messages, MAX_MESSAGES));
        }
        if let Some(tools) = body.conversation.tools.as_ref().and_then(Value::as_array)
            && tools.len() > MAX_TOOLS
        {
            return Err(too_many("tools", tools.len(), MAX_TOOLS));
        }
        let streaming = streaming(&mut body.fields)?;
        let details = flag(DETAILS, body.fields.shift_remove(DETAILS))?;
        if details && streaming != Streaming::No {
            return Err(ApiError::field(DETAILS, "cannot be had of a stream; leave out one of both"));
        }
        if let Some(model) = body.fields.shift_remove("model").filter(|model| !model.is_string()) {
            return Err(ApiError::field("model", format!("is {model}; a name is expected")));
        }
        let fields = RequestFields::read(&body.fields, &body.unknown)?;
        for warning in &fields.warnings {
            tracing::debug!(warning);
        }
        Ok(ChatBody { conversation: body.conversation, fields, streaming, details })
    }
}

fn too_many(field: &str, count: usize, most: usize) -> ApiError {
    ApiError::field(field, format!("has {count} entries; up to {most} are accepted"))
}

/// A value that is true or false; false if it is missing.
fn flag(name: &str, value: Option<Value>) -> Result<bool> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(other) => Err(ApiError::field(name, format!("is {other}; true or false is expected"))),
    }
}

/// Takes `stream` and `stream_options` out of `fields`.
pub(super) fn streaming(fields: &mut Map<String, Value>) -> Result<Streaming> {
    let stream = flag("stream", fields.shift_remove("stream"))?;
    let include_usage = match fields.shift_remove("stream_options") {
        None => false,
        Some(Value::Object(mut options)) => {
            flag("stream_options.include_usage", options.shift_remove("include_usage"))?
        }
        Some(_) => return Err(ApiError::field("stream_options", "is no object")),
    };
    Ok(if stream { Streaming::Yes { include_usage } } else { Streaming::No })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(fields: Value) -> Result<ChatBody> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        ChatBody::read(body.to_string().as_bytes())
    }

    #[test]
    fn stream_and_its_options_are_read_and_held_to_their_types() {
        assert_eq!(read(json!({})).unwrap().streaming, Streaming::No);
        let streams = |include_usage| Streaming::Yes { include_usage };
        assert_eq!(read(json!({"stream": true})).unwrap().streaming, streams(false));
        let options = json!({"stream": true, "stream_options": {"include_usage": true}});
        assert_eq!(read(options).unwrap().streaming, streams(true));
        for wrong in
            [json!({"stream": "yes"}), json!({"stream": true, "stream_options": 1}), json!({"model": 7})]
        {
            assert_eq!(read(wrong.clone()).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_held_is_refused_by_name() {
        for (fields, name) in [
            (json!({"n": 2}), "n"),
            (json!({"logit_bias": {"1": 2}}), "logit_bias"),
            (json!({"frequency_penalty": 0.5}), "frequency_penalty"),
            (json!({"max_tokens": "many"}), "max_tokens"),
            (json!({"temperatur": 1}), "temperatur"),
            (json!({"top_logprobs": 3}), "top_logprobs"),
            (json!({"logprobs": false, "top_logprobs": 3}), "top_logprobs"),
            (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
            (json!({"logprobs": 3}), "logprobs"),
            (json!({"edgecall_details": 1}), "edgecall_details"),
            (json!({"edgecall_details": true, "stream": true}), "edgecall_details"),
        ] {
            let error = read(fields).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(name)), "{error}");
        }
    }

    #[test]
    fn more_messages_or_tools_than_any_request_has_are_refused() {
        let message = json!({"role": "user", "content": "Hi"});
        let many = read(json!({"messages": vec![message; MAX_MESSAGES + 1]})).unwrap_err();
        assert_eq!(many.param.as_deref(), Some("messages"));
        let many = read(json!({"tools": vec![json!({}); MAX_TOOLS + 1]})).unwrap_err();
        assert_eq!(many.param.as_deref(), Some("tools"));
    }
}
