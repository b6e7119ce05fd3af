//! The `tokenizer.*` keys equal those of the reference converter, from its lists in `../shared/golden`.

use crate::program::python;
use crate::shared::shared;
use edgecall::arch::{self, tokenizer::ExtraKeys};
use edgecall::checkpoint::{Identity, tokenizer::Tokenizer};
use edgecall::convert::pretokenizer::{self, Evidence};
use edgecall::convert::vocab;
use edgecall::gguf::{Array, Value};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

#[test]
fn conformance_qwen3s_keys_are_the_references() {
    let Some(shared) = shared() else { return };
    // The reference converter takes the template of tokenizer_config.json, edgecall that of the other file.
    let place = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(shared.join("data/qwen3").join(name), place.path().join(name)).unwrap();
    }
    let folder = place.path();
    let config = config(folder);
    let tokenizer = Tokenizer::open(folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Hash));
    let keys = vocab::metadata(&tokenizer, &config, 151936, "qwen2", &ExtraKeys::NONE).unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/tiny/tiny-bf16.json")));
}

#[test]
fn conformance_pockets_keys_are_the_references_and_its_pre_tokenizer_is_known_by_structure() {
    let Some(shared) = shared() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let config = config(&folder);
    let tokenizer = Tokenizer::open(&folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Structure));
    let keys = vocab::metadata(&tokenizer, &config, 4096, "qwen2", &ExtraKeys::NONE).unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/pocket/pocket.bf16.json")));
}

#[test]
fn conformance_a_cut_qwen3s_keys_are_the_references() {
    let Some(shared) = shared() else { return };
    let folder = mini_tok(&shared);
    let config = object(json!({"bos_token_id": 151643, "eos_token_id": 151645, "vocab_size": 544}));
    let tokenizer = Tokenizer::open(&folder).unwrap();
    assert_eq!(pretokenizer::recognize(&tokenizer, &config).unwrap(), ("qwen2", Evidence::Structure));
    let keys = vocab::metadata(&tokenizer, &config, 544, "qwen2", &ExtraKeys::NONE).unwrap();
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
    let keys = vocab::metadata(
        &tokenizer,
        &config,
        768,
        "llama-bpe",
        &arch::by_name("llama").unwrap().extra_tokenizer_keys,
    )
    .unwrap();
    assert_eq!(described(&keys), listed(&shared.join("golden/lists/mini/llama.bf16.json")));
}

#[test]
fn conformance_names_sizes_and_sampling_are_the_references() {
    let Some(shared) = shared() else { return };
    let lists = shared.join("golden/lists");
    for (folder, list) in [
        ("tiny-qwen3", "tiny/tiny-bf16.json"),
        ("pocket", "pocket/pocket.bf16.json"),
        ("qwen3-tied", "mini/qwen3-tied.bf16.json"),
        ("qwen3-tied-with-head", "mini/qwen3-tied-with-head.bf16.json"),
        ("qwen3-sharded", "mini/qwen3-sharded.bf16.json"),
        ("qwen3-odd288", "mini/qwen3-odd288.bf16.json"),
        ("qwen3-28l", "mini/qwen3-28l.bf16.json"),
        ("qwen2", "mini/qwen2.bf16.json"),
        ("llama", "mini/llama.bf16.json"),
    ] {
        let list: serde_json::Value =
            serde_json::from_slice(&std::fs::read(lists.join(list)).unwrap()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(folder);
        std::fs::create_dir(&dir).unwrap();
        if folder.contains("qwen3") {
            let sampling = r#"{"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95}"#;
            std::fs::write(dir.join("generation_config.json"), sampling).unwrap();
        }
        let weights = |tensor: &serde_json::Value| -> u64 {
            tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product()
        };
        let parameter_count = list["tensors"].as_array().unwrap().iter().map(weights).sum();
        let general =
            edgecall::convert::general::metadata(&dir, &Identity::plain(&dir), &Map::new(), parameter_count);
        assert!(general.warnings.is_empty());
        let apart = ["general.architecture", "general.file_type", "general.quantization_version"];
        let listed: Vec<_> = (list["kv"].as_array().unwrap().iter())
            .filter(|kv| kv["key"].as_str().unwrap().starts_with("general."))
            .filter(|kv| !apart.contains(&kv["key"].as_str().unwrap()))
            .cloned()
            .collect();
        assert_eq!(described(&general.metadata), listed, "{folder}");
    }
}

/// The `tokenizer.*` keys of a list, in the format of `ggufhash.py`.
fn listed(path: &Path) -> Vec<serde_json::Value> {
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys = list["kv"].as_array().unwrap().iter();
    keys.filter(|kv| kv["key"].as_str().unwrap().starts_with("tokenizer.")).cloned().collect()
}

/// Our keys in the same format.
fn described(keys: &[(String, Value)]) -> Vec<serde_json::Value> {
    keys.iter()
        .map(|(key, value)| match value {
            Value::String(text) if text.chars().count() > 200 => {
                let value = json!({"string_len": text.len(), "sha256": sha256(text.as_bytes())});
                json!({"key": key, "type": "str", "value": value})
            }
            Value::String(text) => json!({"key": key, "type": "str", "value": text}),
            Value::U32(n) => json!({"key": key, "type": "u32", "value": n}),
            Value::I32(n) => json!({"key": key, "type": "i32", "value": n}),
            Value::F32(n) => {
                let value = json!({"f32": f64::from(*n), "bits": format!("0x{:08x}", n.to_bits())});
                json!({"key": key, "type": "f32", "value": value})
            }
            Value::Bool(b) => json!({"key": key, "type": "bool", "value": b}),
            Value::Array(array) => json!({"key": key, "type": "arr", "value": described_array(array)}),
            other => panic!("{key}: {other:?}"),
        })
        .collect()
}

fn described_array(array: &Array) -> serde_json::Value {
    let mut bytes = Vec::new();
    let type_id = if matches!(array, Array::String(_)) { 8u32 } else { 5 };
    bytes.extend(type_id.to_le_bytes());
    bytes.extend((array.len() as u64).to_le_bytes());
    let (of, first) = match array {
        Array::String(texts) => {
            for text in texts {
                bytes.extend((text.len() as u64).to_le_bytes());
                bytes.extend(text.as_bytes());
            }
            ("str", json!(texts[..3.min(texts.len())]))
        }
        Array::I32(numbers) => {
            numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            ("i32", json!(numbers[..3.min(numbers.len())]))
        }
        other => panic!("{other:?}"),
    };
    json!({"array_of": of, "len": array.len(), "first": first, "sha256": sha256(&bytes)})
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Qwen3's tokenizer cut to 512 tokens, as in `golden/README.md`.
fn mini_tok(shared: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mini-tok-{}", std::process::id()));
    let status = python()
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
