//! The modules that an adapter changes.

use serde::Serialize;

/// A module that an adapter changes by LoRA.
#[derive(Clone, Debug, Serialize)]
pub struct Module {
    /// Number of the adapter.
    pub adapter: usize,
    /// Its name.
    pub module: String,
    /// LoRA, or LoRA with DoRA's magnitudes.
    pub kind: &'static str,
    /// Rank of its matrices.
    pub rank: u64,
    /// Factor of their product.
    pub scale: f32,
    /// Frobenius norm of the change over that of the weights; `None` if it was not measured.
    pub relative_change: Option<f64>,
    /// The tensor that it changes.
    #[serde(skip)]
    pub(super) tensor: String,
    /// Its step of that tensor.
    #[serde(skip)]
    pub(super) step: usize,
}
