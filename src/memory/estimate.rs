//! Memory that a model takes while it runs on the CPU. All formulas are in this file.
//!
//! - *Weights*: the tensors' bytes. They are mapped, so they may stay in the page cache. Types that llama.cpp repacks
//!   for the CPU (Q4_0, Q4_K and others, by machine) are copied out of the mapping, which takes the same number of
//!   bytes.
//! - *KV cache*: a key and a value row for each layer and each token of the context. Exact for models whose layers all
//!   keep the whole context (Qwen3, Qwen2, Llama), and for those with sliding windows, whose layers keep it here, too.
//!   Recurrent layers have a state of fixed size for each of the two sequences of a context instead.
//! - *Compute buffer*: llama.cpp's scratch space, mostly one row of logits for each token of a batch. The formulas were
//!   fitted to the allocations of the pinned llama.cpp for Qwen3 shapes, with and without flash attention;
//!   `tests/memory.rs` compares them.
//!
//! Not included are the vocabulary, the chat template and the grammar: some tens of MiB with a vocabulary of 150,000
//! tokens.

use crate::{
    arch::{self, Architecture, RecurrentLayers, Sizes},
    gguf::{Array, FlashAttention, GgmlType, Gguf, Value},
};
use serde::Serialize;

/// Default physical batch size (`n_ubatch`) of llama.cpp, in tokens.
pub const DEFAULT_N_UBATCH: u64 = 512;

/// llama.cpp rounds a context size up to a multiple of this number of tokens.
const N_CTX_STEP: u64 = 256;

/// Dimensions of a model that determine its memory besides the weights.
///
/// All products saturate, since the numbers may come from a hostile file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of key-value heads, summed over all layers.
    pub kv_heads: u64,
    /// Bytes of the states of recurrent layers, whatever the context's length.
    pub state_bytes: u64,
    /// Number of query heads of a layer; the largest if layers differ.
    pub heads: u64,
    /// Number of key-value heads of a layer; the largest if layers differ.
    pub layer_kv_heads: u64,
    /// Length of a head's key.
    pub key_length: u64,
    /// Length of a head's value.
    pub value_length: u64,
    /// Length of a token's embedding.
    pub embedding_length: u64,
    /// Width of the feed-forward layer; the largest if layers differ.
    pub feed_forward_length: u64,
    /// Number of tokens that have a logit.
    pub vocabulary: u64,
}

impl Shape {
    /// Shape of the model in a file. `None` if its metadata lacks a dimension, or if its layers keep something other
    /// than keys and values and it is not known how much (recurrent models of other architectures, compressed attention).
    pub fn from_header(gguf: &Gguf) -> Option<Shape> {
        let architecture = gguf.architecture()?;
        let key = |name: &str| format!("{architecture}.{name}");
        let prefix = |name: &str| {
            let start = key(name);
            gguf.metadata.iter().any(|(key, _)| key.starts_with(&start))
        };
        let known = arch::by_name(architecture);
        let is_other = known.is_none() && (prefix("ssm.") || prefix("wkv."));
        if is_other || prefix("attention.kv_lora_rank") {
            return None;
        }
        let embedding_length = gguf.u64(&key("embedding_length"))?;
        let block_count = gguf.u64(&key("block_count"))?;
        let heads = gguf.value(&key("attention.head_count"))?;
        let kv_heads = gguf.value(&key("attention.head_count_kv")).unwrap_or(heads);
        let head_length = || largest(heads).filter(|&n| n > 0).map(|n_head| embedding_length / n_head);
        let recurrent =
            known.map_or(Some(0), |known| recurrent_layers(gguf, known, kv_heads, block_count))?;
        let state_len = known.map_or(Some(0), |known| state_len(gguf, known, embedding_length))?;
        let attention = block_count.saturating_sub(recurrent);
        Some(Shape {
            kv_heads: over_layers(kv_heads, attention)?,
            state_bytes: recurrent.saturating_mul(state_len).saturating_mul(4 * SEQUENCES),
            heads: largest(heads)?,
            layer_kv_heads: largest(kv_heads)?,
            key_length: gguf.u64(&key("attention.key_length")).or_else(head_length)?,
            value_length: gguf.u64(&key("attention.value_length")).or_else(head_length)?,
            embedding_length,
            feed_forward_length: largest(gguf.value(&key("feed_forward_length"))?)?,
            vocabulary: vocabulary(gguf)?,
        })
    }
}

