//! Votes of a judge on a row.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Configuration of a judge: all inputs of a verdict except the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeConfig {
    /// Name of the judge on the server.
    pub model: String,
    /// Name of the prompt's version, with the first 12 digits of its SHA-256.
    pub wrapper: String,
    /// SHA-256 of the criteria, in hex.
    pub criteria_sha256: String,
    /// Sampling temperature.
    pub temperature: f64,
    /// Maximum number of tokens in a reply, reasoning included.
    pub max_tokens: usize,
}

/// A judge's votes on a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeVotes {
    /// Configuration of the judge.
    #[serde(flatten)]
    pub config: JudgeConfig,
    /// Votes: good is `Some(true)`, bad is `Some(false)`, unreadable is `None`. An answer that is not a call gets bad
    /// votes without a request.
    pub votes: Vec<Option<bool>>,
}

impl JudgeVotes {
    /// Majority of the readable votes; `None` on a tie, or if no vote is readable.
    pub fn verdict(&self) -> Option<bool> {
        let count = |wanted| self.votes.iter().filter(|vote| **vote == Some(wanted)).count();
        match count(true).cmp(&count(false)) {
            Ordering::Greater => Some(true),
            Ordering::Less => Some(false),
            Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_the_readable_votes_decide() {
        let config = JudgeConfig {
            model: "m".into(),
            wrapper: "w".into(),
            criteria_sha256: "c".into(),
            temperature: 0.0,
            max_tokens: 1024,
        };
        let verdict =
            |votes: &[Option<bool>]| JudgeVotes { config: config.clone(), votes: votes.to_vec() }.verdict();
        let (good, bad) = (Some(true), Some(false));
        assert_eq!(verdict(&[good, bad, good]), Some(true));
        assert_eq!(verdict(&[bad, None, None]), Some(false));
        assert_eq!(verdict(&[good, bad, None]), None);
        assert_eq!(verdict(&[None]), None);
        assert_eq!(verdict(&[]), None);
    }
}
