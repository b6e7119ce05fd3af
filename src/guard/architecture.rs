//! Complete checks for the architectures of [`arch`](crate::arch): every hyperparameter, and every tensor against them.
//!
//! llama.cpp asserts some of this and divides by some of it. For what it refuses, it gives the reason only in
//! its log.

use super::{Error, keys::Keys};
use crate::{
    arch::{ARCHITECTURES, Architecture, HeadLength, Presence, Sizes, TOKEN_EMBEDDING, Tensor},
    gguf::{GgmlType, Gguf, TensorInfo, Value},
};
use std::collections::BTreeMap;

/// llama.cpp's `LLAMA_MAX_LAYERS`, which it asserts.
const MAX_BLOCKS: u32 = 512;
/// More than any model has, and small enough that llama.cpp's 32-bit token counts do not overflow.
const MAX_CONTEXT: u32 = 1 << 30;
/// More than any model has; the product of two of these has at most 48 bits.
const MAX_WIDTH: u32 = 1 << 24;
/// More than any model has.
const MAX_HEADS: u32 = 1 << 16;

/// The names of the architectures that are checked.
pub(super) fn checked() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|architecture| architecture.name).collect()
}

/// Checks the hyperparameters of a model of a checked architecture for consistency, and `tensors` (of all its
/// files) against them. `n_vocab` is the number of its tokens.
pub(super) fn check(
    gguf: &Gguf,
    tensors: &[TensorInfo],
    architecture: &Architecture,
    n_vocab: u64,
) -> Result<(), Error> {
    let keys = Keys::new(gguf, architecture.name);
    let block_count = keys.count("block_count", 1, MAX_BLOCKS)?;
    let sizes = sizes(&keys, architecture, n_vocab)?;
    let mut table = Table {
        tensors: tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
        architecture: architecture.name,
        block_count,
    };
    for tensor in (architecture.outer_tensors)(&sizes) {
        table.check(&tensor, tensor.name)?;
    }
    for factors in architecture.rope_factors {
        table.optional_row(factors.name, sizes.head / 2)?;
    }
    let layer = (architecture.layer_tensors)(&sizes);
    for block in 0..block_count {
        check_block(&mut table, &layer, block)?;
    }
    table.finish()
}

/// The sizes from which all shapes follow, by the keys.
fn sizes(keys: &Keys<'_>, architecture: &Architecture, vocabulary: u64) -> Result<Sizes, Error> {
    keys.count("context_length", 1, MAX_CONTEXT)?;
    let embedding = keys.count("embedding_length", 1, MAX_WIDTH)?;
    let feed_forward = keys.count("feed_forward_length", 1, MAX_WIDTH)?;
    let heads = keys.count("attention.head_count", 1, MAX_HEADS)?;
    let kv_heads = keys.optional_count("attention.head_count_kv", 1, MAX_HEADS)?.unwrap_or(heads);
    if !heads.is_multiple_of(kv_heads) {
        return Err(keys.wrong(
            "attention.head_count_kv",
            &Value::U32(kv_heads as u32),
            format!("a divisor of the {heads} of `{}`", keys.key("attention.head_count")),
        ));
    }
    let head = head_length(keys, architecture, embedding, heads)?;
    same_or_absent(keys, embedding, head, vocabulary)?;
    numbers(keys)?;
    only_what_is_checked(keys)?;
    Ok(Sizes { embedding, feed_forward, queries: heads * head, keys: kv_heads * head, head, vocabulary })
}

/// Length of a head's key, which is also that of its value and of its rotated part.
fn head_length(
    keys: &Keys<'_>,
    architecture: &Architecture,
    embedding: u64,
    heads: u64,
) -> Result<u64, Error> {
    let share = || {
        if embedding.is_multiple_of(heads) {
            return Ok(embedding / heads);
        }
        Err(keys.wrong(
            "attention.head_count",
            &Value::U32(heads as u32),
            format!("a divisor of the {embedding} of `{}`", keys.key("embedding_length")),
        ))
    };
    let head = match keys.optional_count("attention.key_length", 1, MAX_HEADS)? {
        Some(head) => head,
        None => share()?,
    };
    if architecture.head_length == HeadLength::ShareOfEmbedding && share()? != head {
        keys.same("attention.key_length", share()?, "the embedding's length by the number of heads")?;
    }
    // Pairs of a head's numbers are rotated.
    if !head.is_multiple_of(2) {
        let name = match keys.value("attention.key_length") {
            Some(_) => "attention.key_length",
            None => "attention.head_count",
        };
        let found = keys.value(name).expect("one of the two gave the length");
        return Err(keys.wrong(name, found, format!("heads of an even length, and these have {head}")));
    }
    match keys.value("attention.value_length") {
        None if share()? != head => Err(Error::MissingKey {
            key: keys.key("attention.value_length"),
            expected: format!("a u32 of {head}, the length of a key"),
        }),
        _ => Ok(head),
    }
}

