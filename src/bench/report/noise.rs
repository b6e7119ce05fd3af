//! The noise floor: the reference compared with itself after one runtime condition was changed.

use super::{
    Distance, Report,
    collect::{Setting, mode_of},
    pairing::{self, VariantRows},
};
use crate::bench::{
    row::{ByName, Mode, Role, Row},
    run::Condition,
    score::verdict::Rules,
};
use serde::Serialize;

/// Divergence of the reference from itself after one condition was changed.
#[derive(Clone, Debug, Serialize)]
pub struct NoiseFloor {
    /// Mode of decoding.
    pub mode: Mode,
    /// Name of the changed condition.
    pub condition: String,
    /// New setting, in words.
    pub changed_to: Option<String>,
    /// Divergence of the answers, if measured.
    pub distance: Option<Distance>,
    /// Mean difference of the primary metric over the paired rows: changed minus reference.
    pub delta: Option<f64>,
    /// Reason for which it was not measured.
    pub reason: Option<String>,
}

impl Condition {
    /// Formatter of the setting that the condition changes.
    fn setting(self) -> Setting {
        match self {
            Condition::Threads => super::collect::threads,
            Condition::NUbatch => super::collect::n_ubatch,
            Condition::Repack => super::collect::repack,
        }
    }

    fn differs(self, a: &Row, b: &Row) -> bool {
        self.setting()(a) != self.setting()(b)
    }
}

/// Noise floor of a mode, one entry for each condition; empty if none was requested.
pub(super) fn noise_floor(
    mode: Mode,
    reference: &VariantRows<'_>,
    of_mode: &[&VariantRows<'_>],
    skipped: &ByName<String>,
    primary: &str,
    rules: &Rules,
) -> Vec<NoiseFloor> {
    let file = |variant: &VariantRows<'_>| variant.rows[0].key.variant.file_sha256.clone();
    let again: Vec<_> = of_mode
        .iter()
        .filter(|variant| variant.rows[0].role == Role::NoiseFloor && file(variant) == file(reference))
        .collect();
    if again.is_empty() && skipped.is_empty() {
        return Vec::new();
    }
    let one = |condition: Condition| {
        let variant = again.iter().find(|variant| condition.differs(variant.rows[0], reference.rows[0]));
        let delta = variant.and_then(|variant| {
            let scores = pairing::paired_scores(&pairing::pairs(reference, variant), primary);
            let differences = scores.iter().map(|row| row.candidate - row.reference);
            (!scores.is_empty()).then(|| differences.sum::<f64>() / scores.len() as f64)
        });
        let reason = skipped.get(condition.name()).cloned().unwrap_or_else(|| "it was not asked for".into());
        NoiseFloor {
            mode,
            condition: condition.name().into(),
            changed_to: variant.map(|variant| condition.setting()(variant.rows[0])),
            distance: variant.map(|variant| pairing::distance(reference, variant, primary, rules)),
            delta,
            reason: variant.is_none().then_some(reason),
        }
    };
    Condition::ALL.map(one).into()
}

/// Name of a noise-floor variant: the model and the changed settings.
pub(super) fn name(variant: &Row, reference: Option<&Row>) -> String {
    let differing = Condition::ALL
        .into_iter()
        .filter(|condition| reference.is_some_and(|r| condition.differs(variant, r)));
    let parts = differing.map(|condition| condition.setting()(variant));
    std::iter::once(variant.model.clone()).chain(parts).collect::<Vec<_>>().join(", ")
}

/// Finds the reference that a noise-floor variant was derived from.
pub(super) fn varied<'a, 'r>(
    variant: &VariantRows<'r>,
    variants: &'a [VariantRows<'r>],
) -> Option<&'a VariantRows<'r>> {
    variants.iter().find(|other| other.rows[0].role == Role::Reference && mode_of(other) == mode_of(variant))
}

impl NoiseFloor {
    /// Fraction of rows with another output text.
    pub fn output_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_outputs))
    }

    /// Fraction of rows with another primary score.
    pub fn score_flips(&self) -> Option<f64> {
        self.share(|distance| distance.score_flips)
    }

    /// Fraction of rows with another call.
    pub fn call_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_calls))
    }

    fn share(&self, count: fn(&Distance) -> Option<usize>) -> Option<f64> {
        let distance = self.distance.as_ref().filter(|distance| distance.rows > 0)?;
        Some(count(distance)? as f64 / distance.rows as f64)
    }
}

impl Report {
    /// Largest fraction of a mode's rows on which the reference writes another output after one condition was changed.
    pub fn noise(&self, mode: Mode) -> Option<f64> {
        let of_mode = self.noise_floor.iter().filter(|noise| noise.mode == mode);
        of_mode.filter_map(NoiseFloor::output_flips).max_by(f64::total_cmp)
    }
}
