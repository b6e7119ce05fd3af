//! Divergence of a model's probabilities from the reference's, on given tokens.

use super::case_runner::CaseRunner;
use crate::bench::{
    Result,
    data::Dataset,
    row::{Divergence, ReferenceTokens, Row},
};

/// Log-probabilities of the next token.
struct LogProbabilities<'l> {
    logits: &'l [f32],
    log_total: f64,
}

impl LogProbabilities<'_> {
    fn from_logits(logits: &[f32]) -> LogProbabilities<'_> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        LogProbabilities { logits, log_total: f64::from(largest) + total.ln() }
    }

    /// Log-probability of the token with this index, in nats.
    fn get(&self, index: usize) -> f64 {
        f64::from(self.logits[index]) - self.log_total
    }

    /// Most likely token; the first one on a tie.
    fn likeliest(&self) -> Option<usize> {
        let better =
            |best: usize, next: usize| if self.logits[next] > self.logits[best] { next } else { best };
        (0..self.logits.len()).reduce(better)
    }
}

/// Divergence of a model, accumulated position by position.
#[derive(Clone, Debug, Default)]
pub struct DivergenceSum {
    nll: f64,
    tokens: usize,
    kl: Vec<f64>,
    agreeing: usize,
}

impl DivergenceSum {
    /// Adds the position before `token`. `reference` holds the reference's logits there; it is `None` for the reference
    /// itself and where the token sequences differ.
    pub fn add(&mut self, logits: &[f32], reference: Option<&[f32]>, token: i32) {
        let Some(index) = usize::try_from(token).ok().filter(|&index| index < logits.len()) else { return };
        let own = LogProbabilities::from_logits(logits);
        self.nll -= own.get(index);
        self.tokens += 1;
        if let Some(reference) = reference.filter(|reference| reference.len() == logits.len()) {
            let reference = LogProbabilities::from_logits(reference);
            self.kl.push(kl_divergence(&reference, &own));
            self.agreeing += usize::from(reference.likeliest() == own.likeliest());
        }
    }

    /// Result for a row, measured on `reference_tokens`.
    pub fn finish(self, reference_tokens: ReferenceTokens) -> Divergence {
        let top1_agreeing = (!self.kl.is_empty()).then_some(self.agreeing);
        Divergence { reference_tokens, nll: self.nll, tokens: self.tokens, kl: self.kl, top1_agreeing }
    }
}

/// KL(p || q) in nats, over the whole vocabulary.
fn kl_divergence(p: &LogProbabilities<'_>, q: &LogProbabilities<'_>) -> f64 {
    let term = |index| {
        let log_p = p.get(index);
        // Where p is zero, the term is zero for any q.
        if log_p == f64::NEG_INFINITY { 0.0 } else { log_p.exp() * (log_p - q.get(index)) }
    };
    // Rounding may leave a tiny negative value.
    (0..p.logits.len()).map(term).sum::<f64>().max(0.0)
}

/// Text on which probabilities are measured.
#[derive(Clone, Copy)]
pub(super) enum Text<'t> {
    /// The ground-truth answer of the case.
    Gold(&'t Dataset),
    /// The reference's own answer.
    Written(&'t Row),
}

/// Evaluates the same answer with the `wanted` models and the reference, token by token, and returns the divergence of
/// each wanted one.
pub(super) fn divergences(
    runners: &mut [CaseRunner<'_>],
    reference: Option<usize>,
    case: usize,
    wanted: &[bool],
    text: Text<'_>,
) -> Result<Vec<Option<Divergence>>> {
    let mut divergences = vec![None; runners.len()];
    if !wanted.contains(&true) {
        return Ok(divergences);
    }
    let mut answers = Vec::new();
    for (index, runner) in runners.iter_mut().enumerate() {
        let tokens = match text {
            _ if !wanted[index] && reference != Some(index) => None,
            Text::Written(row) => runner.as_written(case, row)?,
            Text::Gold(dataset) => runner.gold(case, dataset)?,
        };
        if tokens.is_some() {
            runner.evaluate(case)?;
        }
        answers.push(tokens);
    }
    let mut sums = vec![DivergenceSum::default(); runners.len()];
    let most = answers.iter().flatten().map(Vec::len).max().unwrap_or(0);
    for at in 0..most {
        let with_token = |index: &usize| answers[*index].as_ref().and_then(|text| text.get(at)).copied();
        let in_step = reference.filter(|reference| with_token(reference).is_some());
        let reference_logits = in_step.map(|reference| runners[reference].logits().to_vec());
        for index in 0..runners.len() {
            let Some(token) = with_token(&index) else { continue };
            // Equal token sequences imply that both vocabularies agree on this answer.
            let comparable =
                in_step.is_some_and(|reference| index != reference && answers[index] == answers[reference]);
            let against = reference_logits.as_deref().filter(|_| comparable);
            let runner = &mut runners[index];
            sums[index].add(runner.logits(), against, token);
            // The logits after the last token are not needed.
            if answers[index].as_ref().is_some_and(|text| at + 1 < text.len()) {
                runner.step(token)?;
            }
        }
    }
    let reference_tokens = match text {
        Text::Written(_) => ReferenceTokens::Reference,
        Text::Gold(_) => ReferenceTokens::Gold,
    };
    for (index, sum) in sums.into_iter().enumerate() {
        divergences[index] =
            (wanted[index] && answers[index].is_some()).then(|| sum.finish(reference_tokens));
    }
    Ok(divergences)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(probabilities: [f64; 3]) -> [f32; 3] {
        probabilities.map(|p| p.ln() as f32)
    }

    #[test]
    fn the_distances_are_those_of_the_probabilities() {
        let (p, q) = ([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]);
        let mut sum = DivergenceSum::default();
        // A constant added to all logits changes no probability.
        sum.add(&logs(q).map(|logit| logit + 7.0), Some(&logs(p)), 2);
        sum.add(&logs(p), Some(&logs(p)), 0);
        let divergence = sum.finish(ReferenceTokens::Gold);
        assert!((divergence.nll - 2.0 * 2f64.ln()).abs() < 1e-6);
        // 0.5 ln 2 + 0 - 0.25 ln 2.
        assert!(
            (divergence.kl[0] - 0.25 * 2f64.ln()).abs() < 1e-6 && divergence.kl[1].abs() < 1e-9,
            "{divergence:?}"
        );
        assert_eq!((divergence.tokens, divergence.top1_agreeing), (2, Some(1)));
    }

    #[test]
    fn without_a_reference_there_is_no_divergence() {
        let mut sum = DivergenceSum::default();
        sum.add(&logs([0.5, 0.25, 0.25]), None, 1);
        let divergence = sum.finish(ReferenceTokens::Gold);
        assert!(divergence.kl.is_empty() && divergence.top1_agreeing.is_none());
        assert!((divergence.nll - 4f64.ln()).abs() < 1e-6);
    }
}
