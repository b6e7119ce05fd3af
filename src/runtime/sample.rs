//! Sampling: the most likely token, or a random one, among those that the constraint allows.
//!
//! Filters come in transformers' order: temperature, top-k, top-p, min-p.

use super::Error;
use crate::random::SplitMix64;

/// Sampling parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 takes the most likely token without randomness.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps the tokens at least this fraction as likely as the most likely; 0 keeps all.
    pub min_p: f32,
    /// Random seed.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 }
    }
}

/// A sampled token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pick {
    pub token: i32,
    /// Distance of its logit from that of the next best allowed token; infinite without one, and above temperature 0.
    pub lead: f32,
}

/// A [`Sampling`] with the state of its random numbers.
pub struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
}

impl Sampler {
    /// A sampler with the seed's first state.
    pub fn new(sampling: Sampling) -> Sampler {
        Sampler { sampling, random: SplitMix64::new(sampling.seed) }
    }

    /// True if the most likely token is taken, without randomness.
    pub fn is_greedy(&self) -> bool {
        self.sampling.temperature == 0.0
    }

    /// Samples a token without a constraint; `logits` has one number per token.
    ///
    /// # Errors
    /// [`Error::NoToken`] if no logit is finite.
    pub fn choose(&mut self, logits: &[f32]) -> Result<i32, Error> {
        Ok(self.pick(logits, |_| true)?.ok_or(Error::NoToken)?.token)
    }

    /// Samples a token among those that are `allowed`; `None` if none of them has a finite logit.
    ///
    /// # Errors
    /// [`Error::NoToken`] if no token at all has one.
    pub(super) fn pick(
        &mut self,
        logits: &[f32],
        allowed: impl Fn(i32) -> bool,
    ) -> Result<Option<Pick>, Error> {
        let pick = if self.is_greedy() {
            greedy(logits, allowed)
        } else {
            let finite = logits.iter().copied().enumerate().filter(|&(_, logit)| logit > f32::NEG_INFINITY);
            let token = self.draw(finite.filter(|&(id, _)| allowed(id as i32)).collect());
            token.map(|id| Pick { token: id as i32, lead: f32::INFINITY })
        };
        match pick {
            None if !logits.iter().any(|&logit| logit > f32::NEG_INFINITY) => Err(Error::NoToken),
            pick => Ok(pick),
        }
    }

    fn draw(&mut self, mut candidates: Vec<(usize, f32)>) -> Option<usize> {
        let s = &self.sampling;
        // Equal logits are ordered by id, so that a seed gives the same tokens everywhere.
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if s.top_k > 0 {
            candidates.truncate(s.top_k);
        }
        let top = f64::from(candidates.first()?.1);
        let temperature = f64::from(s.temperature);
        let weights: Vec<f64> =
            candidates.iter().map(|&(_, logit)| ((f64::from(logit) - top) / temperature).exp()).collect();
        let kept = kept(&weights, f64::from(s.top_p), f64::from(s.min_p));
        let total: f64 = weights[..kept].iter().sum();
        let mut rest = self.random.next_unit() * total;
        for (&(id, _), weight) in candidates.iter().zip(&weights[..kept]) {
            rest -= weight;
            if rest < 0.0 {
                return Some(id);
            }
        }
        // Rounding may leave a remainder after the last one.
        Some(candidates[kept - 1].0)
    }
}

/// The allowed token with the largest logit; of equal ones the lowest id, as everyone does.
fn greedy(logits: &[f32], allowed: impl Fn(i32) -> bool) -> Option<Pick> {
    let (mut best, mut first, mut second) = (None, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit > second && allowed(id as i32) {
            if logit > first {
                (best, second, first) = (Some(id as i32), first, logit);
            } else {
                second = logit;
            }
        }
    }
    best.map(|token| Pick { token, lead: first - second })
}

/// Number of `weights` that top-p and then min-p keep, at least one. The weights are sorted, the first and
/// largest is 1.
fn kept(weights: &[f64], top_p: f64, min_p: f64) -> usize {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let reaching = weights.iter().position(|weight| {
        sum += weight;
        sum >= top_p * total
    });
    let by_top_p = if top_p >= 1.0 { weights.len() } else { reaching.map_or(weights.len(), |i| i + 1) };
    let by_min_p = weights.iter().take_while(|&&weight| weight >= min_p).count();
    by_top_p.min(by_min_p).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sampling: Sampling, logits: &[f32]) -> Vec<f64> {
        let mut sampler = Sampler::new(sampling);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampler.choose(logits).unwrap() as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_largest_logit_and_the_lowest_id_of_equals() {
        let mut sampler = Sampler::new(Sampling::default());
        assert_eq!(sampler.choose(&[0.5, 2.0, 2.0, f32::NAN]).unwrap(), 1);
        assert!(sampler.choose(&[f32::NAN, f32::NEG_INFINITY]).is_err());
    }

    #[test]
    fn the_lead_of_the_best_token_is_over_the_next_one_that_is_allowed() {
        let mut sampler = Sampler::new(Sampling::default());
        let mut lead = |logits: &[f32], without: i32| {
            let pick = sampler.pick(logits, |id| id != without).unwrap().unwrap();
            (pick.token, pick.lead)
        };
        assert_eq!(lead(&[0.5, 2.0, f32::NAN, 1.75, 2.0], -1), (1, 0.0));
        assert_eq!(lead(&[0.5, 2.0, 1.75, f32::INFINITY], 3), (1, 0.25));
        assert_eq!(lead(&[1.75, 0.5, 2.0], 2), (0, 1.25));
        assert_eq!(lead(&[0.5, f32::NEG_INFINITY, 2.0], 2), (0, f32::INFINITY));
    }

    #[test]
    fn at_temperature_one_tokens_come_as_often_as_softmax_says() {
        let logits = [0.0, 1.0, f32::NEG_INFINITY, 2.0];
        let shares = shares(Sampling { temperature: 1.0, ..Sampling::default() }, &logits);
        for (share, expected) in shares.iter().zip([0.0900, 0.2447, 0.0, 0.6652]) {
            assert!((share - expected).abs() < 0.015, "{shares:?}");
        }
    }

    #[test]
    fn top_k_top_p_and_min_p_cut_the_tail() {
        // Probabilities 0.0900, 0.2447, 0.6652.
        let logits = [0.0, 1.0, 2.0];
        let warm = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(shares(Sampling { top_k: 2, ..warm }, &logits)[0], 0.0);
        assert_eq!(shares(Sampling { top_p: 0.9, ..warm }, &logits)[0], 0.0);
        assert!(shares(Sampling { top_p: 0.92, ..warm }, &logits)[0] > 0.0);
        assert_eq!(shares(Sampling { top_p: 0.6, ..warm }, &logits)[1], 0.0);
        assert_eq!(shares(Sampling { min_p: 0.2, ..warm }, &logits)[0], 0.0);
        assert!(shares(Sampling { min_p: 0.2, ..warm }, &logits)[1] > 0.0);
        assert_eq!(shares(Sampling { top_p: 0.0, ..warm }, &logits)[1], 0.0);
    }

    #[test]
    fn a_seed_draws_the_same_tokens_and_another_seed_others() {
        let logits: Vec<f32> = (0..64).map(|i| (i % 7) as f32 * 0.1).collect();
        let draws = |seed| {
            let mut sampler = Sampler::new(Sampling { temperature: 1.0, seed, ..Sampling::default() });
            (0..16).map(|_| sampler.choose(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }
}
