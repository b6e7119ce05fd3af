//! Keys common to the architectures.

use super::{Config, RopeScaling};
use crate::gguf::Value;

/// The model's keys, in the order of `TextModel.set_gguf_parameters` in llama.cpp's converter.
pub(super) fn common(arch: &str, config: &Config) -> Vec<(String, Value)> {
    let mut keys = Keys { arch, keys: Vec::new() };
    keys.count("block_count", config.num_hidden_layers);
    keys.count("context_length", config.max_position_embeddings);
    keys.count("embedding_length", config.hidden_size);
    keys.count("feed_forward_length", config.intermediate_size);
    keys.count("attention.head_count", config.num_attention_heads);
    keys.count("attention.head_count_kv", config.num_key_value_heads);
    rope_scaling(&mut keys, &config.rope.scaling);
    keys.number("rope.freq_base", config.rope.theta);
    keys.number("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
    if let Some(width) = config.head_dim {
        keys.count("attention.key_length", width);
        keys.count("attention.value_length", width);
    }
    keys.keys
}

fn rope_scaling(keys: &mut Keys, scaling: &RopeScaling) {
    match *scaling {
        // Llama 3's ramp is a tensor of factors, not keys.
        RopeScaling::None | RopeScaling::Llama3 { .. } => {}
        RopeScaling::Linear { factor } => {
            keys.text("rope.scaling.type", "linear");
            keys.number("rope.scaling.factor", factor);
        }
        RopeScaling::Yarn {
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

struct Keys<'a> {
    arch: &'a str,
    keys: Vec<(String, Value)>,
}

impl Keys<'_> {
    fn push(&mut self, key: &str, value: Value) {
        self.keys.push((format!("{}.{key}", self.arch), value));
    }

    fn count(&mut self, key: &str, count: u64) {
        self.push(key, count_value(count));
    }

    fn number(&mut self, key: &str, number: f64) {
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
