//! Qwen3: the head width is independent of the hidden size, and query and key heads have an RMS norm.

use super::{
    Architecture, Config, Defaults, HeadDim, LayerKind, Presence, Sizes, Tensor, Unsupported, decoder,
    tokenizer,
};

pub(super) static QWEN3: Architecture = Architecture {
    name: "qwen3",
    class: "Qwen3ForCausalLM",
    model_type: "qwen3",
    // transformers 4.57: `configuration_qwen3.py`.
    defaults: Defaults {
        vocab_size: 151_936,
        hidden_size: 4096,
        intermediate_size: 22_016,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: Some(32),
        head_dim: HeadDim::Fixed(128),
        max_position_embeddings: 32_768,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
    },
    tokenizer_class: &tokenizer::QWEN2_CLASS,
    check,
    layer_tensors,
    ..decoder::PLAIN
};

fn check(config: &Config) -> Result<(), Unsupported> {
    if config.attention_bias {
        return Err(Unsupported {
            field: "attention_bias",
            reason: "llama.cpp's Qwen3 has no bias on the attention's output",
        });
    }
    decoder::refuse_llama3_rope(config)
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    let mut tensors = decoder::attention(sizes, Presence::NEVER_WRITTEN);
    tensors.extend(decoder::head_norms(sizes));
    tensors.extend(decoder::output_and_feed_forward(sizes));
    tensors
}

/// Metadata with the shape of Qwen3-1.7B.
#[cfg(test)]
pub(crate) fn qwen3_1_7b_keys() -> Vec<(String, crate::gguf::Value)> {
    use crate::gguf::Value;

    let number = |name: &str, value: u32| (format!("qwen3.{name}"), Value::U32(value));
    vec![
        ("general.architecture".to_owned(), Value::String("qwen3".into())),
        number("block_count", 28),
        number("embedding_length", 2048),
        number("feed_forward_length", 6144),
        number("attention.head_count", 16),
        number("attention.head_count_kv", 8),
        number("attention.key_length", 128),
        number("attention.value_length", 128),
    ]
}
