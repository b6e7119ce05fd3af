//! Added tokens that stand outside `tokenizer.json`, brought in as transformers brings them in.

use super::read_json;
use crate::checkpoint;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// The settings that name a special token, in transformers' order.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Adds to `encoder` what `tokenizer_config.json` (`config`) knows beyond `tokenizer.json`: entries of
/// `added_tokens_decoder` (of `added_tokens.json` in old checkpoints), and special tokens named there.
///
/// After transformers 4.57, `PreTrainedTokenizerFast.__init__`: an entry equal to one of `tokenizer.json`
/// changes nothing, an entry with other flags replaces it, a new one gets the next id.
pub(super) fn add(
    encoder: &mut tokenizers::Tokenizer,
    dir: &Path,
    config: &Map<String, Value>,
) -> Result<(), checkpoint::Error> {
    let mut settings = config.clone();
    let mut decoder = BTreeMap::new();
    if let Some(Value::Object(entries)) = config.get("added_tokens_decoder") {
        for (id, entry) in entries {
            if let (Ok(id), Some(token)) = (id.parse::<u32>(), token(entry)) {
                decoder.insert(id, token);
            }
        }
    } else {
        if let Some(special) = read_json(&dir.join("special_tokens_map.json"))? {
            settings.extend(special);
        }
        let specials = special_texts(&settings);
        for (text, id) in read_json(&dir.join("added_tokens.json"))?.into_iter().flatten() {
            let special = specials.contains(&text);
            if let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                decoder.insert(id, AddedToken::from(text, special));
            }
        }
        // The ids of `tokenizer.json` win over those of the old file.
        decoder.extend(encoder.get_added_tokens_decoder());
    }

    let specials = special_texts(&settings);
    let known = encoder.get_added_tokens_decoder();
    for token in decoder.into_values() {
        if known.values().any(|k| same(k, &token)) {
            continue;
        }
        if token.special || specials.contains(&token.content) {
            encoder.add_special_tokens(&[AddedToken { special: true, ..token }]);
        } else {
            encoder.add_tokens(&[token]);
        }
    }
    for text in specials {
        if !encoder.get_added_tokens_decoder().values().any(|known| known.content == text) {
            encoder.add_special_tokens(&[AddedToken::from(text, true)]);
        }
    }
    Ok(())
}

fn same(a: &AddedToken, b: &AddedToken) -> bool {
    let flags = |t: &AddedToken| [t.single_word, t.lstrip, t.rstrip, t.normalized, t.special];
    a.content == b.content && flags(a) == flags(b)
}

/// An entry of `added_tokens_decoder`: a missing `normalized` is the opposite of `special`.
fn token(entry: &Value) -> Option<AddedToken> {
    let flag = |key| entry.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    Some(AddedToken {
        content: entry.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

/// The texts of the special tokens that the settings name, each once, in transformers' order.
fn special_texts(settings: &Map<String, Value>) -> Vec<String> {
    let named = SPECIAL_TOKENS.iter().filter_map(|key| settings.get(*key));
    let more = settings.get("additional_special_tokens").and_then(Value::as_array).into_iter().flatten();
    let mut texts = Vec::new();
    for entry in named.chain(more) {
        let text = entry.as_str().or_else(|| entry.get("content").and_then(Value::as_str));
        if let Some(text) = text.filter(|text| !text.is_empty() && !texts.iter().any(|t| t == text)) {
            texts.push(text.to_owned());
        }
    }
    texts
}
