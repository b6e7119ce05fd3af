//! The tokens of a text with their sources and log probabilities: a sequence that writes down what is appended to it.

use super::{Error, draft::Company, sequence::Sequence};
use serde::Serialize;
use std::{cell::RefCell, time::Duration};

/// Details to write down of each token of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenDetail {
    /// Nothing.
    #[default]
    None,
    /// The source.
    Source,
    /// The source, the log probability, and this many of the likeliest tokens in its place. Each token is decoded by itself
    /// then, forced ones too: the others of a batch have no logits.
    Logprobs(usize),
}

/// Source of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenSource {
    /// The model's choice.
    Model,
    /// The model's choice, which a draft had guessed and decoded before.
    Drafted,
    /// The grammar left no choice.
    Forced,
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedToken {
    /// The token.
    pub token: i32,
    /// Its source.
    pub source: TokenSource,
    /// Its log probability, if that was asked for.
    pub score: Option<Score>,
}

/// Log probabilities of a token and of those that might have stood in its place: natural logarithms, over the whole
/// vocabulary, of the model's own logits. Neither grammar nor sampling parameters have a part in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Log probability of the token.
    pub logprob: f32,
    /// The likeliest tokens with theirs, the likeliest first; of equal ones the lowest id.
    pub top: Vec<(i32, f32)>,
}

impl Score {
    /// The score of `token` after a text with these `logits`, with the `most` likeliest tokens.
    pub fn new(logits: &[f32], token: i32, most: usize) -> Score {
        let finite = || logits.iter().map(|&logit| f64::from(logit)).filter(|logit| logit.is_finite());
        let largest = finite().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = finite().map(|logit| (logit - largest).exp()).sum();
        let logprob = |logit: f32| (f64::from(logit) - largest - sum.ln()) as f32;
        let mut top: Vec<(i32, f32)> = Vec::new();
        for (id, &logit) in logits.iter().enumerate().filter(|(_, logit)| logit.is_finite()) {
            if top.len() < most || top.last().is_some_and(|&(_, least)| logit > least) {
                top.insert(top.partition_point(|&(_, other)| other >= logit), (id as i32, logit));
                top.truncate(most);
            }
        }
        let own = usize::try_from(token).ok().and_then(|id| logits.get(id)).copied();
        Score {
            logprob: own.filter(|logit| logit.is_finite()).map_or(f32::NEG_INFINITY, logprob),
            top: top.into_iter().map(|(id, logit)| (id, logprob(logit))).collect(),
        }
    }
}

/// A sequence that writes down the tokens after those that it has.
pub struct Traced<'s, S> {
    inner: &'s mut S,
    detail: TokenDetail,
    /// Number of tokens before the text.
    start: usize,
    /// The text, and behind it tokens that were taken back.
    trace: &'s RefCell<Vec<TracedToken>>,
    goes_on: &'s mut dyn FnMut() -> bool,
}

impl<'s, S: Sequence> Traced<'s, S> {
    /// Writes the next tokens of `inner` into `trace`, which is empty. Before each token that is decoded for its log
    /// probability alone, `goes_on` is asked.
    pub fn new(
        inner: &'s mut S,
        detail: TokenDetail,
        trace: &'s RefCell<Vec<TracedToken>>,
        goes_on: &'s mut dyn FnMut() -> bool,
    ) -> Traced<'s, S> {
        Traced { start: inner.n_past(), inner, detail, trace, goes_on }
    }

    /// Ends the trace with the tokens of `text` that were not appended, since nothing came after them.
    ///
    /// # Errors
    /// Errors of [`Sequence::append`], and [`Error::Cancelled`].
    pub fn finish(mut self, text: &[i32]) -> Result<(), Error> {
        if self.detail == TokenDetail::None {
            return Ok(());
        }
        for (at, &token) in text.iter().enumerate().skip(self.at()) {
            self.note(at, token, TokenSource::Forced);
            if matches!(self.detail, TokenDetail::Logprobs(_)) && at + 1 < text.len() {
                self.append_one(token)?;
            }
        }
        self.trace.borrow_mut().truncate(text.len());
        Ok(())
    }

    fn append_one(&mut self, token: i32) -> Result<(), Error> {
        if (self.goes_on)() { self.inner.append(&[token]) } else { Err(Error::Cancelled) }
    }

    /// Number of tokens of the text that were appended.
    fn at(&self) -> usize {
        self.inner.n_past().saturating_sub(self.start)
    }

    /// Notes the token at `at`; the logits are those before it.
    fn note(&mut self, at: usize, token: i32, source: TokenSource) {
        let mut trace = self.trace.borrow_mut();
        // One that is decoded again, or was noted when it was chosen, keeps its source.
        if trace.get(at).is_none_or(|noted| noted.token != token) {
            trace.truncate(at);
            trace.push(TracedToken { token, source, score: None });
        }
        if let TokenDetail::Logprobs(most) = self.detail
            && let Some(noted) = trace.get_mut(at)
            && noted.score.is_none()
        {
            noted.score = Some(Score::new(self.inner.logits(), token, most));
        }
    }
}

