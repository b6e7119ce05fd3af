//! Checks of the tokenizer's keys: arrays of equal length, unique texts, valid ids.

use super::{Error, Trust, keys::Keys};
use crate::{
    arch::{pretokenizer, tokenizer::TokenizerModel},
    gguf::{Array, Gguf, Value},
};
use std::collections::HashMap;

/// The prefix of the keys.
const PREFIX: &str = "tokenizer.ggml";
/// Most tokens, many times more than any model has; llguidance keeps ids in 24 bits.
const MAX_TOKENS: usize = 1 << 22;
/// Most bytes of a token: twice the longest run of spaces in a published model.
const MAX_TOKEN_BYTES: usize = 1 << 12;
/// llama.cpp's type number of tokens that are a single byte.
const BYTE: i32 = 6;

/// Tokenizer names of models without one; llama.cpp asserts when it is asked to tokenize with them.
const NONE: [&str; 2] = ["none", "no_vocab"];

/// Checks the tokenizer's keys for consistency, and returns the number of tokens. For a tokenizer that is only
/// accepted by `trust`, the checks are those that hold for all tokenizers.
pub(super) fn check(gguf: &Gguf, trust: Trust) -> Result<u64, Error> {
    let keys = Keys::new(gguf, PREFIX);
    let missing =
        |name: &str, expected: &str| Error::MissingKey { key: keys.key(name), expected: expected.to_owned() };
    let name = keys.text("model")?.ok_or_else(|| missing("model", &checked().join(" or ")))?;
    if NONE.contains(&name) {
        return Err(Error::NoTokenizer { found: name.to_owned() });
    }
    let model = TokenizerModel::named(name);
    if model.is_none() && trust == Trust::Checked {
        return Err(Error::Tokenizer { found: name.to_owned(), checked: checked() });
    }
    let tokens = strings(&keys, "tokens")?.ok_or_else(|| missing("tokens", "an array of strings"))?;
    check_count(&keys, tokens)?;
    check_texts(tokens)?;
    check_scores(&keys, tokens.len())?;
    check_types(&keys, tokens)?;
    match model {
        Some(TokenizerModel::SentencePiece) => check_bytes(&keys, tokens)?,
        Some(TokenizerModel::ByteLevelBpe) => check_merges(
            &keys,
            strings(&keys, "merges")?.ok_or_else(|| missing("merges", "an array of strings"))?,
        )?,
        None => {}
    }
    if let Some(pre) = keys.text("pre")?.filter(|_| model == Some(TokenizerModel::ByteLevelBpe)) {
        match pretokenizer::named(pre) {
            Some(known) if known.has_byte_tokens => check_bytes(&keys, tokens)?,
            Some(known) if !known.is_byte_level => {
                let expected = "a pre-tokenizer for byte-level tokens".to_owned();
                return Err(keys.wrong("pre", &Value::String(pre.to_owned()), expected));
            }
            _ => {}
        }
    }
    for name in ["add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix"] {
        keys.truth(name)?;
    }
    check_special_ids(gguf, tokens.len())?;
    Ok(tokens.len() as u64)
}

/// True if the tokenizer that `gguf` names is checked completely.
pub(super) fn is_checked(gguf: &Gguf) -> bool {
    gguf.str("tokenizer.ggml.model").and_then(TokenizerModel::named).is_some()
}

/// Names of the tokenizers that are checked completely.
fn checked() -> Vec<&'static str> {
    TokenizerModel::ALL.into_iter().map(TokenizerModel::name).collect()
}

fn strings<'g>(keys: &Keys<'g>, name: &str) -> Result<Option<&'g [String]>, Error> {
    match keys.value(name) {
        None => Ok(None),
        Some(Value::Array(Array::String(texts))) => Ok(Some(texts)),
        Some(other) => Err(keys.wrong(name, other, "an array of strings".into())),
    }
}

fn check_count(keys: &Keys<'_>, tokens: &[String]) -> Result<(), Error> {
    if (1..=MAX_TOKENS).contains(&tokens.len()) {
        return Ok(());
    }
    Err(Error::Key {
        key: keys.key("tokens"),
        found: format!("an array of {} values", tokens.len()),
        expected: format!("from 1 to {MAX_TOKENS}"),
    })
}

