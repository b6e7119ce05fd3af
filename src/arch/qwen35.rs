//! Qwen3.5, the language model: layers with linear attention between layers with gated attention, and a layer that
//! predicts a later token.

use super::{
    Accepts, Architecture, Arithmetic, Config, Defaults, HeadDim, LayerKind, OwnCount, PredictionLayer,
    Presence, RecurrentLayers, Sizes, Tensor, Tile, Transform, VisionModel, decoder,
    fields::{self, Fields},
    keys::count_value,
    tokenizer,
};
use crate::gguf::{Array, Value};

/// Sections of the rotated part where the file is silent.
const SECTIONS: [u64; 3] = [11, 11, 10];

pub(super) static QWEN35: Architecture = Architecture {
    name: "qwen35",
    class: "Qwen3_5ForCausalLM",
    model_type: "qwen3_5_text",
    vision: Some(VisionModel { class: "Qwen3_5ForConditionalGeneration", model_type: "qwen3_5" }),
    defaults: Defaults {
        vocab_size: 248_320,
        hidden_size: 4096,
        intermediate_size: 12_288,
        num_attention_heads: 16,
        num_key_value_heads: Some(4),
        head_dim: HeadDim::Fixed(256),
        max_position_embeddings: 32_768,
        ..decoder::DEFAULTS
    },
    accepts: Accepts {
        layer_types: &[("linear_attention", LayerKind::Recurrent), ("full_attention", LayerKind::Attention)],
        partial_rotation: true,
        sections: true,
        ..decoder::ACCEPTS
    },
    read,
    tokenizer_class: &tokenizer::QWEN2_CLASS,
    layer_tensors,
    outer_tensors: |sizes| decoder::outer(sizes).into_iter().map(plus_one).collect(),
    prediction: Some(PredictionLayer { prefix: "mtp.", tensors: prediction_tensors }),
    own_keys,
    recurrent_layers: RecurrentLayers::Listed,
    own_counts: OWN_COUNTS,
    ..decoder::PLAIN
};

const OWN_COUNTS: &[OwnCount] = &[
    OwnCount {
        key: "ssm.conv_kernel",
        least: 2,
        set: |sizes, length| {
            sizes.convolution = length;
            true
        },
    },
    OwnCount {
        key: "ssm.state_size",
        least: 1,
        set: |sizes, width| {
            (sizes.linear.key_width, sizes.linear.value_width) = (width, width);
            true
        },
    },
    OwnCount {
        key: "ssm.group_count",
        least: 1,
        set: |sizes, heads| {
            sizes.linear.key_heads = heads;
            true
        },
    },
    OwnCount {
        key: "ssm.time_step_rank",
        least: 1,
        set: |sizes, heads| {
            sizes.linear.value_heads = heads;
            heads.is_multiple_of(sizes.linear.key_heads)
        },
    },
    OwnCount { key: "ssm.inner_size", least: 1, set: |sizes, width| width == sizes.linear.values() },
];

fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    config.convolution = fields.count("linear_conv_kernel_dim", 4)?;
    let linear = &mut config.linear;
    linear.key_heads = fields.required_count("linear_num_key_heads")?;
    linear.value_heads = fields.required_count("linear_num_value_heads")?;
    linear.key_width = fields.required_count("linear_key_head_dim")?;
    linear.value_width = fields.required_count("linear_value_head_dim")?;
    if !linear.value_heads.is_multiple_of(linear.key_heads) {
        let reason = "the number of value heads must be a multiple of `linear_num_key_heads`";
        return Err(fields.unsupported("linear_num_value_heads", reason));
    }
    if linear.key_width != linear.value_width {
        let reason = "llama.cpp's Qwen3.5 has one width for the heads of linear attention";
        return Err(fields.unsupported("linear_value_head_dim", reason));
    }
    if config.convolution < 2 {
        let reason = "a convolution of one token remembers nothing";
        return Err(fields.unsupported("linear_conv_kernel_dim", reason));
    }
    if fields.optional_flag("attn_output_gate")? == Some(false) {
        return Err(fields
            .unsupported("attn_output_gate", "llama.cpp's Qwen3.5 has a gate on the attention's output"));
    }
    if fields.flag("attention_bias")? {
        return Err(fields.unsupported("attention_bias", "llama.cpp's Qwen3.5 has no biases"));
    }
    config.rope.sections.get_or_insert_with(|| SECTIONS.to_vec());
    config.rope.rotated_share.get_or_insert(0.25);
    if config.layer_kinds.is_empty() {
        let step = interval(config);
        let kind = |layer: u64| match (layer + 1).is_multiple_of(step) {
            true => LayerKind::Attention,
            false => LayerKind::Recurrent,
        };
        config.layer_kinds = (0..config.num_hidden_layers.min(super::MAX_BLOCKS + 1)).map(kind).collect();
    }
    fields.count("full_attention_interval", 4).map(drop)
}

/// Every layer whose number, from 1, is a multiple of this has attention, where the file does not list the layers.
fn interval(config: &Config) -> u64 {
    Fields(&config.raw).optional_count("full_attention_interval").ok().flatten().unwrap_or(4)
}

fn layer_tensors(sizes: &Sizes, kind: LayerKind) -> Vec<Tensor> {
    let mut tensors = match kind {
        LayerKind::Recurrent => linear_attention(sizes),
        LayerKind::Attention | LayerKind::Prediction => attention(sizes),
    };
    tensors.push(Tensor::new(
        "post_attention_layernorm.weight",
        "post_attention_norm.weight",
        &[sizes.embedding],
    ));
    tensors.extend(decoder::feed_forward(sizes));
    tensors.into_iter().map(plus_one).collect()
}

