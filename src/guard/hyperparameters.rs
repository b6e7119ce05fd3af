//! Checks of the hyperparameters of the architectures of [`arch`], from which all shapes follow.

use super::{Error, keys::Keys};
use crate::{
    arch::{self, Architecture, HeadLength, LayerKind, LinearAttention, RecurrentLayers, Sizes},
    gguf::{Array, Value},
};

/// llama.cpp's `LLAMA_MAX_LAYERS`, which it asserts.
const MAX_BLOCKS: u32 = arch::MAX_BLOCKS as u32;
/// More than any model has, and small enough that llama.cpp's 32-bit token counts do not overflow.
const MAX_CONTEXT: u32 = 1 << 30;
/// More than any model has; the product of two of these has at most 48 bits.
const MAX_WIDTH: u32 = 1 << 24;
/// More than any model has.
const MAX_HEADS: u32 = 1 << 16;

/// Checks the hyperparameters of a model of a checked architecture for consistency. Returns the sizes from which all
/// shapes follow, and the kind of each layer. `vocabulary` is the number of its tokens.
pub(super) fn check(
    keys: &Keys<'_>,
    architecture: &Architecture,
    vocabulary: u64,
) -> Result<(Sizes, Vec<LayerKind>), Error> {
    let block_count = keys.count("block_count", 1, MAX_BLOCKS)?;
    let (sizes, kv_heads) = sizes(keys, architecture, vocabulary, block_count)?;
    Ok((sizes, kinds(keys, architecture, &kv_heads)?))
}

/// The sizes from which all shapes follow, and the number of key-value heads of each layer, by the keys.
fn sizes(
    keys: &Keys<'_>,
    architecture: &Architecture,
    vocabulary: u64,
    block_count: u64,
) -> Result<(Sizes, Vec<u64>), Error> {
    keys.count("context_length", 1, MAX_CONTEXT)?;
    let embedding = keys.count("embedding_length", 1, MAX_WIDTH)?;
    let feed_forward = keys.count("feed_forward_length", 1, MAX_WIDTH)?;
    let heads = keys.count("attention.head_count", 1, MAX_HEADS)?;
    let (kv_heads, by_layer) = kv_heads(keys, architecture, heads, block_count)?;
    let head = head_length(keys, architecture, embedding, heads)?;
    same_or_absent(keys, embedding, head, vocabulary)?;
    let rotated = rotated(keys, architecture, head)?;
    numbers(keys, architecture)?;
    only_what_is_checked(keys, architecture)?;
    let mut sizes = Sizes {
        embedding,
        feed_forward,
        queries: heads * head,
        keys: kv_heads * head,
        head,
        rotated,
        vocabulary,
        convolution: 0,
        linear: LinearAttention::default(),
    };
    for count in architecture.own_counts {
        let number = keys.count(count.key, count.least, MAX_HEADS)?;
        if !(count.set)(&mut sizes, number) {
            let found = Value::U32(number as u32);
            return Err(keys.wrong(count.key, &found, "a number that fits the model's other sizes".into()));
        }
    }
    Ok((sizes, by_layer))
}

/// The number of key-value heads, and that of each layer: 0 for those without attention.
fn kv_heads(
    keys: &Keys<'_>,
    architecture: &Architecture,
    heads: u64,
    block_count: u64,
) -> Result<(u64, Vec<u64>), Error> {
    const KEY: &str = "attention.head_count_kv";
    let wrong = |count: u64, expected: String| keys.wrong(KEY, &Value::U32(count as u32), expected);
    let by_layer = keys.each(KEY, block_count, MAX_HEADS)?.unwrap_or(vec![heads; block_count as usize]);
    let most = by_layer.iter().copied().max().unwrap_or(0);
    let may_lack_heads = architecture.recurrent_layers == RecurrentLayers::WithoutHeads;
    if most == 0 || !heads.is_multiple_of(most) {
        let query_heads = keys.key("attention.head_count");
        return Err(wrong(most, format!("a divisor of the {heads} of `{query_heads}`")));
    }
    match by_layer.iter().find(|&&count| count != most && !(count == 0 && may_lack_heads)) {
        Some(&other) => Err(wrong(other, format!("{most}, as in other layers"))),
        None => Ok((most, by_layer)),
    }
}

