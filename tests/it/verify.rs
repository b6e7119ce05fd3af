//! The token check passes if the tokenizers agree, and names the text on which they differ.

use crate::shared::shared;
use edgecall::arch::{self, tokenizer::ExtraKeys};
use edgecall::checkpoint::tokenizer::Tokenizer;
use edgecall::convert::vocab;
use edgecall::gguf::{Array, Header, Value};
use edgecall::remedy::Remedy;
use edgecall::{Kind, verify};
use serde_json::{Map, json};
use std::path::{Path, PathBuf};

fn pocket() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

/// A GGUF file with a vocabulary and no weights.
fn vocabulary(keys: Vec<(String, Value)>, architecture: &str) -> tempfile::NamedTempFile {
    let architecture = Value::String(architecture.to_owned());
    let metadata = std::iter::once(("general.architecture".to_owned(), architecture)).chain(keys).collect();
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    std::fs::write(file.path(), Header::new(metadata).encode()).unwrap();
    file
}

fn pocket_keys(pre: &str) -> (Tokenizer, Vec<(String, Value)>) {
    let config = std::fs::read(pocket().join("config.json")).unwrap();
    let config: Map<_, _> = serde_json::from_slice(&config).unwrap();
    let tokenizer = Tokenizer::open(&pocket()).unwrap();
    let keys = vocab::metadata(&tokenizer, &config, 4096, pre, &ExtraKeys::NONE).unwrap();
    (tokenizer, keys)
}

#[test]
fn pockets_written_tokenizer_is_the_checkpoints() {
    let (tokenizer, keys) = pocket_keys("qwen2");
    let report = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap();
    assert!(report.texts > 300 && report.tokens > 8_000, "{report:?}");
}

#[test]
fn a_wrong_pre_tokenizer_is_named_with_the_text_and_both_sides_ids() {
    let (tokenizer, keys) = pocket_keys("gpt-2");
    let error = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let message = error.to_string();
    assert!(message.starts_with("the written tokenizer is not the checkpoint's: at ..."), "{message}");
    assert_eq!(error.remedies(), [Remedy::PreTokenizer(Some("qwen2")), Remedy::SkipTokenCheck]);
}

#[test]
fn a_lost_token_is_noticed() {
    let (tokenizer, mut keys) = pocket_keys("qwen2");
    let tokens = keys.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens").unwrap();
    let Value::Array(Array::String(texts)) = &mut tokens.1 else { panic!() };
    texts.swap(4000, 4001);
    let error = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap_err();
    assert!(matches!(error, verify::Error::Mismatch { .. }), "{error}");
}

#[test]
fn a_special_id_beyond_the_vocabulary_is_named_with_its_key() {
    let (tokenizer, mut keys) = pocket_keys("qwen2");
    let bos = keys.iter_mut().find(|(key, _)| key == "tokenizer.ggml.bos_token_id").unwrap();
    bos.1 = Value::U32(151643);
    let error = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`tokenizer.ggml.bos_token_id` is 151643 but the vocabulary has 4096 tokens; correct `bos_token_id` in \
         config.json"
    );
    assert_eq!(error.remedies(), [Remedy::SkipTokenCheck]);
}

#[test]
fn two_tokens_with_one_text_never_reach_llama_cpp() {
    let (tokenizer, mut keys) = pocket_keys("qwen2");
    let tokens = keys.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens").unwrap();
    let Value::Array(Array::String(texts)) = &mut tokens.1 else { panic!() };
    texts[4095] = texts[300].clone();
    let error = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap_err();
    assert!(matches!(error, verify::Error::SharedText { first: 300, second: 4095, .. }), "{error}");
}

#[test]
fn conformance_qwen3s_written_tokenizer_is_the_checkpoints() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/qwen3");
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let config: Map<_, _> = serde_json::from_slice(&config).unwrap();
    let tokenizer = Tokenizer::open(&folder).unwrap();
    let keys = vocab::metadata(&tokenizer, &config, 151936, "qwen2", &ExtraKeys::NONE).unwrap();
    let report = verify::tokens(vocabulary(keys, "qwen3").path(), &tokenizer).unwrap();
    assert_eq!(report.taken_for_control, ["</s>"]);
    assert!(report.texts > 350 && report.tokens > 8_000, "{report:?}");
}

#[test]
fn conformance_a_cut_llama_3s_written_tokenizer_is_the_checkpoints() {
    let Some(shared) = shared() else { return };
    let tokenizer = Tokenizer::open(&shared.join("golden/tok-mini-llama3")).unwrap();
    let config = json!({"vocab_size": 768});
    let keys = vocab::metadata(
        &tokenizer,
        config.as_object().unwrap(),
        768,
        "llama-bpe",
        &arch::by_name("llama").unwrap().extra_tokenizer_keys,
    )
    .unwrap();
    let report = verify::tokens(vocabulary(keys, "llama").path(), &tokenizer).unwrap();
    assert!(report.texts > 500, "{report:?}");
}
