//! Model architectures: each is described in one file, and read from there by everything that needs to know it.
//!
//! - `checkpoint` fills in the defaults of `config.json` and of the tokenizer.
//! - `convert` matches the tensors, transforms them and writes the keys.
//! - `runtime` holds the tensors of a GGUF file against the same list.
//! - [`pretokenizer`] and [`tokenizer`] keep what llama.cpp and transformers know of tokenizers by name.
//!
//! Names, keys and their order are those of llama.cpp's converter (`convert_hf_to_gguf.py`), called the
//! reference below.

mod config;
mod decoder;
pub mod fields;
mod gemma3;
mod granite;
mod granite_hybrid;
mod keys;
mod lfm2;
mod llama;
mod phi3;
pub mod pretokenizer;
mod qwen2;
mod qwen3;
mod qwen35;
mod smollm3;
mod tensor;
pub mod tokenizer;

pub use config::{Config, Defaults, HeadDim, LayerKind, LinearAttention, Rope, RopeScaling, Sizes};
pub use keys::MAX_BLOCKS;
pub use tensor::{
    Arithmetic, EMBEDDING, HEAD, Part, Presence, RopeFactors, TOKEN_EMBEDDING, Tensor, Tile, Transform,
    is_derived,
};

#[cfg(test)]
pub(crate) use qwen3::qwen3_1_7b_keys;

use crate::gguf::Value;
use fields::Fields;
use tokenizer::{ExtraKeys, TokenizerClass};

/// Every supported architecture. Of two with the same name in llama.cpp, the first stands for both in files.
pub static ARCHITECTURES: &[&Architecture] = &[
    &qwen3::QWEN3,
    &qwen2::QWEN2,
    &llama::LLAMA,
    &lfm2::LFM2,
    &gemma3::GEMMA3,
    &granite::GRANITE,
    &granite_hybrid::GRANITE_HYBRID,
    &qwen35::QWEN35,
    &smollm3::SMOLLM3,
    &phi3::PHI3,
];

/// The architecture with this name of llama.cpp's.
pub fn by_name(name: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().copied().find(|architecture| architecture.name == name)
}

/// The architecture with this model class of transformers, and true if the class is that of a model that reads images
/// and has this architecture as its language model.
pub fn by_class(class: &str) -> Option<(&'static Architecture, bool)> {
    let is_whole = |architecture: &&Architecture| architecture.class == class;
    let is_part = |architecture: &&Architecture| {
        architecture.vision.as_ref().is_some_and(|vision| vision.class == class)
    };
    let find = |is_it: &dyn Fn(&&Architecture) -> bool| ARCHITECTURES.iter().copied().find(is_it);
    find(&is_whole).map(|found| (found, false)).or_else(|| find(&is_part).map(|found| (found, true)))
}

/// The architecture with this `model_type` of transformers.
pub fn by_model_type(model_type: &str) -> Option<&'static Architecture> {
    let has = |architecture: &&Architecture| {
        let vision = architecture.vision.as_ref().map(|vision| vision.model_type);
        architecture.model_type == model_type || vision == Some(model_type)
    };
    ARCHITECTURES.iter().copied().find(has)
}

/// Description of an architecture.
#[derive(Debug)]
pub struct Architecture {
    /// llama.cpp's name, the prefix of the model's keys.
    pub name: &'static str,
    /// transformers' model class, as in `architectures` of `config.json`.
    pub class: &'static str,
    /// transformers' `model_type`.
    pub model_type: &'static str,
    /// The model that reads images and has this one as its language model.
    pub vision: Option<VisionModel>,
    /// Values for fields that `config.json` omits.
    pub defaults: Defaults,
    /// Settings in `config.json` that are refused in other architectures.
    pub accepts: Accepts,
    /// Reads the fields of `config.json` that only this class has.
    pub read: fn(&Fields<'_>, &mut Config) -> Result<(), fields::Error>,
    /// Tokenizer class of checkpoints that name none.
    pub tokenizer_class: &'static TokenizerClass,
    /// True if its checkpoints have SentencePiece vocabularies.
    pub is_sentencepiece: bool,
    /// Keys that the reference's converter class adds to those of the tokenizer.
    pub extra_tokenizer_keys: ExtraKeys,
    /// Refuses settings in `config.json` that the GGUF file, or llama.cpp, cannot express.
    pub check: fn(&Config) -> Result<(), Unsupported>,
    /// Settings in `config.json` that llama.cpp computes with in another way, in words for the user.
    pub caution: fn(&Config) -> Option<String>,
    /// The tensors of a layer of this kind.
    pub layer_tensors: fn(&Sizes, LayerKind) -> Vec<Tensor>,
    /// The tensors outside the layers.
    pub outer_tensors: fn(&Sizes) -> Vec<Tensor>,
    /// The layer that predicts a later token.
    pub prediction: Option<PredictionLayer>,
    /// Tensors of divisors of the rotary frequencies.
    pub rope_factors: &'static [RopeFactors],
    /// Keys in front of `general.type`, without the architecture's name.
    pub first_keys: fn(&Config) -> Vec<(&'static str, Value)>,
    /// The keys of the model in the reference's order, up to `general.file_type`.
    pub model_keys: fn(&str, &Config) -> Vec<(String, Value)>,
    /// The architecture's own keys, without its name; they follow `general.file_type`.
    pub own_keys: fn(&Config) -> Vec<(&'static str, Value)>,
    /// Keys of a file by which its recurrent layers are known.
    pub recurrent_layers: RecurrentLayers,
    /// Keys with a count that only this architecture has, all of them required.
    pub own_counts: &'static [OwnCount],
    /// Keys with a number that must not be 0.
    pub own_numbers: &'static [&'static str],
    /// Lengths of a head that llama.cpp computes with.
    pub head_length: HeadLength,
    /// Test for llama.cpp's 70B models, by the number of layers. Their `attn_v` is small against the rest, so it
    /// gets more bits (`llama-quant.cpp`, `LLM_TYPE_70B`).
    pub is_70b: fn(u64, Attention) -> bool,
}

impl Architecture {
    /// The keys of the model in the reference's order, up to `general.file_type`.
    pub fn keys(&self, config: &Config) -> Vec<(String, Value)> {
        (self.model_keys)(self.name, config)
    }

    /// The metadata keys of the architecture that stand in front of `general.type`.
    pub fn early_keys(&self, config: &Config) -> Vec<(String, Value)> {
        self.prefixed((self.first_keys)(config))
    }

    /// The architecture's own metadata keys, which stand behind `general.file_type` in the file.
    pub fn late_keys(&self, config: &Config) -> Vec<(String, Value)> {
        self.prefixed((self.own_keys)(config))
    }

    fn prefixed(&self, keys: Vec<(&'static str, Value)>) -> Vec<(String, Value)> {
        keys.into_iter().map(|(key, value)| (format!("{}.{key}", self.name), value)).collect()
    }

    /// Number of layers in a checkpoint with tensors of these names that predict a later token.
    pub fn prediction_layers<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> u64 {
        let is_there = self
            .prediction
            .as_ref()
            .is_some_and(|prediction| names.any(|name| name.starts_with(prediction.prefix)));
        u64::from(is_there)
    }
}

/// A model of transformers that reads images and texts.
#[derive(Debug)]
pub struct VisionModel {
    /// Its model class.
    pub class: &'static str,
    /// Its `model_type`.
    pub model_type: &'static str,
}

/// Settings in `config.json` that llama.cpp knows for some architectures only.
#[derive(Clone, Copy, Debug)]
pub struct Accepts {
    /// Names of the feed-forward layer's activation.
    pub activations: &'static [&'static str],
    /// Names in `layer_types` with the layers' kinds; empty if all layers are alike.
    pub layer_types: &'static [(&'static str, LayerKind)],
    /// A base of the rotary frequencies for layers with a sliding window.
    pub sliding_theta: bool,
    /// Rotating a part of each head.
    pub partial_rotation: bool,
    /// Rotating parts of each head by time, height and width.
    pub sections: bool,
    /// Divisors of the rotary frequencies by context length.
    pub long_rope: bool,
}

