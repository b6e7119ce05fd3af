//! SmolLM3: Llama with layers that do not rotate queries and keys.

use super::{
    Architecture, Config, Defaults, HeadDim, LayerKind, Presence, Sizes, Tensor, decoder,
    fields::{self, Fields},
    keys::count_value,
    llama, tokenizer,
};
use crate::gguf::Value;

/// llama.cpp rotates in no layer whose number, from 1, is a multiple of this.
const UNROTATED_STEP: u64 = 4;

pub(super) static SMOLLM3: Architecture = Architecture {
    name: "smollm3",
    class: "SmolLM3ForCausalLM",
    model_type: "smollm3",
    // transformers 4.57: `configuration_smollm3.py`.
    defaults: Defaults {
        vocab_size: 128_256,
        hidden_size: 2048,
        num_hidden_layers: 36,
        num_attention_heads: 16,
        num_key_value_heads: Some(4),
        head_dim: HeadDim::Unset,
        max_position_embeddings: 32_768,
        rope_theta: 2_000_000.0,
        tie_word_embeddings: true,
        ..decoder::DEFAULTS
    },
    read,
    tokenizer_class: &tokenizer::PLAIN_CLASS,
    extra_tokenizer_keys: llama::TOKENIZER_KEYS,
    layer_tensors,
    own_keys,
    ..decoder::PLAIN
};

/// The file cannot say which layers rotate, so only the pattern that llama.cpp assumes is taken.
fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    let is_rotated = |layer: u64| !(layer + 1).is_multiple_of(UNROTATED_STEP);
    let is_usual = match fields.indices("no_rope_layers")? {
        Some(rotated) => (0..).zip(&rotated).all(|(layer, &rotates)| (rotates != 0) == is_rotated(layer)),
        None => fields.count("no_rope_layer_interval", UNROTATED_STEP)? == UNROTATED_STEP,
    };
    if is_usual && !config.mlp_bias && !config.attention_bias {
        return Ok(());
    }
    Err(match (is_usual, config.attention_bias) {
        (false, _) => {
            fields.unsupported("no_rope_layers", "llama.cpp leaves out the rotation in every fourth layer")
        }
        (true, true) => fields.unsupported("attention_bias", "llama.cpp's SmolLM3 has no biases"),
        (true, false) => fields.unsupported("mlp_bias", "llama.cpp's SmolLM3 has no biases"),
    })
}

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    let mut tensors = decoder::attention(sizes, Presence::NEVER_WRITTEN);
    decoder::permute(&mut tensors, sizes.head);
    tensors.extend(decoder::output_and_feed_forward(sizes));
    tensors
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    vec![
        ("vocab_size", count_value(config.vocab_size)),
        ("rope.dimension_count", count_value(config.head_width())),
    ]
}