/// Checks optional keys that repeat the values of others.
fn same_or_absent(keys: &Keys<'_>, embedding: u64, head: u64, vocabulary: u64) -> Result<(), Error> {
    for name in [
        "attention.value_length",
        "attention.key_length_swa",
        "attention.value_length_swa",
        "rope.dimension_count",
        "rope.dimension_count_swa",
    ] {
        keys.same(name, head, "the length of a head's key")?;
    }
    keys.same("embedding_length_out", embedding, "the length of the embedding")?;
    keys.same("vocab_size", vocabulary, "the number of tokens")
}

fn numbers(keys: &Keys<'_>) -> Result<(), Error> {
    const EPSILON: &str = "attention.layer_norm_rms_epsilon";
    if keys.number(EPSILON, |n| (0.0..=1.0).contains(&n), "from 0 to 1")?.is_none() {
        let expected = "an f32, from 0 to 1".to_owned();
        return Err(Error::MissingKey { key: keys.key(EPSILON), expected });
    }
    keys.number("rope.freq_base", |n| n.is_finite() && n > 0.0, "finite and above 0")?;
    for name in ["rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor", "rope.scaling.alpha"]
    {
        keys.number(name, |n| n.is_finite() && n >= 0.0, "finite and not negative")?;
    }
    for name in ["ext_factor", "attn_factor", "beta_fast", "beta_slow", "log_multiplier"] {
        keys.number(&format!("rope.scaling.yarn_{name}"), f32::is_finite, "finite")?;
    }
    keys.optional_count("rope.scaling.original_context_length", 1, MAX_CONTEXT)?;
    keys.optional_count("pooling_type", 0, 4)?;
    keys.truth("rope.scaling.finetuned")?;
    let kinds = ["none", "linear", "yarn", "longrope"];
    if let Some(kind) = keys.text("rope.scaling.type")?
        && !kinds.contains(&kind)
    {
        let expected = format!("one of {}", kinds.join(", "));
        return Err(keys.wrong("rope.scaling.type", &Value::String(kind.to_owned()), expected));
    }
    Ok(())
}

/// Refuses keys that would change the model beyond what is checked here.
fn only_what_is_checked(keys: &Keys<'_>) -> Result<(), Error> {
    for name in [
        "expert_count",
        "expert_used_count",
        "expert_group_count",
        "expert_group_used_count",
        "nextn_predict_layers",
    ] {
        keys.same(name, 0, "as mixtures of experts and extra layers are not supported")?;
    }
    match keys.truth("attention.causal")? {
        Some(false) => {
            Err(keys.wrong("attention.causal", &Value::Bool(false), "true, as text is generated".into()))
        }
        _ => Ok(()),
    }
}

/// The tensors that are not yet checked.
struct Table<'t> {
    tensors: BTreeMap<&'t str, &'t TensorInfo>,
    architecture: &'static str,
    block_count: u64,
}

impl<'t> Table<'t> {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Checks `tensor` under its full name.
    fn check(&mut self, tensor: &Tensor, name: &str) -> Result<(), Error> {
        if matches!(tensor.presence, Presence::Optional(_)) && !self.has(name) {
            return Ok(());
        }
        match *tensor.dims() {
            [len] => self.row(name, len),
            [row_len, rows] => {
                self.matrix(name, [row_len, rows])?;
                // llama.cpp looks up rows of the embedding as they are.
                if tensor.name == TOKEN_EMBEDDING { Ok(()) } else { self.scales(name) }
            }
            ref dims => self.required(name, dims).map(drop),
        }
    }

