//! A server's result as the model is told of it.

use crate::{
    agent::{DEFAULT_MAX_OUTPUT, Status, ToolResult, shortened},
    json,
};
use rmcp::{
    ServiceError,
    model::{CallToolResult, ContentBlock, ResourceContents},
};
use serde_json::Value;

/// The result for the model: texts as they are, everything else by its name and size.
pub(super) fn told(result: CallToolResult) -> ToolResult {
    let mut parts: Vec<String> = result.content.iter().map(block).collect();
    if let Some(structured) = result.structured_content.filter(|value| !value.is_null()) {
        // Most servers send the same JSON as text, for older clients.
        let is_told = parts.iter().any(|part| is_json_of(part, &structured));
        if !is_told {
            parts.push(json::spaced(&structured));
        }
    }
    let text = parts.join("\n");
    let total = text.len() as u64;
    let text = shortened(text, DEFAULT_MAX_OUTPUT, total);
    match result.is_error {
        Some(true) => ToolResult::error_with(Status::Failed, "the tool failed", [("output", text)]),
        _ => ToolResult::ok(text),
    }
}

/// A request without a result.
pub(super) fn unanswered(error: &ServiceError) -> ToolResult {
    match error {
        ServiceError::McpError(error) => {
            let said = error.message.clone().into_owned();
            let total = said.len() as u64;
            let said = shortened(said, DEFAULT_MAX_OUTPUT, total);
            ToolResult::error_with(Status::Failed, "the server refuses the call", [("output", said)])
        }
        ServiceError::TransportClosed | ServiceError::TransportSend(_) => {
            ToolResult::error(Status::Failed, "the server has ended")
        }
        _ => ToolResult::error(Status::Failed, "the server's answer cannot be read"),
    }
}

fn is_json_of(text: &str, value: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|parsed| parsed == *value)
}

fn block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => unshown("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => unshown("audio", &audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                unshown(uri, mime_type.as_deref().unwrap_or("unknown type"), blob)
            }
            _ => "[a resource of an unknown kind]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[{}: {}]", link.name, link.uri),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

/// The line in the place of what is no text; `data` is in base64.
fn unshown(what: &str, mime_type: &str, data: &str) -> String {
    format!("[{what}: {mime_type}, {} bytes, not shown]", data.len() / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(value: Value) -> ToolResult {
        told(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn text_is_told_and_everything_else_named() {
        let result = result(json!({"content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            {"type": "audio", "data": "AAAAAAAA", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "two"}},
            {"type": "resource", "resource": {"uri": "file:///b", "mimeType": "x/y", "blob": "AAAA"}},
            {"type": "resource_link", "uri": "file:///c", "name": "three"},
        ]}));
        assert_eq!(
            result.content,
            "one\n[image: image/png, 3 bytes, not shown]\n[audio: audio/wav, 6 bytes, not shown]\n[file:///a]\ntwo\n\
             [file:///b: x/y, 3 bytes, not shown]\n[three: file:///c]"
        );
        assert_eq!(result.status, Status::Ok);
    }

    #[test]
    fn structured_content_is_told_once() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let structured = json!({"t": 22.5, "a": [1]});
        let both =
            result(json!({"content": [text("{\"t\":22.5,\"a\":[1]}")], "structuredContent": structured}));
        assert_eq!(both.content, "{\"t\":22.5,\"a\":[1]}");
        let alone = result(json!({"content": [], "structuredContent": structured}));
        assert_eq!(alone.content, r#"{"t": 22.5, "a": [1]}"#);
        let other = result(json!({"content": [text("warm")], "structuredContent": structured}));
        assert_eq!(other.content, "warm\n{\"t\": 22.5, \"a\": [1]}");
    }

    #[test]
    fn an_error_and_a_long_text_are_told_as_such() {
        let error = result(json!({"content": [{"type": "text", "text": "no such file"}], "isError": true}));
        assert_eq!(
            (error.status, error.content.as_str()),
            (Status::Failed, r#"{"error": "the tool failed", "output": "no such file"}"#)
        );
        let long = result(json!({"content": [{"type": "text", "text": "x".repeat(1 << 20)}]}));
        assert!(long.content.ends_with("[cut off: 16384 of 1048576 bytes]") && long.content.len() < 17_000);
        assert_eq!(result(json!({"content": []})).content, "(no output)");
    }
}