/// Attention with a gate for each of the queries' numbers.
fn attention(sizes: &Sizes) -> Vec<Tensor> {
    let mut tensors = decoder::attention(sizes, Presence::NEVER_WRITTEN);
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name == "attn_q.weight") {
        tensor.shape[0] *= 2;
    }
    tensors.push(decoder::attention_output(sizes));
    tensors.extend(decoder::head_norms(sizes));
    tensors
}

fn linear_attention(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, convolution, linear, .. } = sizes;
    let (heads, values, convolved) = (linear.value_heads, linear.values(), linear.convolved());
    let tile = |start, width| Tile {
        start,
        key_heads: linear.key_heads,
        each: linear.value_heads / linear.key_heads,
        width,
    };
    let rows = |start, width| Transform::TileRows(tile(start, width));
    // Queries and keys come before the values.
    let behind_keys = rows(2 * linear.keys(), linear.value_width);
    let of_values = rows(0, linear.value_width);
    let of_heads = rows(0, 1);
    let columns = Transform::TileColumns(tile(0, linear.value_width));
    vec![
        Tensor::new("input_layernorm.weight", "attn_norm.weight", &[embedding]),
        Tensor::new("linear_attn.in_proj_qkv.weight", "attn_qkv.weight", &[convolved, embedding])
            .ordered(behind_keys),
        Tensor::new("linear_attn.in_proj_z.weight", "attn_gate.weight", &[values, embedding])
            .ordered(of_values),
        Tensor::new("linear_attn.in_proj_a.weight", "ssm_alpha.weight", &[heads, embedding])
            .ordered(of_heads),
        Tensor::new("linear_attn.in_proj_b.weight", "ssm_beta.weight", &[heads, embedding]).ordered(of_heads),
        Tensor::new("linear_attn.conv1d.weight", "ssm_conv1d.weight", &[convolved, 1, convolution])
            .ordered(behind_keys),
        Tensor::new("linear_attn.A_log", "ssm_a", &[heads])
            .ordered(of_heads)
            .changed(Arithmetic::NegativeExponential),
        Tensor::new("linear_attn.dt_bias", "ssm_dt.bias", &[heads]).ordered(of_heads),
        Tensor::new("linear_attn.norm.weight", "ssm_norm.weight", &[linear.value_width]),
        Tensor::new("linear_attn.out_proj.weight", "ssm_out.weight", &[embedding, values]).ordered(columns),
    ]
}

/// All norms but that of linear attention multiply with their weights plus one.
fn plus_one(tensor: Tensor) -> Tensor {
    match tensor.source.ends_with("norm.weight") && tensor.source != "linear_attn.norm.weight" {
        true => tensor.changed(Arithmetic::AddOne),
        false => tensor,
    }
}

fn prediction_tensors(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, feed_forward, queries, keys, head, .. } = sizes;
    [
        ("mtp.fc.weight", "nextn.eh_proj.weight", vec![embedding, 2 * embedding]),
        ("mtp.pre_fc_norm_embedding.weight", "nextn.enorm.weight", vec![embedding]),
        ("mtp.pre_fc_norm_hidden.weight", "nextn.hnorm.weight", vec![embedding]),
        ("mtp.norm.weight", "nextn.shared_head_norm.weight", vec![embedding]),
        ("mtp.layers.0.input_layernorm.weight", "attn_norm.weight", vec![embedding]),
        ("mtp.layers.0.post_attention_layernorm.weight", "post_attention_norm.weight", vec![embedding]),
        ("mtp.layers.0.self_attn.q_proj.weight", "attn_q.weight", vec![2 * queries, embedding]),
        ("mtp.layers.0.self_attn.k_proj.weight", "attn_k.weight", vec![keys, embedding]),
        ("mtp.layers.0.self_attn.v_proj.weight", "attn_v.weight", vec![keys, embedding]),
        ("mtp.layers.0.self_attn.o_proj.weight", "attn_output.weight", vec![embedding, queries]),
        ("mtp.layers.0.self_attn.q_norm.weight", "attn_q_norm.weight", vec![head]),
        ("mtp.layers.0.self_attn.k_norm.weight", "attn_k_norm.weight", vec![head]),
        ("mtp.layers.0.mlp.gate_proj.weight", "ffn_gate.weight", vec![feed_forward, embedding]),
        ("mtp.layers.0.mlp.up_proj.weight", "ffn_up.weight", vec![feed_forward, embedding]),
        ("mtp.layers.0.mlp.down_proj.weight", "ffn_down.weight", vec![embedding, feed_forward]),
    ]
    .into_iter()
    .map(|(source, name, shape)| {
        let tensor = Tensor::new(source, name, &shape);
        let is_norm = source.ends_with("norm.weight") || source.contains("norm_");
        if is_norm { tensor.changed(Arithmetic::AddOne) } else { tensor }
    })
    .collect()
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    let linear = &config.linear;
    let mut keys = Vec::new();
    if config.prediction_layers > 0 {
        keys.push(("nextn_predict_layers", count_value(config.prediction_layers)));
    }
    let is_recurrent = |layer| config.layer_kind(layer) == LayerKind::Recurrent;
    let recurrent = (0..config.block_count().min(super::MAX_BLOCKS + 1)).map(is_recurrent).collect();
    keys.extend([
        ("ssm.conv_kernel", count_value(config.convolution)),
        ("ssm.state_size", count_value(linear.key_width)),
        ("ssm.group_count", count_value(linear.key_heads)),
        ("ssm.time_step_rank", count_value(linear.value_heads)),
        ("ssm.inner_size", count_value(linear.values())),
        ("attention.recurrent_layers", Value::Array(Array::Bool(recurrent))),
        ("full_attention_interval", count_value(interval(config))),
        ("rope.dimension_count", count_value(config.rotated())),
    ]);
    keys
}
