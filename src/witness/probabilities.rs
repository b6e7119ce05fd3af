//! llama.cpp's probabilities after the witness's own token ids, against the trainer's.

use super::{Cause, Error, Finding, WeightsReport, Witness, tolerance};
use crate::{
    convert::manifest::Top,
    gguf::GgmlType,
    runtime::{Model, Session},
    verify::answers::Distribution,
};
use serde::Serialize;
use std::num::NonZeroUsize;

/// Result of the comparison of probabilities.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Probabilities {
    /// Number of positions that were compared.
    pub positions: usize,
    /// Number of those where the likeliest token is the trainer's.
    pub top1: usize,
    /// Mean KL divergence from the trainer, in nats.
    pub kl_mean: f64,
    /// Largest KL divergence, in nats.
    pub kl_max: f64,
    /// Mean KL divergence that files of this type usually cost, from and to; `None` if the type was not measured.
    pub kl_usual: Option<(f64, f64)>,
    /// Largest mean that is no fault.
    pub kl_limit: Option<f64>,
    /// A defect of the logits.
    pub flaw: Option<String>,
}

/// Measures the divergence; `None` if `go_on` says so.
///
/// # Errors
/// Errors of llama.cpp.
pub(super) fn measure(
    model: &Model,
    witness: &Witness,
    threads: Option<NonZeroUsize>,
    go_on: &mut impl FnMut(&str) -> bool,
) -> Result<Option<Probabilities>, Error> {
    let mut found = Probabilities::default();
    let most = model.n_ctx_train().saturating_sub(1);
    let longest =
        witness.conversations.iter().filter_map(|c| c.positions.last()).max().map_or(0, |&last| last + 1);
    if longest == 0 {
        return Ok(Some(found));
    }
    let options = crate::runtime::Options { threads, ..Default::default() };
    let mut session = Session::new(model, longest.min(most).max(1), 1, &options)?;
    let n = witness.conversations.len();
    for (i, conversation) in witness.conversations.iter().enumerate() {
        if !go_on(&format!("conversation {} of {n}", i + 1)) {
            return Ok(None);
        }
        session.cut(0)?;
        let mut done = 0;
        for (&position, top) in conversation.positions.iter().zip(&conversation.top) {
            if position >= most {
                break;
            }
            session.append(&conversation.ids[done..=position])?;
            done = position + 1;
            let here = Distribution::new(session.logits().to_vec());
            if let Some(flaw) = here.flaw() {
                found.flaw = Some(format!("{flaw}, in conversation {}", i + 1));
                return Ok(Some(found));
            }
            let reference: Vec<Top> = top.iter().map(Top::from).collect();
            let kl = here.kl_from(&reference);
            found.positions += 1;
            found.kl_mean += kl;
            found.kl_max = found.kl_max.max(kl);
            let is_first = here.top(1).first().map(|top| top.token) == reference.first().map(|top| top.token);
            found.top1 += usize::from(is_first);
        }
    }
    found.kl_mean /= found.positions.max(1) as f64;
    Ok(Some(found))
}

impl Probabilities {
    /// Adds what files of this type usually cost.
    pub(super) fn judge(&mut self, weights: &WeightsReport) {
        let main =
            weights.types.first().and_then(|name| GgmlType::ALL.iter().find(|known| known.name() == *name));
        let cost = main.and_then(|&main| tolerance::cost(main));
        self.kl_usual = cost.map(|cost| cost.usual);
        self.kl_limit = cost.map(|cost| cost.limit);
    }

    /// The finding on probabilities that nothing before explains.
    pub(super) fn finding(&self, weights: &WeightsReport, earlier: &[Finding]) -> Option<Finding> {
        let is_explained = |finding: &Finding| finding.is_wrong() && finding.cause >= Cause::Sizes;
        if earlier.iter().any(is_explained) {
            return None;
        }
        if let Some(flaw) = &self.flaw {
            return Some(Finding::wrong(Cause::Computation, format!("llama.cpp computes {flaw}")));
        }
        let limit = self.kl_limit.filter(|limit| self.kl_mean > *limit)?;
        let kind = weights.types.first().copied().unwrap_or_default();
        let is_float = ["F32", "F16", "BF16"].contains(&kind);
        let what = format!(
            "the weights are the trainer's as far as {kind} goes, and the probabilities are {:.4} nats away in the mean, where \
             at most {limit} is usual",
            self.kl_mean
        );
        Some(Finding::wrong(if is_float { Cause::Computation } else { Cause::Quantization }, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: &'static str, kl_mean: f64, earlier: &[Finding]) -> Option<Cause> {
        let weights = WeightsReport { types: vec![kind], ..WeightsReport::default() };
        let mut found = Probabilities { positions: 8, kl_mean, ..Probabilities::default() };
        found.judge(&weights);
        found.finding(&weights, earlier).map(|finding| finding.cause)
    }

    #[test]
    fn a_divergence_that_nothing_explains_is_of_the_type_or_of_the_computation() {
        assert_eq!(finding("Q4_K", 0.05, &[]), None);
        assert_eq!(finding("Q4_K", 3.0, &[]), Some(Cause::Quantization));
        assert_eq!(finding("F16", 0.05, &[]), Some(Cause::Computation));
        assert_eq!(finding("IQ4_XS", 3.0, &[]), None, "its cost was not measured");
        let rope = Finding::wrong(Cause::RopeBase, "");
        assert_eq!(finding("F16", 3.0, &[rope]), None);
        // What stands in front of the token ids does not explain it, nor does a note.
        let others = [Finding::wrong(Cause::Template, ""), Finding::note(Cause::Sizes, "")];
        assert_eq!(finding("F16", 3.0, &others), Some(Cause::Computation));
    }

    #[test]
    fn logits_that_are_no_numbers_are_a_finding() {
        let found =
            Probabilities { flaw: Some("logits that are no numbers".into()), ..Probabilities::default() };
        let finding = found.finding(&WeightsReport::default(), &[]).unwrap();
        assert_eq!(finding.cause, Cause::Computation);
        assert!(finding.what.contains("no numbers"));
    }
}
