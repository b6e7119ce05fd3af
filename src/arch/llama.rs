//! Llama and SmolLM2: query and key rows are permuted for llama.cpp's rotary embedding.

use super::{
    Architecture, Attention, Config, Defaults, HeadDim, LayerKind, RopeFactors, RopeScaling, Sizes, Tensor,
    decoder,
    keys::count_value,
    tokenizer::{self, ExtraKeys, Infill},
};
use crate::gguf::Value;
use std::f64::consts::PI;

pub(super) static LLAMA: Architecture = Architecture {
    name: "llama",
    class: "LlamaForCausalLM",
    model_type: "llama",
    // transformers 4.57: `configuration_llama.py`.
    defaults: Defaults { head_dim: HeadDim::Derived, ..decoder::DEFAULTS },
    tokenizer_class: &tokenizer::LLAMA_CLASS,
    extra_tokenizer_keys: TOKENIZER_KEYS,
    check: |_| Ok(()),
    layer_tensors,
    rope_factors: &[
        RopeFactors { name: "rope_freqs.weight", values: rope_factors },
        // llama.cpp reads these two, and no checkpoint of the class has them.
        RopeFactors { name: "rope_factors_long.weight", values: |_| None },
        RopeFactors { name: "rope_factors_short.weight", values: |_| None },
    ],
    own_keys,
    is_70b: |block_count, attention| block_count == 80 && attention == Attention::GroupedQuery,
    ..decoder::PLAIN
};

/// Keys of the reference's class, which other classes inherit.
pub(super) const TOKENIZER_KEYS: ExtraKeys = ExtraKeys {
    space_prefix: true,
    // Code Llama's size. gguf-py can write only the end of turn of its infill tokens.
    infill: Some(Infill { vocab_size: 32_016, end_of_turn: 32_010 }),
    // Granite's size and SmolLM2's.
    without_bos: Some(49_152),
};

fn layer_tensors(sizes: &Sizes, _: LayerKind) -> Vec<Tensor> {
    decoder::rotated_by_neighbours(sizes)
}

fn own_keys(config: &Config) -> Vec<(&'static str, Value)> {
    vec![
        ("vocab_size", count_value(config.vocab_size)),
        ("rope.dimension_count", count_value(config.head_width())),
    ]
}

/// Llama 3.1's divisors of the frequencies of a head, `[head_width / 2]`; `None` for other RoPE types.
///
/// llama.cpp's converter computes them in f32 with PyTorch, where a number divided by a tensor is the number
/// times the tensor's reciprocal. The roundings here are the same.
fn rope_factors(config: &Config) -> Option<Vec<f32>> {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } =
        config.rope.scaling
    else {
        return None;
    };
    let width = config.head_width();
    let context = original_context as f64;
    let longest_kept = (context / high_freq_factor) as f32;
    let shortest_divided = (context / low_freq_factor) as f32;
    let ramp = |wavelength: f32| {
        let smooth = (wavelength.recip() * context as f32 - low_freq_factor as f32)
            / (high_freq_factor - low_freq_factor) as f32;
        ((1.0 - smooth) / factor as f32 + smooth).recip()
    };
    let factor_of = |i: u64| {
        let exponent = (2 * i) as f32 / width as f32;
        let frequency = (f64::from(config.rope.theta as f32).powf(f64::from(exponent)) as f32).recip();
        let wavelength = frequency.recip() * (2.0 * PI) as f32;
        if wavelength < longest_kept {
            1.0
        } else if wavelength > shortest_divided {
            factor as f32
        } else {
            ramp(wavelength)
        }
    };
    Some((0..width / 2).map(factor_of).collect())
}
