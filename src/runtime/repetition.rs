//! Detection of a model that repeats itself.
//!
//! A model that has lost the thread writes the same words until its budget ends. A text may repeat itself for good
//! reasons, too: a line of dashes, the base64 of zeros. So it takes a long tail, the longer the shorter the repeated run
//! is, and only tokens that the model chose count.

/// Longest run that is looked for, in tokens.
const MAX_RUN: usize = 32;
/// Runs up to this length are called short: numbers, dashes, padding.
const SHORT_RUN: usize = 4;
/// Tokens of a tail of short runs.
const SHORT_RUNS_TAIL: usize = 256;
/// Tokens of a tail of longer runs.
const LONG_RUNS_TAIL: usize = 128;
/// Least number of times that any run is repeated.
const MIN_TIMES: usize = 8;

/// The end of a text: the same tokens many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// Number of tokens that are repeated.
    pub run: usize,
    /// Number of times that they stand there.
    pub times: usize,
}

impl Repetition {
    /// The repetition at the end of `tokens`, if it is long enough: at least 256 tokens for a run of up to 4, and 8 times
    /// and at least 128 tokens for one of up to 32.
    pub fn at_end(tokens: &[i32]) -> Option<Repetition> {
        let mut shorter = 0;
        for run in 1..=MAX_RUN.min(tokens.len() / MIN_TIMES) {
            let tail = periodic_tail(tokens, run);
            let least = if run <= SHORT_RUN { SHORT_RUNS_TAIL } else { LONG_RUNS_TAIL.max(MIN_TIMES * run) };
            // A tail of `aa` is also one of `aaaaaa`.
            if tail >= least && shorter < least {
                return Some(Repetition { run, times: tail / run });
            }
            shorter = shorter.max(tail);
        }
        None
    }

    /// Number of tokens in all.
    pub fn tokens(self) -> usize {
        self.run * self.times
    }
}

/// Number of tokens at the end of `tokens` that repeat a run of `run`; 0 if the last one does not.
fn periodic_tail(tokens: &[i32], run: usize) -> usize {
    let (newer, older) = (tokens.iter().rev(), tokens.iter().rev().skip(run));
    match newer.zip(older).take(SHORT_RUNS_TAIL.max(MIN_TIMES * MAX_RUN)).take_while(|(a, b)| a == b).count()
    {
        0 => 0,
        same => same + run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    fn after_a_beginning(run: &[i32], tokens: usize) -> Option<Repetition> {
        let mut random = SplitMix64::new(3);
        let mut text: Vec<i32> = (0..200).map(|_| 100 + random.below(500) as i32).collect();
        text.extend(run.iter().cycle().take(tokens));
        Repetition::at_end(&text)
    }

    #[test]
    fn a_short_run_is_a_repetition_from_256_tokens_on() {
        for run in [&[7][..], &[7, 8], &[7, 7, 8], &[7, 8, 9, 10]] {
            assert_eq!(after_a_beginning(run, 250), None, "{run:?}");
            let found = after_a_beginning(run, 260).unwrap();
            assert_eq!(found.run, run.len());
            assert!((256 - run.len()..=260).contains(&found.tokens()), "{found:?}");
        }
    }

    #[test]
    fn a_longer_run_is_one_from_eight_times_and_128_tokens_on() {
        for n in [5, 16, 31, 32] {
            let run: Vec<i32> = (0..n).collect();
            let least = 128.max(8 * run.len());
            assert_eq!(after_a_beginning(&run, least - 3), None, "{n}");
            assert_eq!(after_a_beginning(&run, least + 2).unwrap().run, run.len());
        }
        let long: Vec<i32> = (0..33).collect();
        assert_eq!(after_a_beginning(&long, 2000), None);
    }

    #[test]
    fn a_run_of_equal_tokens_does_not_pass_for_a_longer_run() {
        assert_eq!(after_a_beginning(&[7], 200), None);
        assert_eq!(after_a_beginning(&[7, 8], 200), None);
        assert_eq!(after_a_beginning(&[7, 7, 7, 7, 7, 8], 140).unwrap().run, 6);
    }

    #[test]
    fn lists_that_change_a_little_are_no_repetition() {
        let numbered: Vec<i32> = (0..400).flat_map(|i| [1, 2, 3, 1000 + i]).collect();
        assert_eq!(Repetition::at_end(&numbered), None);
        assert_eq!(Repetition::at_end(&[]), None);
        assert_eq!(Repetition::at_end(&[1; 9]), None);
    }
}
