//! Granite 4 without state-space layers: Granite 3 with the feed-forward layer's two inputs in one tensor.

use super::{
    Accepts, Architecture, Config, LayerKind, Part, Presence, Sizes, Tensor, decoder,
    fields::{self, Fields},
    granite,
    keys::{self, count_value},
    tokenizer,
};
use crate::gguf::Value;

pub(super) static GRANITE_HYBRID: Architecture = Architecture {
    name: "granite",
    class: "GraniteMoeHybridForCausalLM",
    model_type: "granitemoehybrid",
    defaults: granite::DEFAULTS,
    accepts: Accepts {
        layer_types: &[("attention", LayerKind::Attention), ("mamba", LayerKind::Recurrent)],
        ..decoder::ACCEPTS
    },
    read,
    tokenizer_class: &tokenizer::GPT2_CLASS,
    layer_tensors,
    model_keys: keys::common_by_layer,
    own_keys,
    own_numbers: &["logit_scale"],
    ..decoder::PLAIN
};

fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    // A configuration without the field has state-space layers only.
    if config.layer_kinds.is_empty() || config.layer_kinds.contains(&LayerKind::Recurrent) {
        let reason = "state-space layers are not converted";
        return Err(fields.unsupported("layer_types", reason));
    }
    // The configuration class has experts where the file is silent.
    let experts = |field| fields.optional_number(field);
    config.experts = (experts("num_local_experts")?, experts("num_experts_per_tok")?);
    for (field, count) in [("num_local_experts", config.experts.0), ("num_experts_per_tok", config.experts.1)]
    {
        if count != Some(0) {
            return Err(fields.unsupported(field, "mixtures of experts are not converted"));
        }
    }
    // The one width of dense models: the reference writes the first and splits by the second.
    if fields.count("shared_intermediate_size", 1024)? != config.intermediate_size {
        let reason = "llama.cpp has one width of the feed-forward layer, which is `intermediate_size`";
        return Err(fields.unsupported("shared_intermediate_size", reason));
    }
    if !inner_size(config).is_multiple_of(64) {
        return Err(fields.unsupported("mamba_expand", "llama.cpp's converter takes multiples of 64 only"));
    }
    granite::read(fields, config)
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    let &Sizes { embedding, feed_forward, .. } = sizes;
    let biases = Presence::Optional(|config| config.attention_bias);
    let mut tensors = decoder::attention(sizes, biases);
    decoder::permute(&mut tensors, sizes.head);
    let output = Tensor::new("self_attn.o_proj.bias", "attn_output.bias", &[embedding]);
    let input = |name, part| {
        Tensor::new("shared_mlp.input_linear.weight", name, &[2 * feed_forward, embedding]).part(part)
    };
    tensors.extend([
        decoder::attention_output(sizes),
        output.present(biases),
        Tensor::new("post_attention_layernorm.weight", "ffn_norm.weight", &[embedding]),
        input("ffn_gate.weight", Part::FirstHalf),
        input("ffn_up.weight", Part::SecondHalf),
        Tensor::new("shared_mlp.output_linear.weight", "ffn_down.weight", &[embedding, feed_forward]),
    ]);
    tensors
}

/// Width that state-space layers would have.
fn inner_size(config: &Config) -> u64 {
    mamba(config, "mamba_expand", 2).saturating_mul(config.hidden_size)
}

/// A number of the state-space layers that the model does not have.
fn mamba(config: &Config, field: &str, default: u64) -> u64 {
    Fields(&config.raw).optional_number(field).ok().flatten().unwrap_or(default)
}

/// Keys of the reference's class for models with state-space layers; llama.cpp reads none of the `ssm` ones here.
fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    let mut keys = granite::own_keys(config);
    let count = |field, default| Value::U32(mamba(config, field, default) as u32);
    keys.extend([
        ("expert_shared_feed_forward_length", count_value(config.intermediate_size)),
        ("ssm.conv_kernel", count("mamba_d_conv", 4)),
        ("ssm.state_size", count("mamba_d_state", 256)),
        ("ssm.group_count", count("mamba_n_groups", 1)),
        ("ssm.inner_size", Value::U32(inner_size(config) as u32)),
        ("ssm.time_step_rank", count("mamba_n_heads", 128)),
        ("rope.scaling.finetuned", Value::Bool(true)),
    ]);
    keys
}
