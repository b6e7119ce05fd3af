//! Checks of models whose architecture is loaded on trust: they refuse numbers that no model of any
//! architecture can have, and on which llama.cpp asserts or by which it divides.
//!
//! llama.cpp itself compares the tensors' names and shapes with the hyperparameters, and refuses mismatches.
//! Nothing checks the keys of single architectures (of state-space layers, indexers, vision), or the tables of
//! tokenizers that are not checked either.

use super::{Error, architecture::is_multiplied, keys::Keys};
use crate::gguf::{GgmlType, Gguf, TensorInfo, Value};

/// llama.cpp's `LLAMA_MAX_LAYERS` and `LLAMA_MAX_EXPERTS`, which it asserts.
const MAX_BLOCKS: u32 = 512;
const MAX_EXPERTS: u32 = 1024;
/// More than any model has.
const MAX_CONTEXT: u32 = 1 << 30;
const MAX_WIDTH: u32 = 1 << 24;
const MAX_HEADS: u32 = 1 << 16;

/// Checks the hyperparameters under `gguf`'s architecture, and `tensors` by their types.
pub(super) fn check(gguf: &Gguf, tensors: &[TensorInfo]) -> Result<(), Error> {
    let Some(architecture) = gguf.architecture() else { return Ok(()) };
    let keys = Keys::new(gguf, architecture);
    let blocks = keys.count("block_count", 1, MAX_BLOCKS)?;
    keys.count("context_length", 1, MAX_CONTEXT)?;
    keys.count("embedding_length", 1, MAX_WIDTH)?;
    keys.each("feed_forward_length", blocks, MAX_WIDTH)?;
    heads(&keys, blocks)?;
    experts(&keys, blocks)?;
    keys.optional_count("nextn_predict_layers", 0, blocks as u32)?;
    for name in ["key_length", "value_length", "key_length_swa", "value_length_swa"] {
        keys.optional_count(&format!("attention.{name}"), 1, MAX_HEADS)?;
    }
    keys.optional_count("rope.scaling.original_context_length", 1, MAX_CONTEXT)?;
    keys.optional_count("pooling_type", 0, 4)?;
    rotation(&keys)?;
    numbers(gguf, architecture)?;
    tensors.iter().try_for_each(check_tensor)
}

/// Checks the numbers of heads. Layers without attention have none; otherwise the number of key and value heads
/// must divide that of the query heads.
fn heads(keys: &Keys<'_>, blocks: u64) -> Result<(), Error> {
    let heads = keys.each("attention.head_count", blocks, MAX_HEADS)?;
    let shared = keys.each("attention.head_count_kv", blocks, MAX_HEADS)?;
    let (Some(heads), Some(shared)) = (heads, shared) else { return Ok(()) };
    let is_share = |(&heads, &shared): (&u64, &u64)| shared == 0 || heads.is_multiple_of(shared);
    match heads.iter().zip(&shared).position(|pair| !is_share(pair)) {
        None => Ok(()),
        Some(index) => Err(Error::Element {
            key: keys.key("attention.head_count_kv"),
            index,
            found: shared[index].to_string(),
            expected: format!("a divisor of the layer's {} heads", heads[index]),
        }),
    }
}

/// Checks llama.cpp's assertions about experts and their groups.
fn experts(keys: &Keys<'_>, blocks: u64) -> Result<(), Error> {
    let experts = keys.optional_count("expert_count", 0, MAX_EXPERTS)?.unwrap_or(0);
    let used = keys.each("expert_used_count", blocks, experts as u32)?;
    if experts > 0 && used.is_none_or(|used| used.iter().all(|&used| used == 0)) {
        let expected = format!("a u32 from 1 to {experts}");
        return match keys.value("expert_used_count") {
            None => Err(Error::MissingKey { key: keys.key("expert_used_count"), expected }),
            Some(found) => Err(keys.wrong("expert_used_count", found, expected)),
        };
    }
    let most = (experts as u32).saturating_sub(1);
    let groups = keys.optional_count("expert_group_count", 0, most)?.unwrap_or(0);
    if groups > 1 {
        if !experts.is_multiple_of(groups) {
            let expected = format!("a divisor of the {experts} experts");
            return Err(keys.wrong("expert_group_count", &Value::U32(groups as u32), expected));
        }
        keys.count("expert_group_used_count", 1, groups as u32 - 1)?;
    }
    Ok(())
}

/// Checks the rotary embedding: it rotates pairs of numbers, by finite angles.
fn rotation(keys: &Keys<'_>) -> Result<(), Error> {
    for name in ["rope.dimension_count", "rope.dimension_count_swa"] {
        if let Some(count) = keys.optional_count(name, 0, MAX_HEADS)?
            && !count.is_multiple_of(2)
        {
            return Err(keys.wrong(name, &Value::U32(count as u32), "an even number".into()));
        }
    }
    for name in ["rope.freq_base", "rope.freq_base_swa"] {
        keys.number(name, |n| n.is_finite() && n > 0.0, "finite and above 0")?;
    }
    let kinds = ["none", "linear", "yarn", "longrope"];
    match keys.text("rope.scaling.type")? {
        Some(kind) if !kinds.contains(&kind) => {
            let expected = format!("one of {}", kinds.join(", "));
            Err(keys.wrong("rope.scaling.type", &Value::String(kind.to_owned()), expected))
        }
        _ => Ok(()),
    }
}

/// Checks the other keys of the architecture: floats are finite, and an epsilon is from 0 to 1.
fn numbers(gguf: &Gguf, architecture: &str) -> Result<(), Error> {
    let keys = Keys::new(gguf, architecture);
    for (key, value) in &gguf.metadata {
        let Some(name) = key.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        match value {
            Value::F32(number) if !number.is_finite() => {
                return Err(keys.wrong(name, value, "a finite number".into()));
            }
            Value::F32(number) if name.ends_with("epsilon") && !(0.0..=1.0).contains(number) => {
                return Err(keys.wrong(name, value, "from 0 to 1".into()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that ggml can compute with the tensor's type, as a matrix to multiply with or a row to add or
/// multiply.
fn check_tensor(tensor: &TensorInfo) -> Result<(), Error> {
    let wrong = |expected| {
        let (name, found) = (tensor.name.escape_debug().to_string(), tensor.ggml_type);
        Err(Error::TensorType { name, found, expected })
    };
    let is_row = tensor.dims.iter().skip(1).all(|&dim| dim == 1);
    let is_table = matches!(tensor.ggml_type, GgmlType::I32 | GgmlType::I64);
    match tensor.ggml_type {
        GgmlType::F32 => Ok(()),
        // Tables of token ids, as drafting models have them.
        _ if is_table && !tensor.name.ends_with(".weight") => Ok(()),
        _ if is_row => wrong("F32, as llama.cpp takes norms, biases and scales"),
        found if is_multiplied(found) => Ok(()),
        _ => wrong("a type that llama.cpp multiplies with (F32, F16, BF16, or a quantized one)"),
    }
}
