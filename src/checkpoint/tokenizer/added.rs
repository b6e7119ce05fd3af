//! Added tokens from outside `tokenizer.json`, merged as transformers does it.
//!
//! After transformers 4.57 (`PreTrainedTokenizerBase._from_pretrained`, `PreTrainedTokenizerFast.__init__`). A
//! vocabulary written by llama.cpp's converter is that of the loaded tokenizer, not that of the file.

use super::read::read_json;
use crate::{
    arch::{self, tokenizer::class_named},
    checkpoint,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// Settings with a special token, in transformers' order.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Adds to `encoder` the tokens that `tokenizer_config.json` (`config`) has beyond `tokenizer.json`: the
/// entries of `added_tokens_decoder` (of `added_tokens.json` in old checkpoints), and its special tokens.
///
/// An entry that `tokenizer.json` has with other flags replaces that one; a new entry gets the next id.
pub(super) fn add(
    encoder: &mut tokenizers::Tokenizer,
    dir: &Path,
    config: &Map<String, Value>,
) -> Result<(), checkpoint::Error> {
    let mut settings = config.clone();
    let mut entries = BTreeMap::new();
    if let Some(Value::Object(decoder)) = config.get("added_tokens_decoder") {
        entries.extend(decoder.iter().filter_map(|(id, entry)| Some((id.parse().ok()?, entry.clone()))));
    } else {
        if let Some(special) = read_json(&dir.join("special_tokens_map.json"))? {
            settings.extend(special);
        }
        for (text, id) in read_json(&dir.join("added_tokens.json"))?.into_iter().flatten() {
            if let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                entries.insert(id, Value::String(text));
            }
        }
        // `tokenizer.json` wins over the old file.
        for (id, token) in encoder.get_added_tokens_decoder() {
            entries.insert(id, serde_json::to_value(&token).unwrap_or_default());
        }
    }
    add_class_defaults(&mut settings, dir)?;

    let specials = special_entries(&settings);
    let is_special = |entry: &Value| specials.iter().any(|special| text(special) == text(entry));
    let known = encoder.get_added_tokens_decoder();
    let mut tokens: Vec<AddedToken> =
        entries.values().filter_map(|entry| token(entry, is_special(entry))).collect();
    for entry in &specials {
        let is_known = |token: &AddedToken| Some(token.content.as_str()) == text(entry);
        if !known.values().chain(&tokens).any(is_known) {
            tokens.extend(token(entry, true));
        }
    }
    encoder.add_tokens(&tokens);
    Ok(())
}

/// Fills in the special tokens that transformers' tokenizer classes have by default.
fn add_class_defaults(settings: &mut Map<String, Value>, dir: &Path) -> Result<(), checkpoint::Error> {
    let class = match settings.get("tokenizer_class").and_then(Value::as_str) {
        Some(name) => class_named(name),
        None => {
            let config = read_json(&dir.join("config.json"))?.unwrap_or_default();
            let model_type = config.get("model_type").and_then(Value::as_str);
            model_type.and_then(arch::by_model_type).map(|architecture| architecture.tokenizer_class)
        }
    };
    for (key, token) in class.map_or(&[][..], |class| class.special_tokens) {
        settings.entry(*key).or_insert_with(|| Value::String((*token).to_owned()));
    }
    Ok(())
}

/// The special tokens in the settings, each text once, in transformers' order.
fn special_entries(settings: &Map<String, Value>) -> Vec<Value> {
    let named = SPECIAL_TOKENS.iter().filter_map(|key| settings.get(*key));
    let more = ["additional_special_tokens", "extra_special_tokens"].iter().flat_map(|key| {
        match settings.get(*key) {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(Value::Object(named)) => named.values().collect(),
            _ => Vec::new(),
        }
    });
    let mut entries: Vec<Value> = Vec::new();
    for entry in named.chain(more) {
        let new =
            text(entry).is_some_and(|new| !new.is_empty() && !entries.iter().any(|e| text(e) == Some(new)));
        if new {
            entries.push(entry.clone());
        }
    }
    entries
}

/// A token's text: the entry itself, or its `content`.
fn text(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| entry.get("content").and_then(Value::as_str))
}

/// Converts an entry to a token. The default of `normalized` is the opposite of `special`.
fn token(entry: &Value, named_special: bool) -> Option<AddedToken> {
    let flag = |key| entry.get(key).and_then(Value::as_bool);
    let special = named_special || flag("special").unwrap_or(false);
    Some(AddedToken {
        content: text(entry)?.to_owned(),
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{checkpoint, tokenizer_json};
    use super::super::{Added, Token, Tokenizer};
    use serde_json::{Value, json};

    /// The tokens from id 4 on: what was added.
    fn added(files: &[(&str, Value)]) -> Vec<Token> {
        let mut files = files.to_vec();
        files.push(("tokenizer.json", tokenizer_json()));
        let dir = checkpoint(&files);
        Tokenizer::open(dir.path()).unwrap().tokens().unwrap().split_off(4)
    }

    fn token(id: u32, text: &str, special: bool, normalized: bool) -> Token {
        Token { id, text: text.to_owned(), added: Some(Added { special, normalized }) }
    }

    // Expected values in these tests: transformers 4.57.6.
    #[test]
    fn the_configurations_entries_change_flags_and_get_new_ids() {
        let decoder = json!({
            "4": {"content": "<end>", "special": false, "normalized": true},
            "9": {"content": "<new>", "special": true},
        });
        let config = json!({"added_tokens_decoder": decoder, "tokenizer_class": "PreTrainedTokenizerFast"});
        assert_eq!(
            added(&[("tokenizer_config.json", config)]),
            [token(4, "<end>", false, true), token(5, "<new>", true, false)]
        );
    }

    #[test]
    fn special_tokens_that_nobody_has_are_added() {
        let config = json!({
            "pad_token": "<pad>", "eos_token": {"content": "<end>"}, "tokenizer_class": "X",
            "additional_special_tokens": ["<a>", "<pad>"], "extra_special_tokens": {"image_token": "<b>"},
        });
        assert_eq!(
            added(&[("tokenizer_config.json", config)]),
            [
                token(4, "<end>", true, false),
                token(5, "<pad>", true, false),
                token(6, "<a>", true, false),
                token(7, "<b>", true, false)
            ]
        );
    }

    #[test]
    fn old_checkpoints_name_them_in_two_more_files() {
        let files = [
            ("tokenizer_config.json", json!({"tokenizer_class": "X"})),
            ("special_tokens_map.json", json!({"pad_token": {"content": "<two>"}})),
            ("added_tokens.json", json!({"<two>": 8, "<one>": 7})),
        ];
        assert_eq!(
            added(&files),
            [token(4, "<end>", true, false), token(5, "<one>", false, true), token(6, "<two>", true, false)]
        );
    }

    #[test]
    fn a_class_brings_its_own_special_tokens_unless_they_are_null() {
        let class = |config| added(&[("tokenizer_config.json", config)]).len();
        assert_eq!(class(json!({"tokenizer_class": "LlamaTokenizerFast"})), 4);
        assert_eq!(
            class(json!({"tokenizer_class": "LlamaTokenizer", "unk_token": null, "bos_token": "<end>"})),
            2
        );
        assert_eq!(added(&[("config.json", json!({"model_type": "qwen3"}))]).len(), 2);
    }
}
