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
/// One of a single dimension is a bias, a norm or a scale, in F32; one of three is the kernel of a convolution, in F32,
/// too; the others are matrices.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Hugging Face's name; for a layer's tensor without its `model.layers.N.`
    pub source: &'static str,
    /// GGUF's name; for a layer's tensor without its `blk.N.`
    pub name: &'static str,
    /// Hugging Face's shape, `[out, in]` for a matrix, `[channels, 1, length]` for a kernel.
    pub shape: Vec<u64>,
    /// Rows that are taken from the checkpoint's tensor.
    pub part: Part,
    /// Difference between the order of its numbers in the checkpoint and in the file.
    pub transform: Transform,
    /// Difference between its numbers in the checkpoint and in the file.
    pub arithmetic: Arithmetic,
    /// Models that have it.
    pub presence: Presence,
}

impl Tensor {
    /// A tensor that every model has, with the same numbers on both sides.
    pub(super) fn new(source: &'static str, name: &'static str, shape: &[u64]) -> Tensor {
        Tensor {
            source,
            name,
            shape: shape.to_vec(),
            part: Part::Whole,
            transform: Transform::None,
            arithmetic: Arithmetic::None,
            presence: Presence::Always,
        }
    }

    /// The same in some models only.
    pub(super) fn present(self, presence: Presence) -> Tensor {
        Tensor { presence, ..self }
    }

    /// The same, of these rows of the checkpoint's tensor.
    pub(super) fn part(self, part: Part) -> Tensor {
        Tensor { part, ..self }
    }

    /// The same in another order.
    pub(super) fn ordered(self, transform: Transform) -> Tensor {
        Tensor { transform, ..self }
    }

    /// The same with changed numbers.
    pub(super) fn changed(self, arithmetic: Arithmetic) -> Tensor {
        Tensor { arithmetic, ..self }
    }

    /// Sets [`Transform::Permute`].
    pub(super) fn permute(&mut self, head_width: u64) {
        self.transform = Transform::Permute { head_width };
    }

    /// True for the kernel of a convolution, which llama.cpp takes in F32 only.
    pub fn is_kernel(&self) -> bool {
        self.shape.len() == 3
    }

    /// GGUF's dimensions: the first is the length of a row.
    pub fn dims(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.is_kernel() {
            // One input channel for each output channel, which is no axis of its own in the file.
            shape.remove(1);
        }
        if matches!(self.part, Part::FirstHalf | Part::SecondHalf) {
            shape[0] /= 2;
        }
        shape.reverse();
        shape
    }

    /// True if a tensor of this shape in a checkpoint is this one.
    pub fn fits(&self, shape: &[u64]) -> bool {
        match (self.part, shape, self.shape.as_slice()) {
            (Part::Top, [rows, rest @ ..], [least, expected @ ..]) => rows >= least && rest == expected,
            (_, found, expected) => found == expected,
        }
    }

    /// Index of the first of its rows in the checkpoint's tensor.
    pub fn first_row(&self) -> u64 {
        if self.part == Part::SecondHalf { self.shape[0] / 2 } else { 0 }
    }

    /// True if a checkpoint with this configuration must have it.
    pub fn is_in(&self, config: &Config) -> bool {
        match self.presence {
            Presence::Always => true,
            Presence::Optional(is_in) => is_in(config),
        }
    }
}

/// Rows of a checkpoint's tensor that one of the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// The first half.
    FirstHalf,
    /// The second half.
    SecondHalf,
    /// As many as the shape says, from the first on; the checkpoint may have more.
    Top,
}

/// Difference between the order of a tensor's numbers in the checkpoint and in the GGUF file.
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
    /// Rows of value heads in another order; a tensor of one dimension has rows of one number.
    TileRows(Tile),
    /// Columns of value heads in another order.
    TileColumns(Tile),
}

/// Value heads that the checkpoint groups by their key head, and that the file tiles: the first value head of each key
/// head, then the second of each, and so on. So ggml can repeat the key heads as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows or columns before those of the value heads, which stay.
    pub start: u64,
    /// Number of key heads.
    pub key_heads: u64,
    /// Number of value heads of each key head.
    pub each: u64,
    /// Rows or columns of a value head.
    pub width: u64,
}

impl Tile {
    /// Index in the checkpoint of the row or column `index` of the file.
    pub fn source(&self, index: u64) -> u64 {
        if index < self.start {
            return index;
        }
        let (head, within) = ((index - self.start) / self.width, (index - self.start) % self.width);
        let (nth, key_head) = (head / self.key_heads, head % self.key_heads);
        self.start + (key_head * self.each + nth) * self.width + within
    }

    /// Index of the first row or column after `index` that does not follow its predecessor in the checkpoint.
    pub fn run_end(&self, index: u64) -> u64 {
        match index.checked_sub(self.start) {
            None => self.start,
            Some(index) => self.start + (index / self.width + 1) * self.width,
        }
    }
}

/// Difference between a tensor's numbers in the checkpoint and in the GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// None.
    None,
    /// One is added, in F16 if the checkpoint has F16, else in F32: the class multiplies with the norm's weight plus
    /// one, and llama.cpp with the weight.
    AddOne,
    /// `-exp(x)`: the class stores the logarithm of a decay.
    NegativeExponential,
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

/// A tensor of divisors of the rotary frequencies, `[rotated / 2]`, which no checkpoint has.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_heads_are_tiled_behind_the_rows_that_stay() {
        let tile = Tile { start: 2, key_heads: 2, each: 3, width: 2 };
        let order: Vec<u64> = (0..14).map(|row| tile.source(row)).collect();
        // Heads k0v0 k0v1 k0v2 k1v0 k1v1 k1v2 become k0v0 k1v0 k0v1 k1v1 k0v2 k1v2.
        assert_eq!(order, [0, 1, 2, 3, 8, 9, 4, 5, 10, 11, 6, 7, 12, 13]);
        let ends: Vec<u64> = [0, 1, 2, 3, 4, 13].into_iter().map(|row| tile.run_end(row)).collect();
        assert_eq!(ends, [2, 2, 4, 4, 6, 14]);
    }

    #[test]
    fn a_kernel_loses_its_middle_axis_and_a_half_its_other_rows() {
        let kernel = Tensor::new("a", "b", &[8, 1, 3]);
        assert_eq!((kernel.dims(), kernel.is_kernel()), (vec![3, 8], true));
        let half = Tensor::new("a", "b", &[8, 5]).part(Part::SecondHalf);
        assert_eq!((half.dims(), half.first_row(), half.fits(&[8, 5])), (vec![5, 4], 4, true));
        let top = Tensor::new("a", "b", &[8, 5]).part(Part::Top);
        assert!(top.fits(&[9, 5]) && !top.fits(&[7, 5]) && !top.fits(&[9, 4]));
    }
}
