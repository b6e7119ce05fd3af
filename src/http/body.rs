//! The body of an answer, bounded by what an answer needs.

use serde_json::Value;

/// Bytes that any answer may have: a list of models, an error page, the fields around an answer's text.
const BASE_BYTES: u64 = 2 << 20;

/// Bytes that an answer may have for each token of text, escaped and with its reasoning.
const BYTES_PER_TOKEN: u64 = 256;

/// Bytes that an answer may have for each byte of the request: servers repeat prompts, escaped.
const BYTES_PER_SENT_BYTE: u64 = 6;

/// Limit of all limits.
const MOST_BYTES: u64 = 64 << 20;

/// Limit on the values of an answer. Each takes up to a hundred bytes of memory, and two in the text.
const MOST_VALUES: usize = 400_000;

/// Limit on the bytes of an answer to `request`, of which `sent` bytes were sent.
pub(super) fn limit(request: &Value, sent: usize) -> u64 {
    let tokens = request["max_tokens"].as_u64().unwrap_or(4096);
    BASE_BYTES
        .saturating_add(tokens.saturating_mul(BYTES_PER_TOKEN))
        .saturating_add((sent as u64).saturating_mul(BYTES_PER_SENT_BYTE))
        .min(MOST_BYTES)
}

/// Number of values in a JSON text, or more; `None` if that is within the limit.
pub(super) fn too_many_values(json: &[u8]) -> Option<usize> {
    let (mut values, mut in_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    (values > MOST_VALUES).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_as_long_as_its_tokens_and_its_request_allow() {
        let short = limit(&json!({"max_tokens": 512}), 1000);
        assert!((2 << 20..3 << 20).contains(&short), "{short}");
        assert!(limit(&json!({"max_tokens": 32_768}), 1000) > 8 << 20);
        assert_eq!(limit(&json!({"max_tokens": u64::MAX}), 1000), MOST_BYTES);
        assert_eq!(limit(&Value::Null, 0), BASE_BYTES + 4096 * BYTES_PER_TOKEN);
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        let text = json!({"content": ",[{\\\"".repeat(MOST_VALUES), "n": [1, 2]}).to_string();
        assert_eq!(too_many_values(text.as_bytes()), None);
        let zeros = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert_eq!(too_many_values(zeros.as_bytes()), Some(MOST_VALUES + 1));
    }
}
