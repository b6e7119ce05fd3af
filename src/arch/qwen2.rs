//! Qwen2 and Qwen2.5: biases on the query, key and value projections.

use super::{Architecture, Expected, decoder, qwen3};
use crate::{checkpoint::Config, gguf::Value};

/// `Qwen2ForCausalLM`.
pub struct Qwen2;

impl Architecture for Qwen2 {
    fn class(&self) -> &'static str {
        "Qwen2ForCausalLM"
    }

    fn name(&self) -> &'static str {
        "qwen2"
    }

    fn check(&self, config: &Config) -> Result<(), (&'static str, &'static str)> {
        if config.num_attention_heads * config.head_width() != config.hidden_size {
            return Err(("head_dim", "llama.cpp's Qwen2 derives the head's width from the hidden size"));
        }
        qwen3::refuse_llama3_rope(config)
    }

    fn layer_tensors(&self, config: &Config) -> Vec<Expected> {
        let mut tensors = decoder::layer_tensors(config);
        tensors.extend(decoder::qkv_biases(config));
        tensors
    }

    fn keys(&self, config: &Config) -> Vec<(String, Value)> {
        decoder::keys(self.name(), config)
    }

    fn is_70b(&self, config: &Config) -> bool {
        config.num_hidden_layers == 80
    }
}
