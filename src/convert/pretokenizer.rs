//! Recognition of a tokenizer's pre-tokenizer, under its llama.cpp name.
//!
//! The first attempt is by hash: the ids of a test text, looked up in the table of llama.cpp's converter. A
//! custom vocabulary has no known hash, so the second attempt is by structure: normalizer, split expression and
//! byte-level flags define the pre-tokenizer, whatever the vocabulary.

use super::special::{KINDS, SpecialTokens};
use crate::{
    arch::pretokenizer::{self, CHECK_TEXT, Merges, Split},
    checkpoint::tokenizer::{self, Tokenizer},
    hash::hex,
    kind::Kind,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Reasons why no pre-tokenizer could be determined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither the hash nor the structure is known.
    #[error(
        "the pre-tokenizer is not one that llama.cpp's converter knows (hash {hash}); if you know which one \
         it behaves like, such as `qwen2` or `llama-bpe`, name that one"
    )]
    Unknown {
        /// SHA-256 of the check text's ids, as llama.cpp's converter computes it.
        hash: String,
    },
    /// A name from the user that llama.cpp does not have.
    #[error("llama.cpp knows no pre-tokenizer `{name}`{}; it knows: {}", did_you_mean(name), known_names())]
    Name {
        /// The name.
        name: String,
    },
    /// The check text could not be encoded.
    #[error("the pre-tokenizer cannot be recognised")]
    Tokenizer(#[from] tokenizer::Error),
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Name { .. } => Kind::Usage,
            _ => Kind::Data,
        }
    }
}

/// Evidence by which a pre-tokenizer was recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The hash of the test text's ids, as in llama.cpp's converter.
    Hash,
    /// The same hash, after correcting the BOS and EOS that the post-processor adds.
    HashWithoutSpecials,
    /// The normalizer, the split expression and the byte-level flags.
    Structure,
}

/// Recognizes `tokenizer`'s pre-tokenizer; returns its llama.cpp name and the evidence. `config` is
/// config.json.
///
/// # Errors
/// [`Error::Unknown`] with the hash.
pub fn recognize(
    tokenizer: &Tokenizer,
    config: &Map<String, Value>,
) -> Result<(&'static str, Evidence), Error> {
    let ids = tokenizer.encode_with_specials(CHECK_TEXT)?;
    let hash = hash(&ids);
    if let Some(name) = by_hash(&hash) {
        return Ok((name, Evidence::Hash));
    }
    let plain = tokenizer.encode(CHECK_TEXT)?;
    // A BOS or EOS that the checkpoint should add and does not. With both first, since some tokenizers are in
    // the table with and without, under different names.
    let special = SpecialTokens::find(tokenizer, config, &KINDS).unwrap_or_default();
    let (bos, eos) = (special.id("bos"), special.id("eos"));
    for (bos, eos) in [(bos, eos), (bos, None), (None, eos), (None, None)] {
        let ids: Vec<u32> = bos.into_iter().chain(plain.iter().copied()).chain(eos).collect();
        if let Some(name) = by_hash(&self::hash(&ids)) {
            return Ok((name, Evidence::HashWithoutSpecials));
        }
    }
    by_structure(tokenizer).map(|name| (name, Evidence::Structure)).ok_or(Error::Unknown { hash })
}

/// Checks that llama.cpp has the pre-tokenizer `name`, given by the user.
///
/// # Errors
/// [`Error::Name`].
pub fn check_name(name: &str) -> Result<(), Error> {
    match pretokenizer::named(name) {
        Some(_) => Ok(()),
        None => Err(Error::Name { name: name.to_owned() }),
    }
}

/// SHA-256 in hexadecimal of the ids printed as a Python list: `[1, 2, 3]`.
fn hash(ids: &[u32]) -> String {
    hex(&Sha256::digest(format!("{ids:?}")))
}

fn by_hash(hash: &str) -> Option<&'static str> {
    pretokenizer::with_hash(hash).map(|known| known.name)
}

/// The llama.cpp name of the pre-tokenizer with the same structure as `tokenizer`'s, if there is one.
///
/// llama.cpp does not normalize, so no normalizer and NFC give the same name. The caller must normalize the
/// text.
pub fn by_structure(tokenizer: &Tokenizer) -> Option<&'static str> {
    let normalizer = kind(tokenizer.normalizer());
    if !matches!(normalizer, None | Some("NFC")) {
        return None;
    }
    let steps = match kind(tokenizer.pre_tokenizer())? {
        "Sequence" => tokenizer.pre_tokenizer().get("pretokenizers")?.as_array()?.as_slice(),
        _ => std::slice::from_ref(tokenizer.pre_tokenizer()),
    };
    let (byte_level, before) = steps.split_last()?;
    if kind(byte_level)? != "ByteLevel" || flag(byte_level, "add_prefix_space") != Some(false) {
        return None;
    }
    // Old files have no `use_regex`; their ByteLevel always split.
    let splits = flag(byte_level, "use_regex").unwrap_or(true);
    let split = match (before, splits) {
        ([], true) => Split::ByteLevel,
        ([digits], true) if kind(digits)? == "Digits" => {
            (flag(digits, "individual_digits") == Some(true)).then_some(Split::Digits)?
        }
        ([split], false) if kind(split)? == "Split" => {
            let whole =
                split.get("behavior")?.as_str()? == "Isolated" && flag(split, "invert") == Some(false);
            let expression = split.get("pattern")?.get("Regex")?.as_str()?;
            whole.then_some(Split::Expression(expression))?
        }
        _ => return None,
    };
    let merges = if tokenizer.ignore_merges() { Merges::Ignored } else { Merges::Applied };
    pretokenizer::with_structure(split, merges).map(|known| known.name)
}

fn kind(component: &Value) -> Option<&str> {
    component.get("type").and_then(Value::as_str)
}

fn flag(component: &Value, key: &str) -> Option<bool> {
    component.get(key).and_then(Value::as_bool)
}

fn did_you_mean(name: &str) -> String {
    let squeeze = |s: &str| s.to_lowercase().replace(['-', '_', '.'], "");
    match pretokenizer::names().find(|known| squeeze(known) == squeeze(name)) {
        Some(known) => format!(" (did you mean `{known}`?)"),
        None => String::new(),
    }
}

fn known_names() -> String {
    pretokenizer::names().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_text_is_llama_cpps() {
        assert_eq!(CHECK_TEXT.len(), 431);
        let hash = hex(&Sha256::digest(CHECK_TEXT));
        assert_eq!(hash, "a36179c1e2b1cfcfbfad1dc779addad2ffc778201e4cf0d538bddeafa2c526da");
    }

    #[test]
    fn a_name_that_llama_cpp_does_not_know_is_refused_with_the_near_miss() {
        assert!(check_name("qwen2").is_ok());
        let error = check_name("Llama_BPE").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let message = error.to_string();
        assert!(message.starts_with(
            "llama.cpp knows no pre-tokenizer `Llama_BPE` (did you mean `llama-bpe`?); it knows: a.x-4.0,"
        ));
    }
}