/// Sequences of a context: one for the text, and one through which states are saved.
const SEQUENCES: u64 = 2;

/// Number of recurrent layers of a known architecture.
fn recurrent_layers(gguf: &Gguf, known: &Architecture, kv_heads: &Value, block_count: u64) -> Option<u64> {
    let key = |name: &str| format!("{}.{name}", known.name);
    match known.recurrent_layers {
        RecurrentLayers::None => Some(0),
        RecurrentLayers::WithoutHeads => {
            let by_layer = kv_heads.as_array().map_or(Some(Vec::new()), Array::as_u64s)?;
            Some(by_layer.iter().filter(|&&heads| heads == 0).count() as u64)
        }
        RecurrentLayers::Listed => match gguf.value(&key("attention.recurrent_layers")) {
            Some(Value::Array(Array::Bool(listed))) => {
                Some(listed.iter().filter(|&&is_one| is_one).count() as u64)
            }
            Some(_) => None,
            None => {
                let step = gguf.u64(&key("full_attention_interval")).unwrap_or(4).max(1);
                Some(block_count - block_count / step)
            }
        },
    }
}

/// Numbers in the state of a recurrent layer.
fn state_len(gguf: &Gguf, known: &Architecture, embedding: u64) -> Option<u64> {
    let mut sizes = Sizes { embedding, ..Sizes::default() };
    for count in known.own_counts {
        let number = gguf.u64(&format!("{}.{}", known.name, count.key)).filter(|&number| number > 0)?;
        (count.set)(&mut sizes, number);
    }
    Some(sizes.state_len())
}

/// Number of tokens that have a logit: the rows of the output head.
pub fn vocabulary(gguf: &Gguf) -> Option<u64> {
    let head = gguf.tensor("output.weight").or_else(|| gguf.tensor("token_embd.weight"));
    let rows = head.and_then(|tensor| tensor.dims.get(1).copied());
    rows.or_else(|| Some(gguf.array("tokenizer.ggml.tokens")?.len() as u64))
}

/// Sum over the layers of a value that is either one number for all or an array with one for each.
fn over_layers(value: &Value, block_count: u64) -> Option<u64> {
    match value.as_array() {
        None => value.as_u64().map(|each| each.saturating_mul(block_count)),
        Some(each) => Some(each.as_u64s()?.into_iter().fold(0, u64::saturating_add)),
    }
}

/// Largest of the layers' values.
pub fn largest(value: &Value) -> Option<u64> {
    match value.as_array() {
        None => value.as_u64(),
        Some(each) => each.as_u64s()?.into_iter().max(),
    }
}

/// Bytes of KV cache per token of the context; `None` if the type's blocks do not divide a head.
pub fn kv_bytes_per_token(shape: &Shape, kv_type: GgmlType) -> Option<u64> {
    let row = |len: u64| {
        len.is_multiple_of(kv_type.block_len())
            .then(|| (len / kv_type.block_len()).saturating_mul(kv_type.block_bytes()))
    };
    let head = row(shape.key_length)?.saturating_add(row(shape.value_length)?);
    Some(shape.kv_heads.saturating_mul(head))
}

/// Bytes of KV cache and recurrent states for a context of `n_ctx` tokens, which llama.cpp rounds up.
pub fn kv_bytes(shape: &Shape, n_ctx: u64, kv_type: GgmlType) -> Option<u64> {
    let by_token = kv_bytes_per_token(shape, kv_type)?.saturating_mul(rounded(n_ctx));
    Some(by_token.saturating_add(shape.state_bytes))
}

