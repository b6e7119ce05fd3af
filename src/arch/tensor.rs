//! Tensors of an architecture: names on both sides, shape, transform, and presence.

use super::Config;

/// Hugging Face's name of the output head.
pub const HEAD: &str = "lm_head.weight";
/// Hugging Face's name of the embedding matrix.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// GGUF's name of the embedding matrix, of which llama.cpp looks up rows.
pub const TOKEN_EMBEDDING: &str = "token_embd.weight";

/// A tensor of a model, in its checkpoint and in its GGUF file.
///
/// One of a single dimension is a bias, a norm or a scale, in F32; the others are matrices.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Hugging Face's name; for a layer's tensor without its `model.layers.N.`
    pub source: &'static str,
    /// GGUF's name; for a layer's tensor without its `blk.N.`
    pub name: &'static str,
    /// Hugging Face's shape, `[out, in]` for a matrix.
    pub shape: Vec<u64>,
    /// Difference between its numbers in the checkpoint and in the file.
    pub transform: Transform,
    /// Models that have it.
    pub presence: Presence,
}

impl Tensor {
    /// A tensor that every model has, with the same numbers on both sides.
    pub(super) fn new(source: &'static str, name: &'static str, shape: &[u64]) -> Tensor {
        let (transform, presence) = (Transform::None, Presence::Always);
        Tensor { source, name, shape: shape.to_vec(), transform, presence }
    }

    /// The same in some models only.
    pub(super) fn present(self, presence: Presence) -> Tensor {
        Tensor { presence, ..self }
    }

    /// Sets [`Transform::Permute`].
    pub(super) fn permute(&mut self, head_width: u64) {
        self.transform = Transform::Permute { head_width };
    }

    /// GGUF's dimensions: the first is the length of a row.
    pub fn dims(&self) -> Vec<u64> {
        self.shape.iter().rev().copied().collect()
    }

    /// True if a checkpoint with this configuration must have it.
    pub fn is_in(&self, config: &Config) -> bool {
        match self.presence {
            Presence::Always => true,
            Presence::Optional(is_in) => is_in(config),
        }
    }
}

/// Difference between a tensor's numbers in the checkpoint and in the GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// None.
    None,
    /// The two halves of each head's rows are interleaved; a bias has rows of one number.
    ///
    /// llama.cpp's Llama rotates adjacent rows. transformers rotates row `i` with row `i + d/2`. So row `2i +
    /// p` of a head is the checkpoint's row `p * d/2 + i`.
    Permute {
        /// Rows of a head.
        head_width: u64,
    },
}

/// Models that have a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Presence {
    /// All of them.
    Always,
    /// Checkpoints for whose configuration this is true. A GGUF file may have the tensor, or not.
    Optional(fn(&Config) -> bool),
}

impl Presence {
    /// Only GGUF files of other programs.
    pub(super) const NEVER_WRITTEN: Presence = Presence::Optional(|_| false);
}

/// A tensor of divisors of the rotary frequencies, `[head_width / 2]`, which no checkpoint has.
#[derive(Debug)]
pub struct RopeFactors {
    /// GGUF's name.
    pub name: &'static str,
    /// The divisors that a configuration calls for; `None` if the file does without the tensor.
    pub values: fn(&Config) -> Option<Vec<f32>>,
}

/// True for tensors that old checkpoints store although every reader computes them.
pub fn is_derived(source: &str) -> bool {
    [".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq"]
        .iter()
        .any(|suffix| source.ends_with(suffix))
}
