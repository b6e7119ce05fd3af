//! Drafts: guesses at the next tokens, looked up in the conversation, in earlier answers and in the answer's
//! schema (lookup decoding, as in llama.cpp and transformers).
//!
//! Names, times and whole messages in an answer are mostly copied. If the last tokens of the text occurred
//! before, the tokens that followed them are a guess at the next ones. Decoded in one batch with the next
//! token, a guess costs a part of a decode; if it is right, it saves a whole one. The draft length weighs the
//! one against the other.

mod batch_cost;

pub use batch_cost::BatchCost;

use std::{sync::Arc, time::Duration};

/// Longest suffix of the text that is looked up, in tokens.
const MAX_MATCH: usize = 6;
/// Shortest suffix that is looked up.
const MIN_MATCH: usize = 2;
/// Most tokens of one draft.
pub const MAX_DRAFT: usize = 8;

/// Policy for the length of drafts.
#[derive(Clone, Debug, PartialEq)]
pub enum DraftPolicy {
    /// A fixed maximum, if a long enough suffix occurred before.
    Tokens {
        /// Least length of the matching suffix, 2 to 6.
        matched: usize,
        /// Most tokens of a draft.
        most: usize,
    },
    /// The length that saves most, given these decode costs.
    Worth(BatchCost),
}

/// Sequences that are decoded together with that of a draft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// Their tokens in a decode.
    pub rows: usize,
    /// Number of them.
    pub sequences: usize,
}

/// Features of a guess. The share of right guesses is counted for each combination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MatchFeatures {
    /// Length of the matching suffix.
    matched: usize,
    /// Source of the match.
    source: Source,
    /// Agreement of all matches on the next token: 0 if they differ, 1 for a single match, 2 if several agree.
    agreement: usize,
}

impl MatchFeatures {
    fn index(self) -> usize {
        let matched = self.matched.clamp(MIN_MATCH, MAX_MATCH) - MIN_MATCH;
        (matched * SOURCES.len() + self.source as usize) * 3 + self.agreement
    }
}

/// Sources of guesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The conversation and the answer so far.
    #[default]
    Text,
    /// An earlier answer.
    Answer,
    /// Names and values in the answer's schema.
    Words,
}

const SOURCES: [Source; 3] = [Source::Text, Source::Answer, Source::Words];

const FEATURE_SETS: usize = (MAX_MATCH - MIN_MATCH + 1) * SOURCES.len() * 3;

/// A guessed token and its features.
#[derive(Clone, Copy, Debug)]
struct Guess {
    token: i32,
    features: MatchFeatures,
}

/// Drafter for the tokens of one answer.
pub struct Drafter {
    policy: DraftPolicy,
    // The conversation and the answer so far.
    text: Vec<i32>,
    prompt: usize,
    earlier: Arc<Vec<Vec<i32>>>,
    // Names and values in the answer's schema, with the text around them in an answer; earlier ones take
    // precedence.
    words: Arc<Vec<Vec<i32>>>,
    // Right guesses and all guesses, by features.
    hits: [(f64, f64); FEATURE_SETS],
    // The last draft and its position.
    last: (usize, Vec<Guess>),
    company: Company,
}

impl Drafter {
    /// A drafter for an answer to `prompt`; `earlier` are answers with the same tools, oldest first.
    pub fn new(prompt: &[i32], earlier: impl Into<Arc<Vec<Vec<i32>>>>, policy: DraftPolicy) -> Drafter {
        let hits = std::array::from_fn(|index| {
            let agreement = index % 3;
            let source = SOURCES[index / 3 % SOURCES.len()];
            let matched = index / 3 / SOURCES.len() + MIN_MATCH;
            let chance = expected_chance(MatchFeatures { matched, source, agreement });
            (chance * PRIOR, PRIOR)
        });
        Drafter {
            policy,
            text: prompt.to_vec(),
            prompt: prompt.len(),
            earlier: earlier.into(),
            words: Arc::default(),
            hits,
            last: (0, Vec::new()),
            company: Company::default(),
        }
    }

    /// Adds the names and values in the answer's schema, each tokenized with the text that precedes it in an
    /// answer. If several match, the first is taken. They are only used if nothing else matches.
    pub fn with_words(self, words: impl Into<Arc<Vec<Vec<i32>>>>) -> Drafter {
        Drafter { words: words.into(), ..self }
    }

