//! The files of a repository that a conversion reads.

use serde::{Deserialize, de::Error as _};
use std::collections::{BTreeMap, BTreeSet};

/// Index of the shards.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Weights in one file. They come before an index of others, as in transformers.
pub(super) const WHOLE: &str = "model.safetensors";
/// Weights of an adapter.
pub(super) const ADAPTER: &str = "adapter_model.safetensors";
/// Templates beside the default one.
const TEMPLATES: &str = "additional_chat_templates/";

/// Files beside the weights: what `checkpoint` and `convert` open by name, and what they recognize other kinds of models
/// by.
const BESIDE: [&str; 13] = [
    "README.md",
    "adapter_config.json",
    ADAPTER,
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "modules.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
];

/// True for a file beside the weights that a conversion reads. Those in folders of the repository are other models.
pub(super) fn is_beside(name: &str) -> bool {
    let is_template =
        || name.strip_prefix(TEMPLATES).is_some_and(|name| name.ends_with(".jinja") && !name.contains('/'));
    BESIDE.contains(&name) || is_template()
}

/// True for weights that a conversion reads.
pub(super) fn is_weights(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors") && !name.contains('/')
}

/// True for weights that no conversion reads.
pub(super) fn is_other_weights(name: &str) -> bool {
    let starts = ["consolidated", "pytorch_model", "model", "tf_model", "flax_model", "rust_model"];
    let endings = [".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot", ".safetensors"];
    let is_one = starts.iter().any(|start| name.starts_with(start));
    is_one && endings.iter().any(|ending| name.ends_with(ending)) && !name.contains('/') && !is_weights(name)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Names of the files in an index of shards.
///
/// # Errors
/// Not an index, or one that names a file outside of the repository.
pub(super) fn shards(json: &[u8]) -> Result<BTreeSet<String>, serde_json::Error> {
    let index: Index = serde_json::from_slice(json)?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| name.contains(['/', '\\']) || !name.ends_with(".safetensors")) {
        Some(name) => {
            Err(serde_json::Error::custom(format!("it names {name:?}, which is no file beside it")))
        }
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_conversion_reads_is_fetched() {
        let fetched = |name: &&&str| is_beside(name) || is_weights(name);
        let names = [
            "config.json",
            "tokenizer.json",
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "additional_chat_templates/tool_use.jinja",
        ];
        assert_eq!(names.iter().filter(fetched).count(), names.len());
        let names = [
            ".gitattributes",
            "pytorch_model.bin",
            "original/consolidated.00.pth",
            "onnx/model.safetensors",
            "x/config.json",
            "figures/a.png",
            "vocab.json",
            "training_args.bin",
            "additional_chat_templates/x/y.jinja",
            "consolidated.safetensors",
        ];
        assert_eq!(names.iter().find(fetched), None);
        let other: Vec<_> = names.iter().filter(|name| is_other_weights(name)).collect();
        assert_eq!(other, [&"pytorch_model.bin", &"consolidated.safetensors"]);
    }

    #[test]
    fn an_index_names_files_beside_it_or_is_refused() {
        let index = br#"{"metadata": {}, "weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
        assert_eq!(Vec::from_iter(shards(index).unwrap()), ["model-1.safetensors", "model-2.safetensors"]);
        for text in
            ["[]", "{}", r#"{"weight_map": {"a": "../x.safetensors"}}"#, r#"{"weight_map": {"a": "x.bin"}}"#]
        {
            assert!(shards(text.as_bytes()).is_err(), "{text}");
        }
    }
}
