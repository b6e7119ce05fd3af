//! The noise floor: the reference compared with itself after one runtime condition was changed.

use super::{
    model::NoiseFloor,
    pairing::{self, Measures},
    variants::VariantRows,
};
use crate::bench::row::{ByName, Condition, Role};

/// Noise floor of a mode, one entry for each condition; empty if none was requested.
pub(super) fn noise_floor(
    reference: &VariantRows<'_>,
    of_mode: &[&VariantRows<'_>],
    skipped: &ByName<String>,
    measures: &Measures<'_>,
) -> Vec<NoiseFloor> {
    let file = |variant: &VariantRows<'_>| variant.rows[0].key.variant.file_sha256.clone();
    let again: Vec<_> = of_mode
        .iter()
        .filter(|variant| variant.role() == Role::NoiseFloor && file(variant) == file(reference))
        .collect();
    if again.is_empty() && skipped.is_empty() {
        return Vec::new();
    }
    let one = |condition: Condition| {
        let variant = again.iter().find(|variant| condition.differs(variant.rows[0], reference.rows[0]));
        let delta = variant.and_then(|variant| {
            let scores = pairing::paired_scores(&pairing::pairs(reference, variant), measures.primary);
            let differences = scores.iter().map(|row| row.candidate - row.reference);
            (!scores.is_empty()).then(|| differences.sum::<f64>() / scores.len() as f64)
        });
        let reason = skipped.get(condition.name()).cloned().unwrap_or_else(|| "it was not asked for".into());
        NoiseFloor {
            mode: reference.mode(),
            condition: condition.name().into(),
            changed_to: variant.map(|variant| condition.setting()(variant.rows[0])),
            distance: variant.map(|variant| pairing::distance(reference, variant, measures)),
            delta,
            reason: variant.is_none().then_some(reason),
        }
    };
    Condition::ALL.map(one).into()
}
