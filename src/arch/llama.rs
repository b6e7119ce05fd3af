//! Llama and SmolLM2: query and key rows are interleaved for llama.cpp's rotary embedding.

use super::{Architecture, Expected, decoder};
use crate::{
    checkpoint::{Config, RopeScaling},
    convert::vocab::Family,
    gguf::Value,
};
use std::f64::consts::PI;

/// `LlamaForCausalLM`.
pub struct Llama;

impl Architecture for Llama {
    fn class(&self) -> &'static str {
        "LlamaForCausalLM"
    }

    fn name(&self) -> &'static str {
        "llama"
    }

    fn check(&self, _config: &Config) -> Result<(), (&'static str, &'static str)> {
        Ok(())
    }

    fn vocab_family(&self) -> Family {
        Family::Llama
    }

    fn layer_tensors(&self, config: &Config) -> Vec<Expected> {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let mut tensors = decoder::layer_tensors(config);
        if config.attention_bias {
            tensors.extend(decoder::qkv_biases(config));
            tensors.push(Expected::new("self_attn.o_proj.bias", "attn_output.bias", &[hidden]));
        }
        if config.mlp_bias {
            tensors.push(Expected::new("mlp.gate_proj.bias", "ffn_gate.bias", &[ffn]));
            tensors.push(Expected::new("mlp.up_proj.bias", "ffn_up.bias", &[ffn]));
            tensors.push(Expected::new("mlp.down_proj.bias", "ffn_down.bias", &[hidden]));
        }
        let rotated = |tensor: &Expected| {
            tensor.source.starts_with("self_attn.q_proj") || tensor.source.starts_with("self_attn.k_proj")
        };
        let interleave = |tensor: Expected| match rotated(&tensor) {
            true => tensor.interleaved(config.head_width()),
            false => tensor,
        };
        tensors.into_iter().map(interleave).collect()
    }

    fn keys(&self, config: &Config) -> Vec<(String, Value)> {
        decoder::keys(self.name(), config)
    }

    fn late_keys(&self, config: &Config) -> Vec<(String, Value)> {
        vec![
            ("llama.vocab_size".to_owned(), decoder::count_value(config.vocab_size)),
            ("llama.rope.dimension_count".to_owned(), decoder::count_value(config.head_width())),
        ]
    }

    fn computed_tensors(&self, config: &Config) -> Vec<(String, Vec<f32>)> {
        match rope_factors(config) {
            Some(factors) => vec![("rope_freqs.weight".to_owned(), factors)],
            None => Vec::new(),
        }
    }

    fn is_70b(&self, config: &Config) -> bool {
        config.num_hidden_layers == 80 && config.num_attention_heads != config.num_key_value_heads
    }
}

/// Llama 3.1's divisors of the frequencies of a head, `[head_width / 2]`; `None` for other RoPE types.
///
/// llama.cpp's converter computes them in f32 with PyTorch, where a number divided by a tensor is the number
/// times the tensor's reciprocal. The roundings here are the same.
fn rope_factors(config: &Config) -> Option<Vec<f32>> {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } =
        config.rope.scaling
    else {
        return None;
    };
    let width = config.head_width();
    let context = original_context as f64;
    let longest_kept = (context / high_freq_factor) as f32;
    let shortest_divided = (context / low_freq_factor) as f32;
    let ramp = |wavelength: f32| {
        let smooth = (wavelength.recip() * context as f32 - low_freq_factor as f32)
            / (high_freq_factor - low_freq_factor) as f32;
        ((1.0 - smooth) / factor as f32 + smooth).recip()
    };
    let factor_of = |i: u64| {
        let exponent = (2 * i) as f32 / width as f32;
        let frequency = (f64::from(config.rope.theta as f32).powf(f64::from(exponent)) as f32).recip();
        let wavelength = frequency.recip() * (2.0 * PI) as f32;
        if wavelength < longest_kept {
            1.0
        } else if wavelength > shortest_divided {
            factor as f32
        } else {
            ramp(wavelength)
        }
    };
    Some((0..width / 2).map(factor_of).collect())
}