impl<S: Sequence> Sequence for Traced<'_, S> {
    fn logits(&self) -> &[f32] {
        self.inner.logits()
    }

    fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
        self.append_drafted(tokens, &[]).map(drop)
    }

    fn append_drafted(&mut self, tokens: &[i32], draft: &[i32]) -> Result<usize, Error> {
        let at = self.at();
        match self.detail {
            TokenDetail::None => self.inner.append_drafted(tokens, draft),
            TokenDetail::Source => {
                let guessed = self.inner.ahead().iter().zip(tokens).take_while(|(a, b)| a == b).count();
                for (nth, &token) in tokens.iter().enumerate() {
                    self.note(at + nth, token, TokenSource::Forced);
                }
                for noted in self.trace.borrow_mut().iter_mut().skip(at).take(guessed) {
                    if noted.source == TokenSource::Model {
                        noted.source = TokenSource::Drafted;
                    }
                }
                self.inner.append_drafted(tokens, draft)
            }
            TokenDetail::Logprobs(_) => {
                for (nth, &token) in tokens.iter().enumerate() {
                    self.note(at + nth, token, TokenSource::Forced);
                    self.append_one(token)?;
                }
                Ok(tokens.len())
            }
        }
    }

    fn ahead(&self) -> &[i32] {
        self.inner.ahead()
    }

    fn chose(&mut self, token: i32) {
        if self.detail != TokenDetail::None {
            self.note(self.at(), token, TokenSource::Model);
        }
    }

    fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
        self.inner.rewind(n_past)
    }

    fn noise(&self) -> f32 {
        self.inner.noise()
    }

    fn company(&self) -> Option<(Company, usize, Duration)> {
        self.inner.company()
    }

    fn most_together(&self) -> usize {
        self.inner.most_together()
    }

    fn n_past(&self) -> usize {
        self.inner.n_past()
    }

    fn n_ctx(&self) -> usize {
        self.inner.n_ctx()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::sequence::Script;

    #[test]
    fn a_score_is_the_logarithm_of_the_softmax_over_all_tokens() {
        let logits = [1.0, 3.0, f32::NEG_INFINITY, 2.0, 3.0];
        let sum: f64 = [1.0, 3.0, 2.0, 3.0].iter().map(|x: &f64| x.exp()).sum();
        let expected = |logit: f64| (logit.exp() / sum).ln() as f32;
        let score = Score::new(&logits, 0, 3);
        assert!((score.logprob - expected(1.0)).abs() < 1e-6);
        assert_eq!(score.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 4, 3]);
        assert!((score.top[2].1 - expected(2.0)).abs() < 1e-6);
        assert_eq!(Score::new(&logits, 2, 0), Score { logprob: f32::NEG_INFINITY, top: Vec::new() });
        assert_eq!(Score::new(&logits, 9, 0).logprob, f32::NEG_INFINITY);
        // Large logits do not overflow.
        assert!((Score::new(&[1e4, 1e4], 0, 9).logprob - 0.5_f32.ln()).abs() < 1e-6);
    }

    /// Properties of a sequence that decides how it is decoded.
    struct Limited(Script<'static>);

    impl Sequence for Limited {
        fn logits(&self) -> &[f32] {
            self.0.logits()
        }

        fn append(&mut self, tokens: &[i32]) -> Result<(), Error> {
            self.0.append(tokens)
        }

        fn rewind(&mut self, n_past: usize) -> Result<(), Error> {
            self.0.rewind(n_past)
        }

        fn noise(&self) -> f32 {
            0.5
        }

        fn company(&self) -> Option<(Company, usize, Duration)> {
            Some((Company { rows: 3, sequences: 2 }, 4, Duration::from_millis(5)))
        }

        fn most_together(&self) -> usize {
            16
        }

        fn n_past(&self) -> usize {
            self.0.n_past()
        }

        fn n_ctx(&self) -> usize {
            self.0.n_ctx()
        }
    }

    #[test]
    fn a_traced_sequence_is_decoded_as_it_would_be_without_a_trace() {
        let (trace, mut goes_on) = (RefCell::default(), || true);
        let mut limited = Limited(Script::new(&[5, 6], 16));
        let (company, most) = (limited.company(), limited.most_together());
        let traced = Traced::new(&mut limited, TokenDetail::None, &trace, &mut goes_on);
        assert_eq!((traced.noise(), traced.company(), traced.most_together()), (0.5, company, most));
    }

    fn sources(trace: &RefCell<Vec<TracedToken>>) -> Vec<(i32, TokenSource)> {
        trace.borrow().iter().map(|noted| (noted.token, noted.source)).collect()
    }

    #[test]
    fn the_source_of_a_token_survives_that_it_is_decoded_again() {
        let text = [5, 6, 7, 8, 9];
        let (mut script, trace, mut goes_on) = (Script::new(&text, 16), RefCell::default(), || true);
        let mut traced = Traced::new(&mut script, TokenDetail::Source, &trace, &mut goes_on);
        traced.chose(5);
        traced.append_drafted(&[5, 6], &[7, 8]).unwrap();
        traced.chose(7);
        traced.append(&[7]).unwrap();
        traced.rewind(1).unwrap();
        traced.append(&[6]).unwrap();
        traced.append(&[7]).unwrap();
        traced.chose(4);
        traced.append(&[4]).unwrap();
        // That one is taken back for another.
        traced.rewind(3).unwrap();
        traced.chose(8);
        traced.finish(&[5, 6, 7, 8, 9]).unwrap();
        use TokenSource::{Drafted, Forced, Model};
        assert_eq!(sources(&trace), [(5, Model), (6, Forced), (7, Drafted), (8, Model), (9, Forced)]);
    }

    #[test]
    fn with_log_probabilities_every_token_has_one_and_nothing_stays_undecoded_before_the_last() {
        let text = [5, 6, 7, 8];
        let (mut script, trace, mut goes_on) = (Script::new(&text, 16), RefCell::default(), || true);
        let mut traced = Traced::new(&mut script, TokenDetail::Logprobs(1), &trace, &mut goes_on);
        traced.chose(5);
        traced.append_drafted(&[5, 6], &[7]).unwrap();
        assert!(traced.ahead().is_empty());
        traced.finish(&text).unwrap();
        assert_eq!(script.n_past(), 3);
        for (noted, token) in trace.borrow().iter().zip(text) {
            let score = noted.score.as_ref().unwrap();
            // The script's logits favour each of its tokens.
            assert_eq!(score.top, [(token, score.logprob)]);
        }
        assert_eq!(trace.borrow().len(), text.len());
    }

    #[test]
    fn a_long_run_of_forced_tokens_is_left_when_nobody_waits_for_it() {
        let text = [5, 6, 7, 8];
        let (mut script, trace, mut left) = (Script::new(&text, 16), RefCell::default(), 2);
        let mut goes_on = || {
            left -= 1;
            left >= 0
        };
        let mut traced = Traced::new(&mut script, TokenDetail::Logprobs(0), &trace, &mut goes_on);
        assert!(matches!(traced.append(&text), Err(Error::Cancelled)));
        assert_eq!(script.n_past(), 2);
    }
}
