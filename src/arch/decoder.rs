//! Tensors common to the architectures: a decoder with grouped-query attention, SwiGLU and RMS norms.

use super::{Config, EMBEDDING, HEAD, Presence, RopeScaling, Sizes, TOKEN_EMBEDDING, Tensor, Unsupported};

/// The attention's norm and its inputs: matrices for queries, keys and values, and their biases.
pub(super) fn attention(sizes: &Sizes, biases: Presence) -> Vec<Tensor> {
    let &Sizes { embedding, queries, keys, .. } = sizes;
    vec![
        Tensor::new("input_layernorm.weight", "attn_norm.weight", &[embedding]),
        Tensor::new("self_attn.q_proj.weight", "attn_q.weight", &[queries, embedding]),
        Tensor::new("self_attn.k_proj.weight", "attn_k.weight", &[keys, embedding]),
        Tensor::new("self_attn.v_proj.weight", "attn_v.weight", &[keys, embedding]),
        Tensor::new("self_attn.q_proj.bias", "attn_q.bias", &[queries]).present(biases),
        Tensor::new("self_attn.k_proj.bias", "attn_k.bias", &[keys]).present(biases),
        Tensor::new("self_attn.v_proj.bias", "attn_v.bias", &[keys]).present(biases),
    ]
}

/// The attention's output, and the feed-forward layer with its norm.
pub(super) fn output_and_feed_forward(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, queries, feed_forward, .. } = sizes;
    vec![
        Tensor::new("post_attention_layernorm.weight", "ffn_norm.weight", &[embedding]),
        Tensor::new("self_attn.o_proj.weight", "attn_output.weight", &[embedding, queries]),
        Tensor::new("mlp.gate_proj.weight", "ffn_gate.weight", &[feed_forward, embedding]),
        Tensor::new("mlp.up_proj.weight", "ffn_up.weight", &[feed_forward, embedding]),
        Tensor::new("mlp.down_proj.weight", "ffn_down.weight", &[embedding, feed_forward]),
    ]
}

/// The tensors outside the layers: embedding, last norm and output head.
pub(super) fn outer(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, vocabulary, .. } = sizes;
    vec![
        Tensor::new(EMBEDDING, TOKEN_EMBEDDING, &[vocabulary, embedding]),
        Tensor::new("model.norm.weight", "output_norm.weight", &[embedding]),
        Tensor::new(HEAD, "output.weight", &[vocabulary, embedding])
            .present(Presence::Optional(|config| !config.tie_word_embeddings)),
    ]
}

/// Refuses Llama 3's frequency factors: only llama.cpp's Llama reads such a tensor.
pub(super) fn refuse_llama3_rope(config: &Config) -> Result<(), Unsupported> {
    match config.rope.scaling {
        RopeScaling::Llama3 { .. } => Err(Unsupported {
            field: "rope_type",
            reason: "llama.cpp knows Llama 3's frequency factors in Llama only",
        }),
        _ => Ok(()),
    }
}
