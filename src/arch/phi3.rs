//! Phi-3 and Phi-4-mini: queries, keys and values in one matrix, and divisors of the rotary frequencies by context
//! length.

use super::{
    Accepts, Architecture, Config, Defaults, HeadLength, LayerKind, RopeFactors, RopeScaling, Sizes, Tensor,
    Unsupported, decoder,
    fields::{self, Fields},
    keys::Keys,
    tokenizer,
};
use crate::gguf::Value;

pub(super) static PHI3: Architecture = Architecture {
    name: "phi3",
    class: "Phi3ForCausalLM",
    model_type: "phi3",
    // transformers 4.57: `configuration_phi3.py`.
    defaults: Defaults {
        vocab_size: 32_064,
        hidden_size: 3072,
        intermediate_size: 8192,
        max_position_embeddings: 4096,
        rms_norm_eps: 1e-5,
        ..decoder::DEFAULTS
    },
    accepts: Accepts { partial_rotation: true, long_rope: true, ..decoder::ACCEPTS },
    read,
    tokenizer_class: &tokenizer::LLAMA_CLASS,
    check,
    caution,
    layer_tensors,
    rope_factors: &[
        RopeFactors { name: "rope_factors_long.weight", values: |config| factors(config, true) },
        RopeFactors { name: "rope_factors_short.weight", values: |config| factors(config, false) },
    ],
    first_keys,
    model_keys,
    own_keys,
    head_length: HeadLength::ShareOfEmbedding,
    ..decoder::PLAIN
};

fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    config.head_dim = None;
    config.sliding_window = fields.optional_number("sliding_window")?.unwrap_or(0);
    fields.count("original_max_position_embeddings", 4096)?;
    let RopeScaling::Long { long, short } = &config.rope.scaling else { return Ok(()) };
    let expected = rotated(config) / 2;
    if [long, short].iter().any(|factors| factors.len() as u64 != expected) {
        return Err(fields::Error::Contradiction(format!(
            "`long_factor` has {} numbers and `short_factor` {}; half of a head's rotated part are {expected}",
            long.len(),
            short.len()
        )));
    }
    Ok(())
}

fn check(config: &Config) -> Result<(), Unsupported> {
    if config.num_attention_heads * config.head_width() != config.hidden_size {
        return Err(Unsupported {
            field: "num_attention_heads",
            reason: "llama.cpp's Phi-3 derives the head's width from the hidden size",
        });
    }
    if config.attention_bias || config.mlp_bias {
        return Err(Unsupported { field: "attention_bias", reason: "llama.cpp's Phi-3 has no biases" });
    }
    match config.rope.scaling {
        RopeScaling::None | RopeScaling::Long { .. } => Ok(()),
        _ => Err(Unsupported { field: "rope_scaling", reason: "Phi-3 knows `longrope` only" }),
    }
}

fn caution(config: &Config) -> Option<String> {
    let window = config.sliding_window;
    (window > 0 && window < config.max_position_embeddings).then(|| {
        format!(
            "`sliding_window` is {window}, and llama.cpp's Phi-3 has full attention in every layer: answers to prompts \
             longer than {window} tokens will differ from the checkpoint's"
        )
    })
}

/// Numbers of a head that are rotated, rounded as the reference does.
fn rotated(config: &Config) -> u64 {
    let share = config.rope.rotated_share.unwrap_or(1.0);
    (share * config.hidden_size as f64) as u64 / config.num_attention_heads
}

fn factors(config: &Config, is_long: bool) -> Option<Vec<f32>> {
    let RopeScaling::Long { long, short } = &config.rope.scaling else { return None };
    let factors = if is_long { long } else { short };
    Some(factors.iter().map(|&factor| factor as f32).collect())
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    let &Sizes { embedding, feed_forward, queries, keys, .. } = sizes;
    let fused = queries + 2 * keys;
    vec![
        Tensor::new("input_layernorm.weight", "attn_norm.weight", &[embedding]),
        Tensor::new("self_attn.qkv_proj.weight", "attn_qkv.weight", &[fused, embedding]),
        decoder::attention_output(sizes),
        Tensor::new("post_attention_layernorm.weight", "ffn_norm.weight", &[embedding]),
        // Gate and input in one matrix, which llama.cpp splits.
        Tensor::new("mlp.gate_up_proj.weight", "ffn_up.weight", &[2 * feed_forward, embedding]),
        Tensor::new("mlp.down_proj.weight", "ffn_down.weight", &[embedding, feed_forward]),
    ]
}

fn original_context(config: &Config) -> u64 {
    let stated = Fields(&config.raw).optional_count("original_max_position_embeddings");
    stated.ok().flatten().unwrap_or(4096)
}

/// Factor of the attention in contexts longer than the original one.
fn first_keys(config: &Config) -> Vec<(&'static str, Value)> {
    if !matches!(config.rope.scaling, RopeScaling::Long { .. }) {
        return Vec::new();
    }
    let original = original_context(config) as f64;
    let scale = config.max_position_embeddings as f64 / original;
    let factor = if scale > 1.0 { (1.0 + scale.ln() / original.ln()).sqrt() } else { 1.0 };
    vec![("rope.scaling.attn_factor", Value::F32(factor as f32))]
}

fn model_keys(arch: &str, config: &Config) -> Vec<(String, Value)> {
    let mut keys = Keys::new(arch);
    keys.count("context_length", config.max_position_embeddings);
    keys.count("rope.scaling.original_context_length", original_context(config));
    keys.count("embedding_length", config.hidden_size);
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("block_count", config.num_hidden_layers);
    keys.count("attention.head_count", config.num_attention_heads);
    keys.count("attention.head_count_kv", config.num_key_value_heads);
    keys.number("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
    keys.count("rope.dimension_count", rotated(config));
    keys.number("rope.freq_base", config.rope.theta);
    keys.into_vec()
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    vec![("attention.sliding_window", Value::U32(config.sliding_window as u32))]
}
