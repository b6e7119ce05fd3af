//! The `tokenizer.*` keys are the reference converter's: held against its lists in `../shared/golden`.

use crate::shared::shared;
use edgecall::checkpoint::tokenizer::Tokenizer;
use edgecall::convert::pretokenizer::{self, Evidence};
use edgecall::convert::vocab::{self, Family};
use edgecall::gguf::{Array, Value};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

#[test]
fn conformance_qwen3s_keys_are_the_references() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/qwen3");
    let config = config(&folder);
    let tokenizer = Tokenizer::open(&folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Hash));
    let keys = vocab::metadata(&tokenizer, &config, 151936, "qwen2", Family::Qwen).unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/tiny/tiny-bf16.json")));
}

#[test]
fn conformance_pockets_keys_are_the_references_and_its_pre_tokenizer_is_known_by_structure() {
    let Some(shared) = shared() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let config = config(&folder);
    let tokenizer = Tokenizer::open(&folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Structure));
    let keys = vocab::metadata(&tokenizer, &config, 4096, "qwen2", Family::Qwen).unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/pocket/pocket.bf16.json")));
}

#[test]
fn conformance_a_cut_qwen3s_keys_are_the_references() {
    let Some(shared) = shared() else { return };
    let folder = mini_tok(&shared);
    let config = object(json!({"bos_token_id": 151643, "eos_token_id": 151645, "vocab_size": 544}));
    let tokenizer = Tokenizer::open(&folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Structure));
    let keys = vocab::metadata(&tokenizer, &config, 544, "qwen2", Family::Qwen).unwrap();
    for list in ["qwen3-tied", "qwen2", "qwen3-28l"] {
        let list = shared.join(format!("golden/lists/mini/{list}.bf16.json"));
        assert_eq!(described(&keys), listed(&list));
    }
}

#[test]
fn conformance_a_cut_llama_3s_keys_are_the_references() {
    let Some(shared) = shared() else { return };
    let config = object(json!({"bos_token_id": 151643, "eos_token_id": 151645, "vocab_size": 768}));
    let tokenizer = Tokenizer::open(&shared.join("golden/tok-mini-llama3")).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("llama-bpe", Evidence::Structure));
    let keys = vocab::metadata(&tokenizer, &config, 768, "llama-bpe", Family::Llama).unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/mini/llama.bf16.json")));
}

/// The `tokenizer.*` keys of a list, as `ggufhash.py` writes them.
fn listed(path: &Path) -> Vec<serde_json::Value> {
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys = list["kv"].as_array().unwrap().iter();
    keys.filter(|kv| kv["key"].as_str().unwrap().starts_with("tokenizer.")).cloned().collect()
}

/// The same description of our own keys.
fn described(keys: &[(String, Value)]) -> Vec<serde_json::Value> {
    keys.iter()
        .map(|(key, value)| match value {
            Value::String(text) if text.chars().count() > 200 => {
                let value = json!({"string_len": text.len(), "sha256": sha256(text.as_bytes())});
                json!({"key": key, "type": "str", "value": value})
            }
            Value::String(text) => json!({"key": key, "type": "str", "value": text}),
            Value::U32(n) => json!({"key": key, "type": "u32", "value": n}),
            Value::Bool(b) => json!({"key": key, "type": "bool", "value": b}),
            Value::Array(array) => json!({"key": key, "type": "arr", "value": described_array(array)}),
            other => panic!("{key}: {other:?}"),
        })
        .collect()
}

fn described_array(array: &Array) -> serde_json::Value {
    let mut bytes = Vec::new();
    let (type_id, of, first) = match array {
        Array::String(texts) => (8u32, "str", json!(texts[..3.min(texts.len())])),
        Array::I32(numbers) => (5, "i32", json!(numbers[..3.min(numbers.len())])),
        other => panic!("{other:?}"),
    };
    bytes.extend(type_id.to_le_bytes());
    bytes.extend((array.len() as u64).to_le_bytes());
    for text in array.as_strings().unwrap_or_default() {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    array.as_i32s().unwrap_or_default().iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    json!({"array_of": of, "len": array.len(), "first": first, "sha256": sha256(&bytes)})
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Qwen3's tokenizer cut to 512 tokens, as `golden/README.md` makes it.
fn mini_tok(shared: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mini-tok-{}", std::process::id()));
    let status = std::process::Command::new("python3")
        .arg(shared.join("golden/mini_tok.py"))
        .arg(shared.join("data/qwen3"))
        .arg(&folder)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    folder
}

fn config(folder: &Path) -> Map<String, serde_json::Value> {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
}

fn object(value: serde_json::Value) -> Map<String, serde_json::Value> {
    value.as_object().unwrap().clone()
}
