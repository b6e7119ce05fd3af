//! Report on a GGUF file.

use super::{
    Run,
    report::{ChatTemplate, Facts, Need, Rope, Special, Split, TensorRow, Tokenizer, TypeRow},
};
use crate::{
    display::chain,
    gguf::{Array, Gguf},
    memory::{Shape, estimate},
    profile::Profile,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Roles of special tokens, as in the keys `tokenizer.ggml.<role>_token_id`.
const ROLES: [&str; 8] = ["bos", "eos", "eot", "eom", "unknown", "separator", "padding", "mask"];

/// Facts about a GGUF file, and its needs.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Path of the file.
    pub path: PathBuf,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Version of the GGUF format.
    pub gguf_version: u32,
    /// Part number if the file is part of a split model; all figures are then of this part.
    pub split: Option<Split>,
    /// Facts about the model.
    pub model: Facts,
    /// Its tokenizer.
    pub tokenizer: Option<Tokenizer>,
    /// Its chat template.
    pub chat_template: Option<ChatTemplate>,
    /// Settings for calls that the file holds; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Box<Profile>>,
    /// Reason why its profile cannot be used; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_problem: Option<String>,
    /// Tensors by type.
    pub types: Vec<TypeRow>,
    /// Bits per weight over all tensors; `None` for a file without tensors.
    pub bits_per_weight: Option<f64>,
    /// Memory to run it.
    pub need: Need,
    /// Tensors, in the order of the file.
    pub tensors: Vec<TensorRow>,
}

impl FileReport {
    pub(super) fn new(path: &Path, gguf: &Gguf, file_bytes: u64, run: Run) -> FileReport {
        let tensors: Vec<TensorRow> = gguf.tensors.iter().map(TensorRow::from).collect();
        // Neither sum overflows: each tensor has its own bytes in the file, and a weight takes a tenth of a byte or
        // more.
        let weights_bytes: u64 = tensors.iter().map(|tensor| tensor.bytes).sum();
        let parameters: u64 = gguf.tensors.iter().map(|tensor| tensor.element_count()).sum();
        let model = facts(gguf, parameters);
        let context_length = model.context_length;
        let (profile, profile_problem) = match Profile::from_gguf(gguf) {
            Ok(profile) => (profile.map(Box::new), None),
            Err(error) => (None, Some(chain(&error))),
        };
        FileReport {
            path: path.to_path_buf(),
            file_bytes,
            gguf_version: gguf.version,
            split: split(gguf),
            model,
            tokenizer: tokenizer(gguf),
            chat_template: chat_template(gguf),
            profile,
            profile_problem,
            types: types(gguf),
            bits_per_weight: (parameters > 0).then(|| weights_bytes as f64 * 8.0 / parameters as f64),
            need: Need::new(weights_bytes, Shape::from_header(gguf).as_ref(), context_length, run),
            tensors,
        }
    }
}

pub(super) fn facts(gguf: &Gguf, parameters: u64) -> Facts {
    let architecture = gguf.architecture();
    let key = |name: &str| format!("{}.{name}", architecture.unwrap_or_default());
    let number = |name: &str| estimate::largest(gguf.value(&key(name))?);
    let text = |key: &str| gguf.str(key).map(str::to_owned);
    let head_count = number("attention.head_count");
    let embedding_length = number("embedding_length");
    let head_length = || embedding_length?.checked_div(head_count?);
    let freq_base = gguf.f64(&key("rope.freq_base"));
    Facts {
        architecture: architecture.map(str::to_owned),
        name: text("general.name"),
        license: text("general.license"),
        parameters,
        block_count: number("block_count"),
        embedding_length,
        feed_forward_length: number("feed_forward_length"),
        head_count,
        head_count_kv: number("attention.head_count_kv").or(head_count),
        key_length: number("attention.key_length").or_else(head_length),
        value_length: number("attention.value_length").or_else(head_length),
        context_length: number("context_length"),
        rope: freq_base.map(|freq_base| Rope {
            freq_base,
            scaling: text(&key("rope.scaling.type")).filter(|kind| kind != "none"),
            factor: gguf.f64(&key("rope.scaling.factor")),
            original_context_length: number("rope.scaling.original_context_length"),
        }),
        vocabulary: estimate::vocabulary(gguf),
    }
}

fn split(gguf: &Gguf) -> Option<Split> {
    let count = gguf.u64("split.count").filter(|&count| count > 1)?;
    Some(Split { no: gguf.u64("split.no")?, count })
}

pub(super) fn tokenizer(gguf: &Gguf) -> Option<Tokenizer> {
    let tokens = gguf.array("tokenizer.ggml.tokens").and_then(Array::as_strings).unwrap_or_default();
    let special = |&role: &&'static str| {
        let id = gguf.u64(&format!("tokenizer.ggml.{role}_token_id"))?;
        let text = usize::try_from(id).ok().and_then(|id| tokens.get(id)).cloned();
        Some(Special { role, id, text })
    };
    Some(Tokenizer {
        model: gguf.str("tokenizer.ggml.model")?.to_owned(),
        pre: gguf.str("tokenizer.ggml.pre").map(str::to_owned),
        tokens: tokens.len() as u64,
        special: ROLES.iter().filter_map(special).collect(),
        add_bos: gguf.bool("tokenizer.ggml.add_bos_token"),
        add_eos: gguf.bool("tokenizer.ggml.add_eos_token"),
    })
}

/// The template in `tokenizer.chat_template`, with the names of further ones (`tokenizer.chat_template.tool_use`).
pub(super) fn chat_template(gguf: &Gguf) -> Option<ChatTemplate> {
    const KEY: &str = "tokenizer.chat_template";
    let others = gguf
        .metadata
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(KEY)?.strip_prefix('.')?, value.as_str()?)));
    ChatTemplate::from_texts(gguf.str(KEY), others)
}

fn types(gguf: &Gguf) -> Vec<TypeRow> {
    let mut rows = BTreeMap::new();
    for tensor in &gguf.tensors {
        let row = rows.entry(tensor.ggml_type).or_insert(TypeRow {
            type_name: tensor.ggml_type.name(),
            tensors: 0,
            weights: 0,
            bytes: 0,
        });
        row.tensors += 1;
        row.weights += tensor.element_count();
        row.bytes += tensor.byte_len();
    }
    rows.into_values().collect()
}
