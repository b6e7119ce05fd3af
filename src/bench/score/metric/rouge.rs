//! ROUGE-L F1 as the Python package `rouge-score` 0.1.2 computes it with stemming, over the whole texts.

use super::{Metric, Pair};
use nltk_porter::{Mode, PorterStemmer};
use std::collections::HashMap;

/// Overlap of the two texts by their longest common subsequence of stemmed words.
pub struct Rouge;

impl Metric for Rouge {
    fn name(&self) -> &'static str {
        "rouge"
    }

    fn about(&self) -> &'static str {
        "how far the words of the answer are those of the right answer in their order (ROUGE-L F1, words stemmed)"
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn score(&self, pair: &Pair<'_>) -> Option<f64> {
        Some(rouge_l(pair.answer, pair.prediction))
    }
}

/// The F1 of the longest common subsequence (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries",
/// section 3); 0 where a side has no words.
pub(super) fn rouge_l(answer: &str, prediction: &str) -> f64 {
    let (answer, prediction) = (words(answer), words(prediction));
    if answer.is_empty() || prediction.is_empty() {
        return 0.0;
    }
    let common = lcs_length(&answer, &prediction) as f64;
    let precision = common / prediction.len() as f64;
    let recall = common / answer.len() as f64;
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// Runs of a-z and 0-9 of the lower-cased text; those of more than three characters are stemmed.
fn words(text: &str) -> Vec<String> {
    let stemmer = PorterStemmer::new(Mode::Nltk);
    text.to_lowercase()
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .map(|word| if word.len() > 3 { stemmer.stem(word) } else { word.to_owned() })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Length of the longest common subsequence, 64 words of `a` at a time (Hyyrö 2004, "Bit-Parallel LCS-length
/// Computation Revisited"). A model that repeats itself can write thousands of words.
fn lcs_length(a: &[String], b: &[String]) -> usize {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, word) in a.iter().enumerate() {
        places.entry(word).or_default().push(at);
    }
    // A cleared bit is a position in `a` at which the length grows by one.
    let mut unmatched = vec![u64::MAX; a.len().div_ceil(64)];
    let mut equal = vec![0u64; unmatched.len()];
    for places in b.iter().filter_map(|word| places.get(word.as_str())) {
        places.iter().for_each(|at| equal[at / 64] |= 1 << (at % 64));
        let mut carry = false;
        for (bits, equal) in unmatched.iter_mut().zip(&mut equal) {
            let (sum, first) = bits.overflowing_add(*bits & *equal);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *bits = sum | (*bits & !*equal);
            *equal = 0;
        }
    }
    let is_cleared = |at: &usize| unmatched[at / 64] >> (at % 64) & 1 == 0;
    (0..a.len()).filter(is_cleared).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_everything_but_ascii_letters_and_digits() {
        assert_eq!(words("respond_to_user"), ["respond", "to", "user"]);
        assert_eq!(words("Café \u{212a}ing's 19:30 \u{130}"), ["caf", "king", "s", "19", "30", "i"]);
        assert!(words("東京 — !").is_empty());
    }

    #[test]
    fn words_of_up_to_three_letters_are_not_stemmed() {
        assert_eq!(words("was ties noodles"), ["was", "tie", "noodl"]);
    }

    #[test]
    fn the_score_is_that_of_the_longest_common_subsequence() {
        assert_eq!(rouge_l("a b c d", "a c b d"), 0.75);
        assert_eq!(rouge_l("a b", "c d"), 0.0);
        assert_eq!(rouge_l("", "a"), 0.0);
        assert_eq!(rouge_l("!", "!"), 0.0);
    }
    /// The same length by the textbook's dynamic programming table.
    fn lcs_by_table(a: &[String], b: &[String]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    proptest::proptest! {
        #[test]
        fn words_taken_64_at_a_time_give_the_length_of_the_table(
            a in proptest::collection::vec("[a-d]", 0..200),
            b in proptest::collection::vec("[a-e]", 0..200),
        ) {
            proptest::prop_assert_eq!(lcs_length(&a, &b), lcs_by_table(&a, &b));
        }
    }
}
