//! Tensors common to the architectures: a decoder with grouped-query attention, SwiGLU and RMS norms.

use super::{
    Accepts, Architecture, Config, Defaults, EMBEDDING, HEAD, HeadDim, HeadLength, Presence, RecurrentLayers,
    RopeScaling, Sizes, TOKEN_EMBEDDING, Tensor, Unsupported, keys,
    tokenizer::{self, ExtraKeys},
};

/// The settings that most architectures share.
pub(super) const PLAIN: Architecture = Architecture {
    name: "",
    class: "",
    model_type: "",
    vision: None,
    defaults: DEFAULTS,
    accepts: ACCEPTS,
    read: |_, _| Ok(()),
    tokenizer_class: &tokenizer::LLAMA_CLASS,
    is_sentencepiece: false,
    extra_tokenizer_keys: ExtraKeys::NONE,
    check: refuse_llama3_rope,
    caution: |_| None,
    layer_tensors: |_, _| Vec::new(),
    outer_tensors: outer,
    prediction: None,
    rope_factors: &[],
    first_keys: |_| Vec::new(),
    model_keys: keys::common,
    own_keys: |_| Vec::new(),
    recurrent_layers: RecurrentLayers::None,
    own_counts: &[],
    own_numbers: &[],
    head_length: HeadLength::Free,
    is_70b: |_, _| false,
};

/// Fields that every architecture accepts.
pub(super) const ACCEPTS: Accepts = Accepts {
    activations: &["silu", "swish"],
    layer_types: &[],
    sliding_theta: false,
    partial_rotation: false,
    sections: false,
    long_rope: false,
};

/// Defaults of transformers' Llama, from which many classes are copied.
pub(super) const DEFAULTS: Defaults = Defaults {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: None,
    head_dim: HeadDim::Unset,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000.0,
    tie_word_embeddings: false,
};

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

/// A layer of Llama: queries and keys whose rows are permuted, and biases where the configuration has them.
pub(super) fn rotated_by_neighbours(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, feed_forward, .. } = sizes;
    let attention_bias = Presence::Optional(|config| config.attention_bias);
    let mut tensors = attention(sizes, attention_bias);
    permute(&mut tensors, sizes.head);
    tensors.extend(output_and_feed_forward(sizes));
    let output = Tensor::new("self_attn.o_proj.bias", "attn_output.bias", &[embedding]);
    tensors.push(output.present(attention_bias));
    let mlp_biases = [
        Tensor::new("mlp.gate_proj.bias", "ffn_gate.bias", &[feed_forward]),
        Tensor::new("mlp.up_proj.bias", "ffn_up.bias", &[feed_forward]),
        Tensor::new("mlp.down_proj.bias", "ffn_down.bias", &[embedding]),
    ];
    let mlp_bias = Presence::Optional(|config| config.mlp_bias);
    tensors.extend(mlp_biases.map(|bias| bias.present(mlp_bias)));
    tensors
}

/// Permutes the rows of queries and keys.
pub(super) fn permute(tensors: &mut [Tensor], head_width: u64) {
    for tensor in tensors {
        if ["attn_q.weight", "attn_k.weight", "attn_q.bias", "attn_k.bias"].contains(&tensor.name) {
            tensor.permute(head_width);
        }
    }
}

/// The norms of query and key heads.
pub(super) fn head_norms(sizes: &Sizes) -> [Tensor; 2] {
    [
        Tensor::new("self_attn.q_norm.weight", "attn_q_norm.weight", &[sizes.head]),
        Tensor::new("self_attn.k_norm.weight", "attn_k_norm.weight", &[sizes.head]),
    ]
}

/// The attention's output, and the feed-forward layer with its norm.
pub(super) fn output_and_feed_forward(sizes: &Sizes) -> Vec<Tensor> {
    let mut tensors =
        vec![Tensor::new("post_attention_layernorm.weight", "ffn_norm.weight", &[sizes.embedding])];
    tensors.push(attention_output(sizes));
    tensors.extend(feed_forward(sizes));
    tensors
}

/// The attention's output.
pub(super) fn attention_output(sizes: &Sizes) -> Tensor {
    Tensor::new("self_attn.o_proj.weight", "attn_output.weight", &[sizes.embedding, sizes.queries])
}

/// The matrices of the feed-forward layer.
pub(super) fn feed_forward(sizes: &Sizes) -> [Tensor; 3] {
    let &Sizes { embedding, feed_forward, .. } = sizes;
    [
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