/// Estimates the bytes of llama.cpp's compute buffer for a physical batch of `n_ubatch` tokens.
///
/// Without flash attention it also holds the attention scores of all heads, for one layer at a time.
pub fn compute_bytes(shape: &Shape, n_ctx: u64, n_ubatch: u64, flash_attention: bool) -> u64 {
    let n_ctx = rounded(n_ctx);
    let n = n_ubatch.min(n_ctx);
    let times = |a: u64, b: u64| a.saturating_mul(b);
    // Floats per token, as measured: the logits and the output of the last layer, or the inside of a layer.
    let head = shape.vocabulary.saturating_add(times(6, shape.embedding_length));
    let layer = times(5, shape.embedding_length).saturating_add(times(3, shape.feed_forward_length));
    if flash_attention {
        // The attention mask is an f16 for each pair of a token in the batch and one in the cache.
        return times(times(4, n), head.max(layer)).saturating_add(times(times(2, n), n_ctx));
    }
    // A layer's scores coexist with its queries, keys and values; the mask is in f32.
    let queries = times(shape.heads, shape.key_length);
    let keys_and_values = times(shape.layer_kv_heads, shape.key_length.saturating_add(shape.value_length));
    let scores = [times(shape.heads, n_ctx), times(3, shape.embedding_length), times(3, queries)];
    let largest = scores.into_iter().fold(0, u64::saturating_add).max(head).max(layer);
    times(times(4, n), largest.saturating_add(keys_and_values).saturating_add(n_ctx))
}

fn rounded(n_ctx: u64) -> u64 {
    n_ctx.checked_next_multiple_of(N_CTX_STEP).unwrap_or(u64::MAX)
}

/// Estimated memory need of a model, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// The tensors' bytes, mapped from the file.
    pub weights_bytes: u64,
    /// The KV cache.
    pub kv_bytes: u64,
    /// The compute buffer, an estimate.
    pub compute_bytes: u64,
    /// Sum of the three.
    pub total_bytes: u64,
}

/// Estimates the memory need of a model with these weights and a context of `n_ctx` tokens; `None` if the blocks of the KV type do
/// not divide a head.
pub fn estimate(
    weights_bytes: u64,
    shape: &Shape,
    n_ctx: u64,
    kv_type: GgmlType,
    flash_attention: FlashAttention,
) -> Option<Estimate> {
    let kv_bytes = kv_bytes(shape, n_ctx, kv_type)?;
    let compute_bytes = compute_bytes(shape, n_ctx, DEFAULT_N_UBATCH, flash_attention.is_used(kv_type));
    let total_bytes = weights_bytes.saturating_add(kv_bytes).saturating_add(compute_bytes);
    Some(Estimate { weights_bytes, kv_bytes, compute_bytes, total_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QWEN3_1_7B: Shape = Shape {
        state_bytes: 0,
        kv_heads: 28 * 8,
        heads: 16,
        layer_kv_heads: 8,
        key_length: 128,
        value_length: 128,
        embedding_length: 2048,
        feed_forward_length: 6144,
        vocabulary: 151_936,
    };

    #[test]
    fn qwen3_1_7b_keeps_112_kib_a_token_in_f16() {
        assert_eq!(kv_bytes_per_token(&QWEN3_1_7B, GgmlType::F16), Some(112 * 1024));
        assert_eq!(kv_bytes_per_token(&QWEN3_1_7B, GgmlType::Q8_0), Some(112 * 1024 * 34 / 64));
        // 4.7 GB at its full context.
        assert_eq!(kv_bytes(&QWEN3_1_7B, 40_960, GgmlType::F16), Some(4_697_620_480));
    }

    #[test]
    fn a_context_is_rounded_up_to_256_tokens() {
        let bytes = |n_ctx| kv_bytes(&QWEN3_1_7B, n_ctx, GgmlType::F16).unwrap();
        assert_eq!((bytes(1), bytes(257)), (bytes(256), bytes(512)));
    }

    #[test]
    fn a_type_whose_blocks_do_not_divide_a_head_has_no_size() {
        let shape = Shape { state_bytes: 0, key_length: 80, ..QWEN3_1_7B };
        assert_eq!(kv_bytes_per_token(&shape, GgmlType::Q8_0), None);
        assert!(kv_bytes_per_token(&shape, GgmlType::F16).is_some());
    }

    #[test]
    fn a_hostile_shape_saturates() {
        let shape = Shape {
            state_bytes: 0,
            kv_heads: u64::MAX,
            heads: u64::MAX,
            layer_kv_heads: u64::MAX,
            key_length: u64::MAX,
            value_length: u64::MAX,
            embedding_length: u64::MAX,
            feed_forward_length: u64::MAX,
            vocabulary: u64::MAX,
        };
        assert_eq!(
            estimate(u64::MAX, &shape, u64::MAX, GgmlType::F16, FlashAttention::Auto).unwrap().total_bytes,
            u64::MAX
        );
    }
}
