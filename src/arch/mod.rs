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
mod keys;
mod llama;
pub mod pretokenizer;
mod qwen2;
mod qwen3;
mod tensor;
pub mod tokenizer;

pub use config::{Config, Defaults, HeadDim, Rope, RopeScaling, Sizes};
pub use tensor::{EMBEDDING, HEAD, Presence, RopeFactors, TOKEN_EMBEDDING, Tensor, Transform, is_derived};

#[cfg(test)]
pub(crate) use qwen3::qwen3_1_7b_keys;

use crate::gguf::Value;
use tokenizer::{ExtraKeys, TokenizerClass};

/// Every supported architecture.
pub static ARCHITECTURES: &[&Architecture] = &[&qwen3::QWEN3, &qwen2::QWEN2, &llama::LLAMA];

/// The architecture with this name of llama.cpp's.
pub fn by_name(name: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().copied().find(|architecture| architecture.name == name)
}

/// The architecture with this model class of transformers.
pub fn by_class(class: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().copied().find(|architecture| architecture.class == class)
}

/// The architecture with this `model_type` of transformers.
pub fn by_model_type(model_type: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().copied().find(|architecture| architecture.model_type == model_type)
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
    /// Values for fields that `config.json` omits.
    pub defaults: Defaults,
    /// Tokenizer class of checkpoints that name none.
    pub tokenizer_class: &'static TokenizerClass,
    /// Keys that the reference's converter class adds to those of the tokenizer.
    pub extra_tokenizer_keys: ExtraKeys,
    /// Refuses settings in `config.json` that the GGUF file, or llama.cpp, cannot express.
    pub check: fn(&Config) -> Result<(), Unsupported>,
    /// The tensors of one layer.
    pub layer_tensors: fn(&Sizes) -> Vec<Tensor>,
    /// The tensors outside the layers.
    pub outer_tensors: fn(&Sizes) -> Vec<Tensor>,
    /// Tensors of divisors of the rotary frequencies.
    pub rope_factors: &'static [RopeFactors],
    /// The architecture's own keys, without its name; they follow `general.file_type`.
    pub own_keys: fn(&Config) -> Vec<(&'static str, Value)>,
    /// Lengths of a head that llama.cpp computes with.
    pub head_length: HeadLength,
    /// Test for llama.cpp's 70B models, by the number of layers. Their `attn_v` is small against the rest, so it
    /// gets more bits (`llama-quant.cpp`, `LLM_TYPE_70B`).
    pub is_70b: fn(u64, Attention) -> bool,
}

impl Architecture {
    /// The keys of the model in the reference's order, up to `general.file_type`.
    pub fn keys(&self, config: &Config) -> Vec<(String, Value)> {
        keys::common(self.name, config)
    }

    /// The architecture's own metadata keys, which stand behind `general.file_type` in the file.
    pub fn late_keys(&self, config: &Config) -> Vec<(String, Value)> {
        let prefixed = |(key, value)| (format!("{}.{key}", self.name), value);
        (self.own_keys)(config).into_iter().map(prefixed).collect()
    }
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
                by_class(architecture.class),
                by_model_type(architecture.model_type),
            ];
            assert!(found.iter().all(|found| found.is_some_and(|found| found.name == architecture.name)));
        }
    }

    #[test]
    fn no_two_tensors_share_a_name() {
        let sizes = Sizes { embedding: 8, feed_forward: 16, queries: 8, keys: 4, head: 4, vocabulary: 32 };
        for architecture in ARCHITECTURES {
            for tensors in [(architecture.layer_tensors)(&sizes), (architecture.outer_tensors)(&sizes)] {
                let sources: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.source).collect();
                let names: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.name).collect();
                assert_eq!((sources.len(), names.len()), (tensors.len(), tensors.len()));
            }
        }
    }
}