/// A layer behind the others that predicts a later token. Its tensors are written, and not used here.
#[derive(Debug)]
pub struct PredictionLayer {
    /// Beginning of its tensors' names in a checkpoint.
    pub prefix: &'static str,
    /// Its tensors, with complete names in the checkpoint.
    pub tensors: fn(&Sizes) -> Vec<Tensor>,
}

/// Keys of a file by which its recurrent layers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurrentLayers {
    /// There are none.
    None,
    /// Those without key-value heads in `attention.head_count_kv`.
    WithoutHeads,
    /// Those in `attention.recurrent_layers`; without it, all but every `full_attention_interval`-th.
    Listed,
}

/// A required key with a count, and the size that it sets.
#[derive(Clone, Copy, Debug)]
pub struct OwnCount {
    /// The key, without the architecture's name.
    pub key: &'static str,
    /// The smallest number that llama.cpp computes with.
    pub least: u32,
    /// Sets the size; `false` if the number does not fit the sizes that were set before.
    pub set: fn(&mut Sizes, u64) -> bool,
}

/// A setting in `config.json` that cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Name of the field.
    pub field: &'static str,
    /// The reason why the file would be wrong.
    pub reason: &'static str,
}

/// Length of a head in llama.cpp's graph of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadLength {
    /// As the file's keys say.
    Free,
    /// The length of the embedding divided by the number of heads.
    ShareOfEmbedding,
}

/// Kind of attention, by the number of key-value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// A key-value head for each query head.
    MultiHead,
    /// Fewer key-value heads than query heads.
    GroupedQuery,
}

impl Attention {
    /// The kind with this many query heads and key-value heads.
    pub fn with_heads(heads: u64, kv_heads: u64) -> Attention {
        if heads == kv_heads { Attention::MultiHead } else { Attention::GroupedQuery }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_architecture_is_found_by_each_of_its_names() {
        for architecture in ARCHITECTURES {
            let found = [
                by_name(architecture.name),
                by_class(architecture.class).map(|(found, _)| found),
                by_model_type(architecture.model_type),
            ];
            assert!(found.iter().all(|found| found.is_some_and(|found| found.name == architecture.name)));
        }
    }

    #[test]
    fn no_two_tensors_share_a_name() {
        let linear = LinearAttention { key_heads: 2, value_heads: 4, key_width: 2, value_width: 2 };
        let sizes = Sizes {
            embedding: 8,
            feed_forward: 16,
            queries: 8,
            keys: 4,
            head: 4,
            rotated: 4,
            vocabulary: 32,
            convolution: 3,
            linear,
        };
        for architecture in ARCHITECTURES {
            let layer = |kind| (architecture.layer_tensors)(&sizes, kind);
            for tensors in [
                layer(LayerKind::Attention),
                layer(LayerKind::Recurrent),
                (architecture.outer_tensors)(&sizes),
                architecture.prediction.as_ref().map_or(Vec::new(), |layer| (layer.tensors)(&sizes)),
            ] {
                let part = |tensor: &Tensor| (tensor.source, tensor.first_row());
                let sources: BTreeSet<_> = tensors.iter().map(part).collect();
                let names: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.name).collect();
                assert_eq!((sources.len(), names.len()), (tensors.len(), tensors.len()));
            }
        }
    }
}