/// Checks that the texts are unique, as llama.cpp asserts. It reads them up to a zero byte, and replaces an
/// empty one by a name.
fn check_texts(tokens: &[String]) -> Result<(), Error> {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(tokens.len());
    let mut empty = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::Element {
                key: format!("{PREFIX}.tokens"),
                index,
                found: format!("a text of {} bytes", token.len()),
                expected: format!("at most {MAX_TOKEN_BYTES}"),
            });
        }
        let text = token.split('\0').next().unwrap_or_default();
        if text.is_empty() {
            empty.push((index, format!("[EMPTY_{index}]")));
        } else if let Some(first) = seen.insert(text, index) {
            return Err(Error::DuplicateToken { first, second: index, text: text.to_owned() });
        }
    }
    match empty.into_iter().find_map(|(index, text)| Some((*seen.get(&*text)?, index, text))) {
        Some((first, second, text)) => Err(Error::DuplicateToken { first, second, text }),
        None => Ok(()),
    }
}

fn check_scores(keys: &Keys<'_>, n_tokens: usize) -> Result<(), Error> {
    let expected = || format!("an array of {n_tokens} f32, one for each token");
    match keys.value("scores") {
        None => Ok(()),
        Some(Value::Array(Array::F32(scores))) if scores.len() == n_tokens => {
            match scores.iter().position(|score| score.is_nan()) {
                None => Ok(()),
                Some(index) => Err(Error::Element {
                    key: keys.key("scores"),
                    index,
                    found: "not a number".into(),
                    expected: "a number".into(),
                }),
            }
        }
        Some(Value::Array(Array::I32(scores))) if scores.len() == n_tokens => Ok(()),
        Some(other) => Err(keys.wrong("scores", other, expected())),
    }
}

fn check_types(keys: &Keys<'_>, tokens: &[String]) -> Result<(), Error> {
    let types = match keys.value("token_type") {
        None => return Ok(()),
        Some(Value::Array(Array::I32(types))) if types.len() == tokens.len() => types,
        Some(other) => {
            let expected = format!("an array of {} i32, one for each token", tokens.len());
            return Err(keys.wrong("token_type", other, expected));
        }
    };
    for (index, (&kind, token)) in types.iter().zip(tokens).enumerate() {
        let element = |key: &str, found: String, expected: &str| {
            Err(Error::Element { key: keys.key(key), index, found, expected: expected.to_owned() })
        };
        if !(0..=BYTE).contains(&kind) {
            return element("token_type", kind.to_string(), "a number from 0 to 6");
        }
        if kind == BYTE && byte_of(token).is_none() {
            let found = format!("the byte token `{}`", token.escape_debug());
            return element("tokens", found, "a byte as `<0x0A>`");
        }
    }
    Ok(())
}

fn byte_of(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok())?
}

/// Checks that each byte has a token. Text that no token covers is written in bytes, and llama.cpp throws an
/// exception that nobody catches if one is missing.
fn check_bytes(keys: &Keys<'_>, tokens: &[String]) -> Result<(), Error> {
    let mut found = [false; 256];
    for token in tokens {
        if let &[byte] = token.as_bytes() {
            found[usize::from(byte)] = true;
        } else if let Some(byte) = byte_of(token)
            && *token == format!("<0x{byte:02X}>")
        {
            found[usize::from(byte)] = true;
        }
    }
    match found.iter().position(|found| !found) {
        None => Ok(()),
        Some(byte) => Err(Error::Key {
            key: keys.key("tokens"),
            found: format!("without `<0x{byte:02X}>`"),
            expected: "a token for each of the 256 bytes".into(),
        }),
    }
}

fn check_merges(keys: &Keys<'_>, merges: &[String]) -> Result<(), Error> {
    // A token may start with a space, so the separator is searched for after the first character.
    let is_pair = |merge: &String| {
        let separator = merge.char_indices().skip(1).find(|(_, c)| *c == ' ');
        separator.is_some_and(|(at, _)| at + 1 < merge.len())
    };
    match merges.iter().position(|merge| !is_pair(merge)) {
        None => Ok(()),
        Some(index) => Err(Error::Element {
            key: keys.key("merges"),
            index,
            found: format!("`{}`", merges[index].chars().take(60).collect::<String>().escape_debug()),
            expected: "two tokens and a space between them".into(),
        }),
    }
}

/// Checks every key like `bos_token_id`, also those that llama.cpp does not know and ignores.
fn check_special_ids(gguf: &Gguf, n_tokens: usize) -> Result<(), Error> {
    for (key, value) in &gguf.metadata {
        if !(key.starts_with(PREFIX) && key.ends_with("_token_id")) {
            continue;
        }
        match value {
            Value::U32(id) if (*id as usize) < n_tokens => {}
            other => {
                return Err(Error::Key {
                    key: key.clone(),
                    found: super::keys::shown(other),
                    expected: format!("a u32 below {n_tokens}, the number of tokens"),
                });
            }
        }
    }
    Ok(())
}