    /// Starts the next answer of the same kind; measurements and counts are kept.
    pub fn begin(&mut self, prompt: &[i32], earlier: impl Into<Arc<Vec<Vec<i32>>>>) {
        self.text = prompt.to_vec();
        self.prompt = prompt.len();
        self.earlier = earlier.into();
        self.last.1.clear();
    }

    /// The decode costs measured so far; `None` for a fixed length.
    pub fn costs(&self) -> Option<&BatchCost> {
        match &self.policy {
            DraftPolicy::Worth(costs) => Some(costs),
            DraftPolicy::Tokens { .. } => None,
        }
    }

    /// A draft of the tokens after `generated`; `pending` tokens are decoded with it anyway. `takes` returns
    /// true if a token may come next; matches followed by other tokens are skipped.
    ///
    /// # Errors
    /// Errors of `takes`.
    pub fn draft<E>(
        &mut self,
        generated: &[i32],
        pending: usize,
        takes: impl FnMut(i32) -> Result<bool, E>,
    ) -> Result<Vec<i32>, E> {
        self.settle(generated);
        let kept = self.text[self.prompt..].iter().zip(generated).take_while(|(a, b)| a == b).count();
        self.text.truncate(self.prompt + kept);
        self.text.extend_from_slice(&generated[kept..]);
        let mut guesses = self.guesses(takes)?;
        let length = match &self.policy {
            DraftPolicy::Tokens { matched, most } => match guesses.first() {
                Some(first) if first.features.matched >= *matched => guesses.len().min(*most),
                _ => 0,
            },
            DraftPolicy::Worth(costs) => self.worth(&guesses, pending, costs),
        };
        guesses.truncate(length);
        let tokens = guesses.iter().map(|guess| guess.token).collect();
        self.last = (generated.len(), guesses);
        Ok(tokens)
    }

    /// Counts which tokens of the last draft were right, now that the text is `generated`.
    pub fn settle(&mut self, generated: &[i32]) {
        let (at, guesses) = std::mem::take(&mut self.last);
        for (guess, token) in guesses.iter().zip(generated.get(at..).unwrap_or_default()) {
            let (hits, all) = &mut self.hits[guess.features.index()];
            *all += 1.0;
            if guess.token != *token {
                break;
            }
            *hits += 1.0;
        }
    }

    /// Notes which other sequences are decoded together with this one from now on.
    pub fn beside(&mut self, company: Company) {
        self.company = company;
    }

    /// Adds a measurement: a decode of `tokens` took `time`.
    pub fn took(&mut self, tokens: usize, time: Duration) {
        if let DraftPolicy::Worth(costs) = &mut self.policy {
            costs.learn(tokens, time);
        }
    }

    /// The number of guesses with the largest expected saving. Of a decode beside others, a sequence saves its own tokens,
    /// and its part of what a decode costs whatever is in it.
    fn worth(&self, guesses: &[Guess], pending: usize, costs: &BatchCost) -> usize {
        let (mut chance, mut saved) = (1.0, 0.0);
        let (mut best, mut length) = (0.0, 0);
        let Company { rows, sequences } = self.company;
        let slope = ((costs.relative(rows + 1) - 1.0) / rows.max(1) as f64).min(1.0);
        let one = slope + (1.0 - slope) / (sequences + 1) as f64;
        let pending = rows + pending;
        for (index, guess) in guesses.iter().enumerate() {
            let (hits, all) = self.hits[guess.features.index()];
            chance *= hits / all;
            saved += chance;
            let gain = saved * one - (costs.relative(pending + index + 1) - costs.relative(pending));
            if gain > best {
                (best, length) = (gain, index + 1);
            }
        }
        length
    }