    /// Checks a required matrix; `dims` is row length, then rows.
    fn matrix(&mut self, name: &str, dims: [u64; 2]) -> Result<(), Error> {
        let tensor = self.required(name, &dims)?;
        if !is_multiplied(tensor.ggml_type) {
            return Err(Error::TensorType {
                name: name.to_owned(),
                found: tensor.ggml_type,
                expected: "a type that llama.cpp multiplies with (F32, F16, BF16, or a quantized one)",
            });
        }
        Ok(())
    }

    /// Checks a required row of numbers.
    fn row(&mut self, name: &str, len: u64) -> Result<(), Error> {
        let tensor = self.required(name, &[len])?;
        if tensor.ggml_type != GgmlType::F32 {
            // llama.cpp aborts when it adds or multiplies with any other type.
            let expected = "F32, as llama.cpp takes norms, biases and scales";
            return Err(Error::TensorType { name: name.to_owned(), found: tensor.ggml_type, expected });
        }
        Ok(())
    }

    fn optional_row(&mut self, name: &str, len: u64) -> Result<(), Error> {
        if self.has(name) { self.row(name, len) } else { Ok(()) }
    }

    /// Checks the two optional scales beside a matrix, as NVFP4 files have them. If the output is tied, llama.cpp
    /// asserts that it has none.
    fn scales(&mut self, matrix: &str) -> Result<(), Error> {
        let name = matrix.strip_suffix(".weight").unwrap_or(matrix);
        self.optional_row(&format!("{name}.scale"), 1)?;
        self.optional_row(&format!("{name}.input_scale"), 1)
    }

    fn required(&mut self, name: &str, dims: &[u64]) -> Result<&'t TensorInfo, Error> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(Error::MissingTensor { name: name.to_owned(), expected: dims.to_vec() });
        };
        let used = tensor.dims.iter().rposition(|&dim| dim != 1).map_or(1, |last| last + 1);
        let wanted = dims.iter().rposition(|&dim| dim != 1).map_or(1, |last| last + 1);
        if tensor.dims[..used] != dims[..wanted] {
            return Err(Error::Shape {
                name: name.to_owned(),
                found: tensor.dims.clone(),
                expected: dims.to_vec(),
            });
        }
        Ok(tensor)
    }

    /// Checks that no tensors are left.
    fn finish(self) -> Result<(), Error> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::StrayTensor {
                name: name.to_owned(),
                architecture: self.architecture,
                block_count: self.block_count,
            }),
        }
    }
}

/// Checks the tensors of a layer. llama.cpp takes queries, keys and values in a single matrix, too.
fn check_block(table: &mut Table<'_>, layer: &[Tensor], block: u64) -> Result<(), Error> {
    let name = |tensor: &str| format!("blk.{block}.{tensor}");
    let fused = name("attn_qkv.weight");
    let is_fused = table.has(&fused);
    for tensor in layer {
        match tensor.name {
            "attn_q.weight" if is_fused => {
                let [row_len, rows] = fused_dims(layer);
                table.matrix(&fused, [row_len, rows])?;
                table.optional_row(&name("attn_qkv.bias"), rows)?;
                table.scales(&fused)?;
            }
            "attn_k.weight" | "attn_v.weight" if is_fused => {}
            _ => table.check(tensor, &name(tensor.name))?,
        }
    }
    Ok(())
}

/// Dimensions of the matrix that stands for those of queries, keys and values.
fn fused_dims(layer: &[Tensor]) -> [u64; 2] {
    let is_part =
        |tensor: &&Tensor| ["attn_q.weight", "attn_k.weight", "attn_v.weight"].contains(&tensor.name);
    let parts = layer.iter().filter(is_part).map(Tensor::dims);
    parts.fold([0, 0], |[_, rows], part| [part[0], rows + part[1]])
}

/// True if ggml's CPU backend has a dot product for the type; for others it calls a null pointer.
pub(super) fn is_multiplied(ggml_type: GgmlType) -> bool {
    use GgmlType as T;
    !matches!(ggml_type, T::Q8_1 | T::Q8K | T::I8 | T::I16 | T::I32 | T::I64 | T::F64)
}
