//! Keys common to the architectures.

use super::{Config, LayerKind, RopeScaling};
use crate::gguf::{Array, Value};

/// The model's keys, in the order of `TextModel.set_gguf_parameters` in llama.cpp's converter. The number of key-value
/// heads is one for each layer if `lists_heads`.
fn common_keys(arch: &str, config: &Config, lists_heads: bool) -> Vec<(String, Value)> {
    let mut keys = Keys::new(arch);
    keys.count("block_count", config.block_count());
    keys.count("context_length", config.max_position_embeddings);
    keys.count("embedding_length", config.hidden_size);
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("attention.head_count", config.num_attention_heads);
    match lists_heads {
        true => keys.push("attention.head_count_kv", heads_by_layer(config)),
        false => keys.count("attention.head_count_kv", config.num_key_value_heads),
    }
    rope_scaling(&mut keys, &config.rope.scaling);
    if let Some(sections) = &config.rope.sections {
        // Time, height and width, and one more that no text has.
        let padded = sections.iter().copied().chain(std::iter::repeat(0)).take(4);
        keys.push("rope.dimension_sections", Value::Array(Array::I32(padded.map(|n| n as i32).collect())));
    }
    keys.number("rope.freq_base", config.rope.theta);
    if let Some(theta) = config.rope.sliding_theta {
        keys.number("rope.freq_base_swa", theta);
    }
    keys.number("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
    for (key, count) in [("expert_count", config.experts.0), ("expert_used_count", config.experts.1)] {
        if let Some(count) = count {
            keys.count(key, count);
        }
    }
    if let Some(width) = config.head_dim {
        keys.count("attention.key_length", width);
        keys.count("attention.value_length", width);
    }
    keys.keys
}

/// The model's keys with one number of key-value heads.
pub(super) fn common(arch: &str, config: &Config) -> Vec<(String, Value)> {
    common_keys(arch, config, false)
}

/// The model's keys with the number of key-value heads of each layer.
pub(super) fn common_by_layer(arch: &str, config: &Config) -> Vec<(String, Value)> {
    common_keys(arch, config, true)
}

/// The number of key-value heads of each layer: 0 for layers without attention.
fn heads_by_layer(config: &Config) -> Value {
    let heads = |layer| match config.layer_kind(layer) {
        LayerKind::Recurrent => 0,
        LayerKind::Attention | LayerKind::Prediction => config.num_key_value_heads as i32,
    };
    // No model with more layers than llama.cpp's limit gets as far as being written.
    Value::Array(Array::I32((0..config.block_count().min(MAX_BLOCKS + 1)).map(heads).collect()))
}

fn rope_scaling(keys: &mut Keys, scaling: &RopeScaling) {
    match scaling {
        // Llama 3's ramp and the divisors for long contexts are tensors, not keys.
        RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::Long { .. } => {}
        &RopeScaling::Linear { factor } => {
            keys.text("rope.scaling.type", "linear");
            keys.number("rope.scaling.factor", factor);
        }
        &RopeScaling::Yarn {
            factor,
            original_context,
            extrapolation_factor,
            attention_factor,
            beta_fast,
            beta_slow,
        } => {
            keys.text("rope.scaling.type", "yarn");
            keys.number("rope.scaling.factor", factor);
            keys.count("rope.scaling.original_context_length", original_context);
            keys.optional("rope.scaling.yarn_ext_factor", extrapolation_factor);
            keys.optional("rope.scaling.yarn_attn_factor", attention_factor);
            keys.optional("rope.scaling.yarn_beta_fast", beta_fast);
            keys.optional("rope.scaling.yarn_beta_slow", beta_slow);
        }
    }
}

/// llama.cpp's `LLAMA_MAX_LAYERS`, which it asserts.
pub const MAX_BLOCKS: u64 = 512;

/// Keys of one architecture, in file order.
pub(super) struct Keys<'a> {
    arch: &'a str,
    keys: Vec<(String, Value)>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(arch: &'a str) -> Keys<'a> {
        Keys { arch, keys: Vec::new() }
    }

    pub(super) fn into_vec(self) -> Vec<(String, Value)> {
        self.keys
    }

    fn push(&mut self, key: &str, value: Value) {
        self.keys.push((format!("{}.{key}", self.arch), value));
    }

    pub(super) fn count(&mut self, key: &str, count: u64) {
        self.push(key, count_value(count));
    }

    pub(super) fn number(&mut self, key: &str, number: f64) {
        self.push(key, Value::F32(number as f32));
    }

    fn optional(&mut self, key: &str, number: Option<f64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        self.push(key, Value::String(text.to_owned()));
    }
}

/// A count as a GGUF `u32`.
pub(super) fn count_value(count: u64) -> Value {
    Value::U32(count.try_into().expect("the configuration's counts are below 2^32"))
}
