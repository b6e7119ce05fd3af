//! Model architectures: the tensors of a checkpoint, their GGUF names, and the keys that describe the model.
//!
//! Names, keys and their order are those of llama.cpp's converter (`convert_hf_to_gguf.py`), called the
//! reference below.

mod decoder;
mod llama;
pub mod pretokenizer;
mod qwen2;
mod qwen3;

use crate::{checkpoint::Config, convert::vocab::Family, gguf::Value};

/// Every architecture that can be converted.
pub static ARCHITECTURES: &[&dyn Architecture] = &[&qwen3::Qwen3, &qwen2::Qwen2, &llama::Llama];

/// The architecture with this model class.
pub fn architecture(class: &str) -> Option<&'static dyn Architecture> {
    ARCHITECTURES.iter().copied().find(|architecture| architecture.class() == class)
}

/// Conversion rules of one model class.
pub trait Architecture: Sync {
    /// transformers' class name, as in `architectures` of `config.json`.
    fn class(&self) -> &'static str;

    /// llama.cpp's architecture name, the prefix of its keys.
    fn name(&self) -> &'static str;

    /// Refuses settings in `config.json` that the GGUF file, or llama.cpp, cannot express.
    ///
    /// # Errors
    /// The field and the reason.
    fn check(&self, config: &Config) -> Result<(), (&'static str, &'static str)>;

    /// The reference's converter class for the vocabulary.
    fn vocab_family(&self) -> Family {
        Family::Qwen
    }

    /// The tensors of one layer.
    fn layer_tensors(&self, config: &Config) -> Vec<Expected>;

    /// The keys of the model in the reference's order, up to `general.file_type`.
    fn keys(&self, config: &Config) -> Vec<(String, Value)>;

    /// The model's keys after `general.file_type`.
    fn late_keys(&self, _config: &Config) -> Vec<(String, Value)> {
        Vec::new()
    }

    /// Tensors that the checkpoint does not have and the file needs: name and values.
    fn computed_tensors(&self, _config: &Config) -> Vec<(String, Vec<f32>)> {
        Vec::new()
    }

    /// True if llama.cpp treats the model as one of its 70B models. Their `attn_v` is small against the rest,
    /// so it gets more bits (`llama-quant.cpp`, `LLM_TYPE_70B`).
    fn is_70b(&self, config: &Config) -> bool;
}

/// A tensor that a checkpoint must have, and its place in the GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Hugging Face's name; for a layer's tensor without its `model.layers.N.`
    pub source: &'static str,
    /// GGUF's name; for a layer's tensor without its `blk.N.`
    pub name: &'static str,
    /// Hugging Face's shape, `[out, in]` for a matrix.
    pub shape: Vec<u64>,
    /// Head width, if the two halves of each head's rows are to be interleaved.
    pub interleaved_heads: Option<u64>,
}

impl Expected {
    fn new(source: &'static str, name: &'static str, shape: &[u64]) -> Expected {
        Expected { source, name, shape: shape.to_vec(), interleaved_heads: None }
    }

    /// The same, with its rows reordered head by head.
    ///
    /// llama.cpp's Llama rotates adjacent rows. transformers rotates row `i` with row `i + d/2`. So row `2i +
    /// p` of a head is the checkpoint's row `p * d/2 + i`.
    fn interleaved(self, head_width: u64) -> Expected {
        Expected { interleaved_heads: Some(head_width), ..self }
    }
}

/// The tensors outside the layers; the output head only if `has_head`.
pub fn outer_tensors(config: &Config, has_head: bool) -> Vec<Expected> {
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    let mut tensors = vec![
        Expected::new("model.embed_tokens.weight", "token_embd.weight", &[vocab, hidden]),
        Expected::new("model.norm.weight", "output_norm.weight", &[hidden]),
    ];
    if has_head {
        tensors.push(Expected::new(HEAD, "output.weight", &[vocab, hidden]));
    }
    tensors
}

/// Hugging Face's name of the output head.
pub const HEAD: &str = "lm_head.weight";
/// Hugging Face's name of the embedding matrix.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

/// True for tensors that old checkpoints store although every reader computes them.
pub fn is_derived(source: &str) -> bool {
    [".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq"]
        .iter()
        .any(|suffix| source.ends_with(suffix))
}