/// The kind of each layer.
fn kinds(keys: &Keys<'_>, architecture: &Architecture, kv_heads: &[u64]) -> Result<Vec<LayerKind>, Error> {
    let kind = |is_recurrent| if is_recurrent { LayerKind::Recurrent } else { LayerKind::Attention };
    let blocks = kv_heads.len() as u64;
    let mut kinds: Vec<LayerKind> = match architecture.recurrent_layers {
        RecurrentLayers::None => vec![LayerKind::Attention; kv_heads.len()],
        RecurrentLayers::WithoutHeads => kv_heads.iter().map(|&heads| kind(heads == 0)).collect(),
        RecurrentLayers::Listed => match keys.truths("attention.recurrent_layers", blocks)? {
            Some(listed) => listed.iter().map(|&is_recurrent| kind(is_recurrent)).collect(),
            None => {
                let step = keys.optional_count("full_attention_interval", 1, MAX_BLOCKS)?.unwrap_or(4);
                (1..=blocks).map(|number| kind(!number.is_multiple_of(step))).collect()
            }
        },
    };
    if architecture.prediction.is_some() {
        let predicted = keys.optional_count("nextn_predict_layers", 0, 1)?.unwrap_or(0);
        if predicted >= blocks {
            let found = Value::U32(predicted as u32);
            return Err(keys.wrong(
                "nextn_predict_layers",
                &found,
                format!("fewer than the {blocks} layers"),
            ));
        }
        let first = kinds.len() - predicted as usize;
        kinds[first..].fill(LayerKind::Prediction);
    }
    let has_recurrent = architecture.recurrent_layers != RecurrentLayers::None;
    if has_recurrent && !kinds.contains(&LayerKind::Attention) {
        return Err(Error::MissingKey {
            key: keys.key("attention.head_count_kv"),
            expected: "a layer with attention, of which llama.cpp asks the memory's length".to_owned(),
        });
    }
    Ok(kinds)
}

/// Numbers of a head that are rotated: all of them in most architectures.
fn rotated(keys: &Keys<'_>, architecture: &Architecture, head: u64) -> Result<u64, Error> {
    const KEY: &str = "rope.dimension_count";
    let sections = "rope.dimension_sections";
    if architecture.accepts.sections {
        let fits = |sections: &[i32]| {
            let most = i32::try_from(MAX_HEADS).unwrap_or(i32::MAX);
            sections.len() == 4
                && sections.iter().all(|section| (0..=most).contains(section))
                && sections[..3].iter().any(|&section| section > 0)
        };
        match keys.value(sections) {
            Some(Value::Array(Array::I32(found))) if fits(found) => {}
            Some(other) => return Err(keys.wrong(sections, other, "four i32, one above 0".into())),
            None => {
                let expected = "an array of four i32".to_owned();
                return Err(Error::MissingKey { key: keys.key(sections), expected });
            }
        }
    }
    if !architecture.accepts.partial_rotation {
        keys.same(KEY, head, "the length of a head's key")?;
        return Ok(head);
    }
    let most = u32::try_from(head).unwrap_or(MAX_HEADS);
    match keys.optional_count(KEY, 2, most)? {
        None => Ok(head),
        Some(rotated) if rotated.is_multiple_of(2) => Ok(rotated),
        Some(rotated) => Err(keys.wrong(KEY, &Value::U32(rotated as u32), "an even number".into())),
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
        "rope.dimension_count_swa",
    ] {
        keys.same(name, head, "the length of a head's key")?;
    }
    keys.same("embedding_length_out", embedding, "the length of the embedding")?;
    keys.same("vocab_size", vocabulary, "the number of tokens")
}

fn numbers(keys: &Keys<'_>, architecture: &Architecture) -> Result<(), Error> {
    const EPSILON: &str = "attention.layer_norm_rms_epsilon";
    if keys.number(EPSILON, |n| (0.0..=1.0).contains(&n), "from 0 to 1")?.is_none() {
        let expected = "an f32, from 0 to 1".to_owned();
        return Err(Error::MissingKey { key: keys.key(EPSILON), expected });
    }
    for name in ["rope.freq_base", "rope.freq_base_swa"] {
        keys.number(name, |n| n.is_finite() && n > 0.0, "finite and above 0")?;
    }
    for name in ["attention.scale", "embedding_scale", "residual_scale", "final_logit_softcapping"] {
        keys.number(name, f32::is_finite, "finite")?;
    }
    for name in architecture.own_numbers {
        if keys.number(name, |n| n.is_finite() && n != 0.0, "finite and not 0")?.is_none() {
            let expected = "an f32, finite and not 0".to_owned();
            return Err(Error::MissingKey { key: keys.key(name), expected });
        }
    }
    keys.optional_count("attention.sliding_window", 0, MAX_CONTEXT)?;
    keys.optional_count("expert_shared_feed_forward_length", 0, MAX_WIDTH)?;
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
fn only_what_is_checked(keys: &Keys<'_>, architecture: &Architecture) -> Result<(), Error> {
    let experts = ["expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count"];
    let layers = Some("nextn_predict_layers").filter(|_| architecture.prediction.is_none());
    for name in experts.into_iter().chain(layers) {
        keys.same(name, 0, "as mixtures of experts and extra layers are not supported")?;
    }
    if architecture.recurrent_layers != RecurrentLayers::None {
        keys.same("attention.sliding_window", 0, "as windows beside recurrent layers are not supported")?;
    }
    for name in ["attention.sliding_window_pattern", "deepstack_mapping", "token_shift_count"] {
        if let Some(found) = keys.value(name) {
            return Err(keys.wrong(name, found, "none, as this is not supported".into()));
        }
    }
    match keys.truth("attention.causal")? {
        Some(false) => {
            Err(keys.wrong("attention.causal", &Value::Bool(false), "true, as text is generated".into()))
        }
        _ => Ok(()),
    }
}
