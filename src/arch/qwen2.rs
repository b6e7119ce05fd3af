//! Qwen2 and Qwen2.5: biases on the query, key and value projections.

use super::{
    Architecture, Config, Defaults, HeadDim, HeadLength, LayerKind, Presence, Sizes, Tensor, Unsupported,
    decoder, tokenizer,
};

pub(super) static QWEN2: Architecture = Architecture {
    name: "qwen2",
    class: "Qwen2ForCausalLM",
    model_type: "qwen2",
    // transformers 4.57: `configuration_qwen2.py`.
    defaults: Defaults {
        vocab_size: 151_936,
        hidden_size: 4096,
        intermediate_size: 22_016,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: Some(32),
        head_dim: HeadDim::Unset,
        max_position_embeddings: 32_768,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
    },
    tokenizer_class: &tokenizer::QWEN2_CLASS,
    check,
    layer_tensors,
    outer_tensors,
    head_length: HeadLength::ShareOfEmbedding,
    is_70b: |block_count, _| block_count == 80,
    ..decoder::PLAIN
};

fn check(config: &Config) -> Result<(), Unsupported> {
    if config.num_attention_heads * config.head_width() != config.hidden_size {
        return Err(Unsupported {
            field: "head_dim",
            reason: "llama.cpp's Qwen2 derives the head's width from the hidden size",
        });
    }
    decoder::refuse_llama3_rope(config)
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    // llama.cpp does without the biases, transformers does not.
    let mut tensors = decoder::attention(sizes, Presence::Optional(|_| true));
    tensors.extend(decoder::output_and_feed_forward(sizes));
    tensors
}

fn outer_tensors(sizes: &Sizes) -> Vec<Tensor> {
    let mut tensors = decoder::outer(sizes);
    let bias = Tensor::new("lm_head.bias", "output.bias", &[sizes.vocabulary]);
    tensors.push(bias.present(Presence::NEVER_WRITTEN));
    tensors
}
