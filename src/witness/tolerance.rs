//! Limits that good files of each type keep, with the measurements behind them.

use crate::gguf::GgmlType;

/// Largest [`Distance`](super::mark::Distance) of a good tensor of this type; `None` for types that cannot be decoded.
/// `is_merged` is true if an adapter was merged: two programs may round the sum differently, in BF16.
pub(super) fn distance(ggml_type: GgmlType, is_merged: bool) -> Option<f64> {
    let limit = match ggml_type {
        GgmlType::F32 => 1e-4,
        GgmlType::F16 => 3e-3,
        GgmlType::Bf16 => 1e-2,
        GgmlType::Q8_0 => 0.03,
        GgmlType::Q6K => 0.08,
        GgmlType::Q5K | GgmlType::Q5_0 | GgmlType::Q5_1 => 0.16,
        GgmlType::Q4K | GgmlType::Q4_0 | GgmlType::Q4_1 => 0.32,
        _ => return None,
    };
    Some(if is_merged { f64::max(limit, 0.02) } else { limit })
}

/// Mean KL divergence, in nats, that files of a type usually cost, and the largest that is not blamed on anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// From the smallest to the largest mean that was measured.
    pub usual: (f64, f64),
    /// The largest mean that is not a finding.
    pub limit: f64,
}

/// The usual cost of a file most of whose matrices have this type; `None` for types that were not measured.
pub(super) fn cost(ggml_type: GgmlType) -> Option<Cost> {
    let (usual, limit) = match ggml_type {
        GgmlType::F32 | GgmlType::F16 | GgmlType::Bf16 => ((0.0, 0.0001), 0.01),
        GgmlType::Q8_0 => ((0.0001, 0.001), 0.02),
        GgmlType::Q6K => ((0.0005, 0.005), 0.05),
        GgmlType::Q5K | GgmlType::Q5_0 | GgmlType::Q5_1 => ((0.002, 0.02), 0.15),
        GgmlType::Q4K | GgmlType::Q4_0 | GgmlType::Q4_1 => ((0.01, 0.06), 0.5),
        _ => return None,
    };
    Some(Cost { usual, limit })
}
