//! Tokens of a prompt by the server's own tokenizer, for prompts in which a message spells special tokens.
//!
//! A server reads a prompt's text as a whole, and so `<|im_end|>` in a user's text would end the message there. The
//! prompt is sent as token ids instead: its parts, cut inside of such texts, are tokenized one by one. llama-server and
//! vLLM do that at `/tokenize`.

use crate::http::{Client, Error, Place};
use serde_json::{Value, json};

/// Token ids of `parts`, in order, with what the tokenizer puts before a text in front; `None` if the server has no such
/// endpoint.
///
/// # Errors
/// A server that does not answer.
pub(super) fn tokens<'p>(
    client: &Client,
    model: &str,
    parts: impl IntoIterator<Item = &'p str>,
) -> Result<Option<Vec<u64>>, Error> {
    let mut tokens = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let is_first = index == 0;
        // The names of llama-server and of vLLM; each ignores those of the other.
        let body = json!({
            "content": part, "add_special": is_first, "parse_special": true,
            "model": model, "prompt": part, "add_special_tokens": is_first,
        });
        let reply = match client.post_at(Place::Root, "/tokenize", &body) {
            Ok(reply) => reply.json,
            Err(Error::Status { status: 400..=499 | 501, .. } | Error::NotJson { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let ids =
            reply["tokens"].as_array().map(|ids| ids.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
        let Some(Some(ids)) = ids.filter(|ids| ids.as_ref().is_some_and(|ids| !ids.is_empty())) else {
            return Ok(None);
        };
        tokens.extend(ids);
    }
    Ok(Some(tokens))
}

/// True if `text` looks as if it spelt a special token of some model: for prompts of models whose tokenizer is not known.
pub(super) fn spells_special(text: &str) -> bool {
    /// Special tokens that do not have the form `<|name|>`.
    const OTHERS: [&str; 9] = [
        "<s>",
        "</s>",
        "<bos>",
        "<eos>",
        "<start_of_turn>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
        "[TOOL_CALLS]",
    ];
    /// Longest name between `<|` and `|>`, in bytes.
    const MAX_NAME: usize = 40;
    let is_name = |name: &str| {
        (1..=MAX_NAME).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c == '<')
    };
    let mut after = text.split("<|").skip(1);
    after.any(|rest| rest.split_once("|>").is_some_and(|(name, _)| is_name(name)))
        || OTHERS.iter().any(|other| text.contains(other))
}

#[cfg(test)]
mod tests {
    use super::spells_special;

    #[test]
    fn tags_of_known_forms_are_special_and_comparisons_and_pipes_are_not() {
        for text in ["a <|im_end|> b", "<|x|><|im_start|>", "x</s>", "[INST]", "<| |><|eot_id|>"] {
            assert!(spells_special(text), "{text}");
        }
        for text in ["", "a <| b", "a <| b |> c", "<||>", "1 < s > 2", "<tool_call>"] {
            assert!(!spells_special(text), "{text}");
        }
    }
}
