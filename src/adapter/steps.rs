//! A changed tensor as the steps that compute it, and the roundings between them.

use super::{lora::Lora, rounding::Rounding};
use crate::checkpoint::SourceTensor;
use std::{collections::BTreeMap, str::FromStr};

/// Arithmetic of a merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// peft's `merge_and_unload()` with its defaults: the adapter in f32, the sum rounded to the base's dtype.
    #[default]
    Peft,
    /// The same with `safe_merge=True`: the change is rounded before the sum, too.
    Safe,
    /// The same for an adapter that was loaded with `autocast_adapter_dtype=False`: it is rounded first.
    NoCast,
    /// f32 without any rounding: the tensors are quantized from the sums.
    F32,
}

impl Mode {
    /// All modes, the default one first.
    pub const ALL: [Mode; 4] = [Mode::Peft, Mode::Safe, Mode::NoCast, Mode::F32];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Peft => "peft",
            Mode::Safe => "safe",
            Mode::NoCast => "nocast",
            Mode::F32 => "f32",
        }
    }

    /// The roundings in a tensor whose base has the dtype of `base`.
    pub(super) fn roundings(self, base: Rounding) -> Roundings {
        let when = |modes: &[Mode]| if modes.contains(&self) { base } else { Rounding::None };
        Roundings {
            adapter: when(&[Mode::NoCast]),
            change: when(&[Mode::Safe, Mode::NoCast]),
            embedding_change: when(&[Mode::Peft, Mode::Safe, Mode::NoCast]),
            result: when(&[Mode::Peft, Mode::Safe, Mode::NoCast]),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Mode, String> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.name() == name)
            .ok_or_else(|| format!("no such way to merge: {name}"))
    }
}

/// Roundings in the computation of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roundings {
    /// Of the adapter's values, and of each step of DoRA.
    pub(super) adapter: Rounding,
    /// Of a matrix's change before it is added.
    pub(super) change: Rounding,
    /// Of the embedding's change before it is added.
    pub(super) embedding_change: Rounding,
    /// After each step.
    pub(super) result: Rounding,
}

/// Source of the numbers that the steps change.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// The base's tensor.
    Base(SourceTensor),
    /// A whole tensor of an adapter.
    Adapter { adapter: usize, tensor: SourceTensor },
}

/// One change of a tensor.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// LoRA on a matrix.
    Matrix(Lora),
    /// LoRA on the embedding, whose product is transposed.
    Embedding(Lora),
    /// LoRA with magnitudes of the rows, `[out]`.
    Dora(Lora, SourceTensor),
    /// A trained bias, `[out]`, times the scale.
    Bias { adapter: usize, tensor: SourceTensor, scale: f32 },
    /// Rows of `tensor` in place of others: the tensor's row by the one that it replaces.
    Rows { adapter: usize, tensor: SourceTensor, rows: BTreeMap<u64, u64> },
}

/// A changed tensor.
#[derive(Clone, Debug)]
pub(super) struct Computed {
    pub(super) start: Start,
    pub(super) steps: Vec<Step>,
    pub(super) roundings: Roundings,
    /// Length of a row; 1 for a bias.
    pub(super) width: usize,
}