    /// Tokens that followed earlier occurrences of the current suffix; the longest match wins.
    fn guesses<E>(&self, mut takes: impl FnMut(i32) -> Result<bool, E>) -> Result<Vec<Guess>, E> {
        let own = self.text.len().saturating_sub(1);
        let sources = self.earlier.iter().map(|answer| (&**answer, answer.len(), Source::Answer));
        // The text itself comes first and the latest answer last, since the last of equal matches counts most.
        let sources = std::iter::once((&*self.text, own, Source::Text)).chain(sources);
        let mut occurrences = self.occurrences(sources, &mut takes)?;
        if occurrences.is_empty() {
            let words = self.words.iter().rev().map(|words| (&**words, words.len(), Source::Words));
            occurrences = self.occurrences(words, &mut takes)?;
        }
        let longest = occurrences.iter().map(|occurrence| occurrence.matched).max().unwrap_or(0);
        let mut guesses = Vec::new();
        for further in 0..MAX_DRAFT {
            let Some(best) =
                occurrences.iter().max_by_key(|occurrence| votes(&occurrences, occurrence.next[0]))
            else {
                break;
            };
            let (token, source) = (best.next[0], best.source);
            let agreement =
                match (occurrences.len(), occurrences.iter().all(|occurrence| occurrence.next[0] == token)) {
                    (1, _) => 1,
                    (_, true) => 2,
                    (_, false) => 0,
                };
            let matched = longest + further;
            guesses.push(Guess { token, features: MatchFeatures { matched, source, agreement } });
            occurrences.retain_mut(|occurrence| {
                let agrees = occurrence.next[0] == token;
                occurrence.next = &occurrence.next[1..];
                agrees && !occurrence.next.is_empty()
            });
        }
        Ok(guesses)
    }

    /// The longest earlier occurrences of the text's suffix in `sources` whose next token may follow here.
    fn occurrences<'t, E>(
        &self,
        sources: impl Iterator<Item = (&'t [i32], usize, Source)>,
        mut takes: impl FnMut(i32) -> Result<bool, E>,
    ) -> Result<Vec<Occurrence<'t>>, E> {
        let mut occurrences: Vec<Occurrence<'_>> = Vec::new();
        for (tokens, ends, source) in sources {
            for at in 1..=ends.min(tokens.len().saturating_sub(1)) {
                let matched = tokens[..at]
                    .iter()
                    .rev()
                    .zip(self.text.iter().rev())
                    .take(MAX_MATCH)
                    .take_while(|(a, b)| a == b)
                    .count();
                if matched >= MIN_MATCH {
                    occurrences.push(Occurrence { next: &tokens[at..], matched, source });
                }
            }
        }
        let mut asked: Vec<(i32, bool)> = Vec::new();
        for longest in (MIN_MATCH..=MAX_MATCH).rev() {
            let mut these: Vec<Occurrence<'_>> = Vec::new();
            for occurrence in occurrences.iter().filter(|occurrence| occurrence.matched == longest) {
                let token = occurrence.next[0];
                let taken = match asked.iter().find(|(asked, _)| *asked == token) {
                    Some((_, taken)) => *taken,
                    None => {
                        let taken = takes(token)?;
                        asked.push((token, taken));
                        taken
                    }
                };
                if taken {
                    these.push(*occurrence);
                }
            }
            if !these.is_empty() {
                return Ok(these);
            }
        }
        Ok(Vec::new())
    }
}

/// An earlier occurrence of the text's suffix.
#[derive(Clone, Copy)]
struct Occurrence<'t> {
    /// The tokens after it, at least one.
    next: &'t [i32],
    matched: usize,
    source: Source,
}

fn votes(occurrences: &[Occurrence<'_>], token: i32) -> usize {
    occurrences.iter().filter(|occurrence| occurrence.next[0] == token).count()
}

/// Weight of the assumed chance, as a number of guesses.
const PRIOR: f64 = 8.0;

/// Assumed chance that a guess with these features is right.
fn expected_chance(features: MatchFeatures) -> f64 {
    let by_match = [0.45, 0.6, 0.7, 0.8, 0.88][features.matched.clamp(MIN_MATCH, MAX_MATCH) - MIN_MATCH];
    let doubt = [0.7, 0.95, 1.05][features.agreement];
    let chance = match features.source {
        Source::Text => by_match * doubt,
        Source::Answer => by_match * doubt + 0.08,
        // If several keys or values match, the first is an arbitrary choice. A single match is not certain either.
        Source::Words if features.agreement == 0 => 0.2,
        Source::Words => by_match * 0.7,
    };
    f64::min(chance, 0.97)
}
