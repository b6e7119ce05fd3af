//! The noise floor: the reference beside itself with one condition changed.

use super::{
    Distance, Report,
    collect::{Setting, mode_of},
    pairing::{self, ArmRows},
};
use crate::benchmark::{
    row::{ByName, Mode, Role, Row},
    run::Condition,
    verdict::Rules,
};
use serde::Serialize;

/// How far the reference is from itself with one condition changed.
#[derive(Clone, Debug, Serialize)]
pub struct NoiseFloor {
    /// The mode.
    pub mode: Mode,
    /// What was changed.
    pub condition: String,
    /// What it was changed to.
    pub changed_to: Option<String>,
    /// How far the answers are apart, if it was measured.
    pub distance: Option<Distance>,
    /// Mean of the primary metric, that of the reference taken away, over the rows that both have.
    pub delta: Option<f64>,
    /// Why it was not measured.
    pub reason: Option<String>,
}

impl Condition {
    /// The setting that it changes, in words.
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

/// The noise floor of a mode, condition by condition; nothing where none was asked for.
pub(super) fn noise_floor(
    mode: Mode,
    reference: &ArmRows<'_>,
    of_mode: &[&ArmRows<'_>],
    skipped: &ByName<String>,
    primary: &str,
    rules: &Rules,
) -> Vec<NoiseFloor> {
    let file = |arm: &ArmRows<'_>| arm.rows[0].key.arm.file_sha256.clone();
    let again: Vec<_> = of_mode
        .iter()
        .filter(|arm| arm.rows[0].role == Role::NoiseFloor && file(arm) == file(reference))
        .collect();
    if again.is_empty() && skipped.is_empty() {
        return Vec::new();
    }
    let one = |condition: Condition| {
        let arm = again.iter().find(|arm| condition.differs(arm.rows[0], reference.rows[0]));
        let delta = arm.and_then(|arm| {
            let scores = pairing::paired_scores(&pairing::pairs(reference, arm), primary);
            let differences = scores.iter().map(|row| row.candidate - row.reference);
            (!scores.is_empty()).then(|| differences.sum::<f64>() / scores.len() as f64)
        });
        let reason = skipped.get(condition.name()).cloned().unwrap_or_else(|| "it was not asked for".into());
        NoiseFloor {
            mode,
            condition: condition.name().into(),
            changed_to: arm.map(|arm| condition.setting()(arm.rows[0])),
            distance: arm.map(|arm| pairing::distance(reference, arm, primary, rules)),
            delta,
            reason: arm.is_none().then_some(reason),
        }
    };
    Condition::ALL.map(one).into()
}

/// What a noise arm is called: as the reference, and what is otherwise.
pub(super) fn name(arm: &Row, reference: Option<&Row>) -> String {
    let differing =
        Condition::ALL.into_iter().filter(|condition| reference.is_some_and(|r| condition.differs(arm, r)));
    let parts = differing.map(|condition| condition.setting()(arm));
    std::iter::once(arm.model.clone()).chain(parts).collect::<Vec<_>>().join(", ")
}

/// The reference's arm that a noise arm is a variation of.
pub(super) fn varied<'a, 'r>(arm: &ArmRows<'r>, arms: &'a [ArmRows<'r>]) -> Option<&'a ArmRows<'r>> {
    arms.iter().find(|other| other.rows[0].role == Role::Reference && mode_of(other) == mode_of(arm))
}

impl NoiseFloor {
    /// The share of rows with another output, letter by letter.
    pub fn output_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_outputs))
    }

    /// The share of rows with another primary score.
    pub fn score_flips(&self) -> Option<f64> {
        self.share(|distance| distance.score_flips)
    }

    /// The share of rows with another call.
    pub fn call_flips(&self) -> Option<f64> {
        self.share(|distance| Some(distance.rows - distance.same_calls))
    }

    fn share(&self, count: fn(&Distance) -> Option<usize>) -> Option<f64> {
        let distance = self.distance.as_ref().filter(|distance| distance.rows > 0)?;
        Some(count(distance)? as f64 / distance.rows as f64)
    }
}

impl Report {
    /// The largest share of a mode's rows that the reference itself answers otherwise with one condition changed.
    pub fn noise(&self, mode: Mode) -> Option<f64> {
        let of_mode = self.noise_floor.iter().filter(|noise| noise.mode == mode);
        of_mode.filter_map(NoiseFloor::output_flips).max_by(f64::total_cmp)
    }
}
