//! Gemma 3 and FunctionGemma: norms that multiply with their weights plus one, four to a layer, and layers with a sliding
//! window between those without.

use super::{
    Accepts, Architecture, Arithmetic, Config, Defaults, EMBEDDING, HEAD, HeadDim, LayerKind, Part, Presence,
    Sizes, TOKEN_EMBEDDING, Tensor, VisionModel, decoder,
    fields::{self, Fields},
    keys::count_value,
    tokenizer,
};
use crate::gguf::Value;

/// llama.cpp gives every sixth layer full attention.
const FULL_ATTENTION_STEP: u64 = 6;

pub(super) static GEMMA3: Architecture = Architecture {
    name: "gemma3",
    class: "Gemma3ForCausalLM",
    model_type: "gemma3_text",
    vision: Some(VisionModel { class: "Gemma3ForConditionalGeneration", model_type: "gemma3" }),
    // transformers 4.57: `configuration_gemma3.py`.
    defaults: Defaults {
        vocab_size: 262_208,
        hidden_size: 2304,
        intermediate_size: 9216,
        num_hidden_layers: 26,
        num_attention_heads: 8,
        num_key_value_heads: Some(4),
        head_dim: HeadDim::Fixed(256),
        max_position_embeddings: 131_072,
        rms_norm_eps: 1e-6,
        rope_theta: 1_000_000.0,
        tie_word_embeddings: true,
    },
    accepts: Accepts {
        activations: &["gelu_pytorch_tanh"],
        layer_types: &[("sliding_attention", LayerKind::Attention), ("full_attention", LayerKind::Attention)],
        sliding_theta: true,
        ..decoder::ACCEPTS
    },
    read,
    tokenizer_class: &tokenizer::GEMMA_CLASS,
    is_sentencepiece: true,
    caution,
    layer_tensors,
    outer_tensors,
    own_keys,
    ..decoder::PLAIN
};

fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    config.sliding_window = fields.count("sliding_window", 4096)?;
    config.rope.sliding_theta.get_or_insert(10_000.0);
    if fields.optional_positive("attn_logit_softcapping")?.is_some() {
        return Err(fields.unsupported("attn_logit_softcapping", "llama.cpp's Gemma 3 has no such cap"));
    }
    if fields.flag("attention_bias")? {
        return Err(
            fields.unsupported("attention_bias", "llama.cpp's Gemma 3 has no bias on the attention's output")
        );
    }
    if fields.flag("use_bidirectional_attention")? {
        let reason = "an encoder cannot be asked for a tool call";
        return Err(fields.unsupported("use_bidirectional_attention", reason));
    }
    // llama.cpp takes this from the heads' width, too.
    let scale = fields.positive("query_pre_attn_scalar", 256.0)?;
    let is_largest = config.num_hidden_layers == 62;
    let expected = match is_largest {
        true => (config.hidden_size / config.num_attention_heads) as f64,
        false => config.head_width() as f64,
    };
    if scale != expected {
        config.attention_scale = Some(scale);
    }
    fields.optional_positive("final_logit_softcapping").map(drop)
}

/// The file has no place for the pattern of the layers, nor for the attention's scale.
fn caution(config: &Config) -> Option<String> {
    let types = Fields(&config.raw).texts("layer_types").ok().flatten().unwrap_or_default();
    let is_full = |layer: u64| (layer + 1).is_multiple_of(FULL_ATTENTION_STEP);
    let differs = |(layer, name): (u64, &&str)| (*name == "full_attention") != is_full(layer);
    if let Some(layer) = (0..).zip(&types).position(differs) {
        return Some(format!(
            "`layer_types` has `{}` at layer {layer}, and llama.cpp gives full attention to every sixth layer and a \
             sliding window to the others: answers to prompts longer than {} tokens will differ from the checkpoint's",
            types[layer], config.sliding_window
        ));
    }
    config.attention_scale.map(|scale| {
        format!(
            "`query_pre_attn_scalar` is {scale}, and llama.cpp scales the attention by the width of a head ({}): the \
             file's answers will differ from the checkpoint's",
            config.head_width()
        )
    })
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    let &Sizes { embedding, .. } = sizes;
    let mut tensors = decoder::attention(sizes, Presence::NEVER_WRITTEN);
    tensors.push(decoder::attention_output(sizes));
    tensors.extend(decoder::feed_forward(sizes));
    tensors.extend(decoder::head_norms(sizes));
    tensors.extend([
        Tensor::new("post_attention_layernorm.weight", "post_attention_norm.weight", &[embedding]),
        Tensor::new("pre_feedforward_layernorm.weight", "ffn_norm.weight", &[embedding]),
        Tensor::new("post_feedforward_layernorm.weight", "post_ffw_norm.weight", &[embedding]),
    ]);
    tensors.into_iter().map(plus_one).collect()
}

fn outer_tensors(sizes: &Sizes) -> Vec<Tensor> {
    let &Sizes { embedding, vocabulary, .. } = sizes;
    vec![
        // Rows beyond the vocabulary are left out.
        Tensor::new(EMBEDDING, TOKEN_EMBEDDING, &[vocabulary, embedding]).part(Part::Top),
        plus_one(Tensor::new("model.norm.weight", "output_norm.weight", &[embedding])),
        Tensor::new(HEAD, "output.weight", &[vocabulary, embedding])
            .present(Presence::Optional(|config| !config.tie_word_embeddings)),
    ]
}

/// The norms multiply with their weights plus one.
fn plus_one(tensor: Tensor) -> Tensor {
    if tensor.source.ends_with("norm.weight") { tensor.changed(Arithmetic::AddOne) } else { tensor }
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    let cap = Fields(&config.raw).optional_positive("final_logit_softcapping").ok().flatten();
    let cap = cap.map(|cap| ("final_logit_softcapping", Value::F32(cap as f32)));
    cap.into_iter().chain([("attention.sliding_window", count_value(config.sliding_window))]).collect()
}
