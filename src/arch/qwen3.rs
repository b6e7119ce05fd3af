//! Qwen3: the head width is independent of the hidden size, and query and key heads have an RMS norm.

use super::{Architecture, Expected, decoder};
use crate::{
    checkpoint::{Config, RopeScaling},
    gguf::Value,
};

/// `Qwen3ForCausalLM`.
pub struct Qwen3;

impl Architecture for Qwen3 {
    fn class(&self) -> &'static str {
        "Qwen3ForCausalLM"
    }

    fn name(&self) -> &'static str {
        "qwen3"
    }

    fn check(&self, config: &Config) -> Result<(), (&'static str, &'static str)> {
        if config.attention_bias {
            return Err(("attention_bias", "llama.cpp's Qwen3 has no bias on the attention's output"));
        }
        refuse_llama3_rope(config)
    }

    fn layer_tensors(&self, config: &Config) -> Vec<Expected> {
        let head = config.head_width();
        let mut tensors = decoder::layer_tensors(config);
        tensors.push(Expected::new("self_attn.q_norm.weight", "attn_q_norm.weight", &[head]));
        tensors.push(Expected::new("self_attn.k_norm.weight", "attn_k_norm.weight", &[head]));
        tensors
    }

    fn keys(&self, config: &Config) -> Vec<(String, Value)> {
        decoder::keys(self.name(), config)
    }

    fn is_70b(&self, _config: &Config) -> bool {
        false
    }
}

/// Refuses Llama 3's frequency factors: only llama.cpp's Llama reads such a tensor.
pub(super) fn refuse_llama3_rope(config: &Config) -> Result<(), (&'static str, &'static str)> {
    match config.rope.scaling {
        RopeScaling::Llama3 { .. } => {
            Err(("rope_type", "llama.cpp knows Llama 3's frequency factors in Llama only"))
        }
        _ => Ok(()),
    }
}
