//! LFM2 and LFM2.5: layers with a short convolution between layers with attention.

use super::{
    Accepts, Architecture, Config, Defaults, EMBEDDING, HEAD, HeadDim, HeadLength, LayerKind, OwnCount,
    Presence, RecurrentLayers, Sizes, TOKEN_EMBEDDING, Tensor, Unsupported, decoder,
    fields::{self, Fields},
    keys::{self, count_value},
    tokenizer,
};
use crate::gguf::Value;

pub(super) static LFM2: Architecture = Architecture {
    name: "lfm2",
    class: "Lfm2ForCausalLM",
    model_type: "lfm2",
    // transformers 4.57: `configuration_lfm2.py`.
    defaults: Defaults {
        vocab_size: 65_536,
        hidden_size: 2560,
        intermediate_size: 12_288,
        num_key_value_heads: Some(8),
        head_dim: HeadDim::Unset,
        max_position_embeddings: 128_000,
        rms_norm_eps: 1e-5,
        rope_theta: 1_000_000.0,
        tie_word_embeddings: true,
        ..decoder::DEFAULTS
    },
    accepts: Accepts {
        layer_types: &[("conv", LayerKind::Recurrent), ("full_attention", LayerKind::Attention)],
        ..decoder::ACCEPTS
    },
    read,
    tokenizer_class: &tokenizer::PLAIN_CLASS,
    check,
    layer_tensors,
    outer_tensors,
    model_keys: keys::common_by_layer,
    own_keys,
    recurrent_layers: RecurrentLayers::WithoutHeads,
    own_counts: &[OwnCount {
        key: "shortconv.l_cache",
        least: 2,
        set: |sizes, length| {
            sizes.convolution = length;
            true
        },
    }],
    head_length: HeadLength::ShareOfEmbedding,
    ..decoder::PLAIN
};

fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    if let Some(epsilon) = fields.optional_positive("norm_eps")? {
        config.rms_norm_eps = epsilon;
    }
    if let Some(is_tied) = fields.optional_flag("tie_embedding")? {
        config.tie_word_embeddings = is_tied;
    }
    config.intermediate_size = feed_forward_length(fields, config.intermediate_size)?;
    config.convolution = fields.count("conv_L_cache", 3)?;
    if fields.flag("conv_bias")? {
        return Err(fields.unsupported("conv_bias", "llama.cpp's convolution has no bias"));
    }
    if config.convolution < 2 {
        return Err(fields.unsupported("conv_L_cache", "a convolution of one token remembers nothing"));
    }
    // The first releases name the layers with attention by their numbers.
    if config.layer_kinds.is_empty()
        && let Some(attention) = fields.indices("full_attn_idxs")?
    {
        let kind = |layer| match attention.contains(&layer) {
            true => LayerKind::Attention,
            false => LayerKind::Recurrent,
        };
        config.layer_kinds = (0..config.num_hidden_layers.min(super::MAX_BLOCKS + 1)).map(kind).collect();
    }
    Ok(())
}

/// Width of the feed-forward layer: two thirds of the stated one times a factor, rounded up.
fn feed_forward_length(fields: &Fields<'_>, stated: u64) -> Result<u64, fields::Error> {
    let stated = fields.count("block_ff_dim", stated)?;
    if !fields.optional_flag("block_auto_adjust_ff_dim")?.unwrap_or(true) {
        return Ok(stated);
    }
    let mut width = (2.0 * stated as f64 / 3.0) as u64;
    // A null leaves the width as it is; without the field, the factor is 1.
    if let Some(factor) = fields.optional_positive("block_ffn_dim_multiplier")? {
        width = (factor * width as f64) as u64;
    }
    let step = fields.count("block_multiple_of", 256)?;
    let width = width.div_ceil(step).saturating_mul(step);
    match u32::try_from(width) {
        Ok(1..) => Ok(width),
        _ => Err(fields.wrong("block_ff_dim", "a width that stays from 1 to 4294967295 when it is adjusted")),
    }
}

fn check(config: &Config) -> Result<(), Unsupported> {
    if config.num_attention_heads * config.head_width() != config.hidden_size {
        return Err(Unsupported {
            field: "num_attention_heads",
            reason: "llama.cpp's LFM2 derives the head's width from the hidden size",
        });
    }
    if !(0..config.num_hidden_layers.min(super::MAX_BLOCKS))
        .any(|layer| config.layer_kind(layer) == LayerKind::Attention)
    {
        return Err(Unsupported {
            field: "layer_types",
            reason: "llama.cpp's LFM2 needs a layer with attention",
        });
    }
    decoder::refuse_llama3_rope(config)
}

fn layer_tensors(sizes: &Sizes, kind: LayerKind) -> Vec<Tensor> {
    let &Sizes { embedding, feed_forward, queries, keys, head, convolution, .. } = sizes;
    let mut tensors = vec![
        Tensor::new("operator_norm.weight", "attn_norm.weight", &[embedding]),
        Tensor::new("ffn_norm.weight", "ffn_norm.weight", &[embedding]),
        Tensor::new("feed_forward.w1.weight", "ffn_gate.weight", &[feed_forward, embedding]),
        Tensor::new("feed_forward.w3.weight", "ffn_up.weight", &[feed_forward, embedding]),
        Tensor::new("feed_forward.w2.weight", "ffn_down.weight", &[embedding, feed_forward]),
    ];
    tensors.extend(match kind {
        LayerKind::Recurrent => vec![
            Tensor::new("conv.conv.weight", "shortconv.conv.weight", &[embedding, 1, convolution]),
            Tensor::new("conv.in_proj.weight", "shortconv.in_proj.weight", &[3 * embedding, embedding]),
            Tensor::new("conv.out_proj.weight", "shortconv.out_proj.weight", &[embedding, embedding]),
        ],
        LayerKind::Attention | LayerKind::Prediction => vec![
            Tensor::new("self_attn.q_proj.weight", "attn_q.weight", &[queries, embedding]),
            Tensor::new("self_attn.k_proj.weight", "attn_k.weight", &[keys, embedding]),
            Tensor::new("self_attn.v_proj.weight", "attn_v.weight", &[keys, embedding]),
            Tensor::new("self_attn.out_proj.weight", "attn_output.weight", &[embedding, queries]),
            Tensor::new("self_attn.q_layernorm.weight", "attn_q_norm.weight", &[head]),
            Tensor::new("self_attn.k_layernorm.weight", "attn_k_norm.weight", &[head]),
        ],
    });
    tensors
}

fn outer_tensors(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, vocabulary, .. } = sizes;
    vec![
        Tensor::new(EMBEDDING, TOKEN_EMBEDDING, &[vocabulary, embedding]),
        // llama.cpp keeps the last norm under this name.
        Tensor::new("model.embedding_norm.weight", "token_embd_norm.weight", &[embedding]),
        Tensor::new(HEAD, "output.weight", &[vocabulary, embedding])
            .present(Presence::Optional(|config| !config.tie_word_embeddings)),
    ]
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    vec![
        ("vocab_size", count_value(config.vocab_size)),
        ("shortconv.l_cache", count_value(config.convolution)),
    ]
}
