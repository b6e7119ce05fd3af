//! Granite 3: Llama with factors for the embedding, the attention, the residual stream and the logits.

use super::{
    Architecture, Config, Defaults, HeadDim, LayerKind, decoder,
    fields::{self, Fields},
    keys::count_value,
    llama, tokenizer,
};
use crate::gguf::Value;

pub(super) static GRANITE: Architecture = Architecture {
    name: "granite",
    class: "GraniteForCausalLM",
    model_type: "granite",
    // transformers 4.57: `configuration_granite.py`.
    defaults: DEFAULTS,
    read,
    tokenizer_class: &tokenizer::GPT2_CLASS,
    extra_tokenizer_keys: llama::TOKENIZER_KEYS,
    layer_tensors: |sizes, _: LayerKind| decoder::rotated_by_neighbours(sizes),
    own_keys,
    own_numbers: &["logit_scale"],
    ..decoder::PLAIN
};

pub(super) const DEFAULTS: Defaults = Defaults { head_dim: HeadDim::Unset, ..decoder::DEFAULTS };

/// The factors: field and key.
const FACTORS: [(&str, &str); 4] = [
    ("attention_multiplier", "attention.scale"),
    ("embedding_multiplier", "embedding_scale"),
    ("residual_multiplier", "residual_scale"),
    ("logits_scaling", "logit_scale"),
];

pub(super) fn read(fields: &Fields<'_>, config: &mut Config) -> Result<(), fields::Error> {
    // The reference ignores the field, and so do the shapes.
    config.head_dim = None;
    for (field, _) in FACTORS {
        fields.optional_real(field)?;
    }
    if fields.optional_real("logits_scaling")? == Some(0.0) {
        return Err(fields.unsupported("logits_scaling", "the logits are divided by it"));
    }
    Ok(())
}

pub(super) fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    let mut keys = vec![
        ("vocab_size", count_value(config.vocab_size)),
        ("rope.dimension_count", count_value(config.head_width())),
    ];
    for (field, key) in FACTORS {
        // The configuration class has 1 where the file is silent; a zero is left to the runtime.
        let factor = Fields(&config.raw).optional_real(field).ok().flatten().unwrap_or(1.0);
        if factor != 0.0 {
            keys.push((key, Value::F32(factor as f32)));
        }
    }
    keys
}
