//! Complete checks for some architectures: every hyperparameter, and every tensor against them.
//!
//! llama.cpp asserts some of this and divides by some of it. For what it refuses, it gives the reason only in
//! its log.

use super::{Error, keys::Keys};
use crate::gguf::{GgmlType, Gguf, TensorInfo, Value};
use std::collections::BTreeMap;

/// A checked architecture, and its differences from the others. All three are decoders with grouped-query
/// attention, SwiGLU and RMS norms.
struct Architecture {
    name: &'static str,
    /// True if each head's queries and keys have RMS norms.
    head_norms: bool,
    /// True if the output matrix may have a bias.
    output_bias: bool,
    /// True if the attention output and the feed-forward layer may have biases.
    dense_biases: bool,
    /// True if there may be divisors of the rotary frequencies.
    rope_factors: bool,
    /// True if the head width may differ from the embedding length divided by the number of heads.
    free_heads: bool,
}

static ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "qwen3",
        head_norms: true,
        output_bias: false,
        dense_biases: false,
        rope_factors: false,
        free_heads: true,
    },
    Architecture {
        name: "qwen2",
        head_norms: false,
        output_bias: true,
        dense_biases: false,
        rope_factors: false,
        free_heads: false,
    },
    Architecture {
        name: "llama",
        head_norms: false,
        output_bias: false,
        dense_biases: true,
        rope_factors: true,
        free_heads: true,
    },
];

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

/// True if files of the architecture of this name are checked.
pub(super) fn is_checked(name: &str) -> bool {
    ARCHITECTURES.iter().any(|architecture| architecture.name == name)
}

/// Checks the hyperparameters of a model of a checked architecture for consistency, and `tensors` (of all its
/// files) against them. `n_vocab` is the number of its tokens.
pub(super) fn check(gguf: &Gguf, tensors: &[TensorInfo], n_vocab: u64) -> Result<(), Error> {
    let Some(architecture) =
        ARCHITECTURES.iter().find(|architecture| gguf.architecture() == Some(architecture.name))
    else {
        return Ok(());
    };
    let sizes = Sizes::of(&Keys::new(gguf, architecture.name), architecture, n_vocab)?;
    let mut table = Table {
        tensors: tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
        architecture: architecture.name,
        block_count: sizes.block_count,
    };
    check_outside_blocks(&mut table, architecture, &sizes)?;
    for block in 0..sizes.block_count {
        check_block(&mut table, architecture, &sizes, block)?;
    }
    table.finish()
}

/// The sizes from which all shapes follow.
struct Sizes {
    block_count: u64,
    embedding: u64,
    feed_forward: u64,
    /// Total width of all heads' queries, and of all keys or values.
    queries: u64,
    keys: u64,
    head: u64,
    vocabulary: u64,
}

impl Sizes {
    fn of(keys: &Keys<'_>, architecture: &Architecture, vocabulary: u64) -> Result<Sizes, Error> {
        let block_count = keys.count("block_count", 1, MAX_BLOCKS)?;
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
        Ok(Sizes {
            block_count,
            embedding,
            feed_forward,
            queries: heads * head,
            keys: kv_heads * head,
            head,
            vocabulary,
        })
    }
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
    if !architecture.free_heads && share()? != head {
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

    /// Checks the two optional scales beside a matrix, as NVFP4 files have them.
    fn scales(&mut self, name: &str) -> Result<(), Error> {
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

fn check_outside_blocks(table: &mut Table<'_>, a: &Architecture, sizes: &Sizes) -> Result<(), Error> {
    table.matrix("token_embd.weight", [sizes.embedding, sizes.vocabulary])?;
    table.row("output_norm.weight", sizes.embedding)?;
    if table.has("output.weight") {
        table.matrix("output.weight", [sizes.embedding, sizes.vocabulary])?;
        // If the output is tied, llama.cpp asserts that there are no scales.
        table.scales("output")?;
    }
    if a.output_bias {
        table.optional_row("output.bias", sizes.vocabulary)?;
    }
    if a.rope_factors {
        for name in ["rope_freqs", "rope_factors_long", "rope_factors_short"] {
            table.optional_row(&format!("{name}.weight"), sizes.head / 2)?;
        }
    }
    Ok(())
}

fn check_block(table: &mut Table<'_>, a: &Architecture, sizes: &Sizes, block: u64) -> Result<(), Error> {
    let name = |tensor: &str| format!("blk.{block}.{tensor}");
    table.row(&name("attn_norm.weight"), sizes.embedding)?;
    let widths = [("attn_q", sizes.queries), ("attn_k", sizes.keys), ("attn_v", sizes.keys)];
    if table.has(&name("attn_qkv.weight")) {
        let fused = sizes.queries + 2 * sizes.keys;
        table.matrix(&name("attn_qkv.weight"), [sizes.embedding, fused])?;
        table.optional_row(&name("attn_qkv.bias"), fused)?;
        table.scales(&name("attn_qkv"))?;
    } else {
        for (tensor, width) in widths {
            table.matrix(&name(&format!("{tensor}.weight")), [sizes.embedding, width])?;
            table.scales(&name(tensor))?;
        }
    }
    for (tensor, width) in widths {
        table.optional_row(&name(&format!("{tensor}.bias")), width)?;
    }
    if a.head_norms {
        table.row(&name("attn_q_norm.weight"), sizes.head)?;
        table.row(&name("attn_k_norm.weight"), sizes.head)?;
    }
    table.row(&name("ffn_norm.weight"), sizes.embedding)?;
    for (tensor, row, rows) in [
        ("attn_output", sizes.queries, sizes.embedding),
        ("ffn_gate", sizes.embedding, sizes.feed_forward),
        ("ffn_up", sizes.embedding, sizes.feed_forward),
        ("ffn_down", sizes.feed_forward, sizes.embedding),
    ] {
        table.matrix(&name(&format!("{tensor}.weight")), [row, rows])?;
        table.scales(&name(tensor))?;
        if a.dense_biases {
            table.optional_row(&name(&format!("{tensor}.bias")), rows)?;
        }
    }
    Ok(())
}

/// True if ggml's CPU backend has a dot product for the type; for others it calls a null pointer.
pub(super) fn is_multiplied(ggml_type: GgmlType) -> bool {
    use GgmlType as T;
    !matches!(ggml_type, T::Q8_1 | T::Q8K | T::I8 | T::I16 | T::I32 | T::I64 | T::F64)
}
