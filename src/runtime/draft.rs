//! Guesses at what a model writes next, taken from what stands in the conversation, in earlier answers and in the
//! schema of the answer.
//!
//! Names, times and whole messages of an answer are mostly copied. Where the last tokens of the text stand somewhere
//! before, what followed them there is a guess at what follows here. Decoded together with the next token a guess costs
//! part of a decode, and where it comes true it saves a whole one: how far to guess is a matter of both.

use super::kernels;
use std::{sync::Arc, time::Duration};

/// The longest end of the text that is looked for.
const MAX_MATCH: usize = 6;
/// The shortest.
const MIN_MATCH: usize = 2;
/// The most tokens of one guess.
pub const MAX_DRAFT: usize = 8;

/// How far to guess.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// Up to so many tokens, wherever enough of the text stands elsewhere.
    Tokens {
        /// How many of the last tokens have to stand there, 2 to 6.
        matched: usize,
        /// The most tokens of a guess.
        most: usize,
    },
    /// As far as it saves more than it costs.
    Worth(Costs),
}

/// What decodes of 1, 2, 3 ... tokens cost, in decodes of one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    // Seconds, and how many decodes they are the mean of, by the number of tokens less one.
    seen: Vec<(f64, u32)>,
    slope: f64,
    learns: bool,
}

impl Costs {
    /// Decodes of more tokens than this are not told apart.
    pub const MOST: usize = 16;
    // A mean of fewer decodes is no measurement, and one of very many would never change.
    const FEW: u32 = 6;
    const MANY: u32 = 256;

    /// What is to be expected where nothing was measured: each further token costs `slope` decodes.
    pub fn expected(slope: f64) -> Costs {
        Costs { seen: vec![(0.0, 0); Costs::MOST], slope, learns: true }
    }

    /// Costs that stay as they are, whatever is measured: each further token costs `slope` decodes.
    pub fn fixed(slope: f64) -> Costs {
        Costs { learns: false, ..Costs::expected(slope) }
    }

    /// What is to be expected of this CPU and its kernels.
    ///
    /// A machine whose arithmetic is fast for its memory reads the weights once for several tokens. Measured on
    /// x86-64 with AVX2; the others are expectations, and the first calls correct them.
    pub fn of_this_cpu() -> Costs {
        let kernels = kernels::active();
        let has = |feature| kernels.as_ref().is_ok_and(|kernels| kernels.features.contains(&feature));
        let slope = if has("i8mm") || has("AVX-512 VNNI") {
            0.15
        } else if has("dotprod") || has("AVX-VNNI") {
            0.22
        } else {
            0.67
        };
        Costs::expected(slope)
    }

    /// What a decode of `tokens` costs.
    pub fn of(&self, tokens: usize) -> f64 {
        let one = self.seconds(1);
        // More tokens never cost less; where that was measured it is noise.
        (1..=tokens.clamp(1, Costs::MOST)).fold(1.0, |least, n| {
            let measured = one.zip(self.seconds(n)).map(|(one, all)| all / one);
            let before = if n == 1 { 1.0 } else { least + self.slope };
            measured.unwrap_or(before).max(least)
        }) + self.slope * tokens.saturating_sub(Costs::MOST) as f64
    }

    /// Takes into account that a decode of `tokens` took `time`.
    pub fn learn(&mut self, tokens: usize, time: Duration) {
        let Some((mean, count)) = tokens.checked_sub(1).and_then(|at| self.seen.get_mut(at)) else { return };
        let seconds = time.as_secs_f64();
        if !self.learns {
            return;
        }
        // A decode that waited for the CPU says nothing of its cost.
        if *count >= Costs::FEW && seconds > 3.0 * *mean {
            return;
        }
        *count = (*count + 1).min(Costs::MANY);
        *mean += (seconds - *mean) / f64::from(*count);
    }

    /// What was measured, as one line of numbers: slope, then seconds and decodes for each number of tokens.
    pub fn to_line(&self) -> String {
        let seen = self.seen.iter().map(|(mean, count)| format!(" {mean:e} {count}"));
        std::iter::once(self.slope.to_string()).chain(seen).collect()
    }

    /// Reads a line of [`Costs::to_line`]; `None` for any other.
    pub fn from_line(line: &str) -> Option<Costs> {
        let mut words = line.split_whitespace();
        let slope: f64 = words.next()?.parse().ok()?;
        let mut costs = Costs::expected(slope);
        for (mean, count) in &mut costs.seen {
            *mean = words.next()?.parse().ok()?;
            *count = words.next()?.parse().ok()?;
        }
        let sound = costs.seen.iter().all(|(mean, _)| mean.is_finite() && *mean >= 0.0);
        (sound && slope.is_finite() && slope >= 0.0 && words.next().is_none()).then_some(costs)
    }

    fn seconds(&self, tokens: usize) -> Option<f64> {
        self.seen
            .get(tokens - 1)
            .filter(|(mean, count)| *count >= Costs::FEW && *mean > 0.0)
            .map(|(mean, _)| *mean)
    }
}

/// What guesses go by: how often they came true that had as much to go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Grounds {
    /// How many of the last tokens stand there, too.
    matched: usize,
    /// Where they stand.
    source: Source,
    /// Whether everything that is known goes on the same way: 0 for no, 1 for a single place, 2 for several.
    agreement: usize,
}

impl Grounds {
    fn index(self) -> usize {
        let matched = self.matched.clamp(MIN_MATCH, MAX_MATCH) - MIN_MATCH;
        (matched * SOURCES.len() + self.source as usize) * 3 + self.agreement
    }
}

/// Where guesses are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The conversation, and what was generated.
    #[default]
    Text,
    /// An earlier answer.
    Answer,
    /// The words of the answer's schema.
    Words,
}

const SOURCES: [Source; 3] = [Source::Text, Source::Answer, Source::Words];

const GROUNDS: usize = (MAX_MATCH - MIN_MATCH + 1) * SOURCES.len() * 3;

/// A token that was guessed, and what it went by.
#[derive(Clone, Copy, Debug)]
struct Guess {
    token: i32,
    grounds: Grounds,
}

/// Guesses at the tokens of one answer.
pub struct Drafter {
    reach: Reach,
    // The conversation and what was generated.
    text: Vec<i32>,
    prompt: usize,
    earlier: Arc<Vec<Vec<i32>>>,
    // What the schema of the answer names, as it stands in an answer; the first one goes before the others.
    words: Arc<Vec<Vec<i32>>>,
    // How many guesses came true, and how many there were, by grounds.
    kept: [(f64, f64); GROUNDS],
    // The last guess, and where it was made.
    last: (usize, Vec<Guess>),
}

impl Drafter {
    /// Guesses for an answer to `prompt`; `earlier` are answers that were given with the same tools, the oldest first.
    pub fn new(prompt: &[i32], earlier: impl Into<Arc<Vec<Vec<i32>>>>, reach: Reach) -> Drafter {
        let kept = std::array::from_fn(|index| {
            let agreement = index % 3;
            let source = SOURCES[index / 3 % SOURCES.len()];
            let matched = index / 3 / SOURCES.len() + MIN_MATCH;
            let chance = expected_chance(Grounds { matched, source, agreement });
            (chance * PRIOR, PRIOR)
        });
        Drafter {
            reach,
            text: prompt.to_vec(),
            prompt: prompt.len(),
            earlier: earlier.into(),
            words: Arc::default(),
            kept,
            last: (0, Vec::new()),
        }
    }

    /// The same with what the schema of the answer names, each in tokens as it stands in an answer with what comes before
    /// it there. Where several would do, the first is taken. They are looked at only where nothing else is known.
    pub fn with_words(self, words: impl Into<Arc<Vec<Vec<i32>>>>) -> Drafter {
        Drafter { words: words.into(), ..self }
    }

    /// The next answer of the same kind: what was learnt stays.
    pub fn begin(&mut self, prompt: &[i32], earlier: impl Into<Arc<Vec<Vec<i32>>>>) {
        self.text = prompt.to_vec();
        self.prompt = prompt.len();
        self.earlier = earlier.into();
        self.last.1.clear();
    }

    /// What decodes cost, as far as it was learnt.
    pub fn costs(&self) -> Option<&Costs> {
        match &self.reach {
            Reach::Worth(costs) => Some(costs),
            Reach::Tokens { .. } => None,
        }
    }

    /// A guess at what follows `generated`; `pending` tokens are decoded with it anyway. `takes` says of a token whether
    /// it may come next: where it may not, something else is guessed.
    ///
    /// # Errors
    /// Those of `takes`.
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
        let length = match &self.reach {
            Reach::Tokens { matched, most } => match guesses.first() {
                Some(first) if first.grounds.matched >= *matched => guesses.len().min(*most),
                _ => 0,
            },
            Reach::Worth(costs) => self.worth(&guesses, pending, costs),
        };
        guesses.truncate(length);
        let tokens = guesses.iter().map(|guess| guess.token).collect();
        self.last = (generated.len(), guesses);
        Ok(tokens)
    }

    /// Learns from how the last guess turned out: the text is `generated` now.
    pub fn settle(&mut self, generated: &[i32]) {
        let (at, guesses) = std::mem::take(&mut self.last);
        for (guess, token) in guesses.iter().zip(generated.get(at..).unwrap_or_default()) {
            let (kept, all) = &mut self.kept[guess.grounds.index()];
            *all += 1.0;
            if guess.token != *token {
                break;
            }
            *kept += 1.0;
        }
    }

    /// Learns what a decode of `tokens` took.
    pub fn took(&mut self, tokens: usize, time: Duration) {
        if let Reach::Worth(costs) = &mut self.reach {
            costs.learn(tokens, time);
        }
    }

    /// The number of guesses that save most.
    fn worth(&self, guesses: &[Guess], pending: usize, costs: &Costs) -> usize {
        let (mut chance, mut saved) = (1.0, 0.0);
        let (mut best, mut length) = (0.0, 0);
        for (index, guess) in guesses.iter().enumerate() {
            let (kept, all) = self.kept[guess.grounds.index()];
            chance *= kept / all;
            saved += chance;
            let gain = saved - (costs.of(pending + index + 1) - costs.of(pending));
            if gain > best {
                (best, length) = (gain, index + 1);
            }
        }
        length
    }

    /// What followed the end of the text where it stands elsewhere, most of all where most of it stands.
    fn guesses<E>(&self, mut takes: impl FnMut(i32) -> Result<bool, E>) -> Result<Vec<Guess>, E> {
        let own = self.text.len().saturating_sub(1);
        let sources = self.earlier.iter().map(|answer| (&**answer, answer.len(), Source::Answer));
        // The latest comes last: of equal places it says most.
        let sources = std::iter::once((&*self.text, own, Source::Text)).chain(sources);
        let mut places = self.places(sources, &mut takes)?;
        if places.is_empty() {
            let words = self.words.iter().rev().map(|words| (&**words, words.len(), Source::Words));
            places = self.places(words, &mut takes)?;
        }
        let longest = places.iter().map(|place| place.matched).max().unwrap_or(0);
        let mut guesses = Vec::new();
        for further in 0..MAX_DRAFT {
            let Some(best) = places.iter().max_by_key(|place| votes(&places, place.next[0])) else { break };
            let (token, source) = (best.next[0], best.source);
            let agreement = match (places.len(), places.iter().all(|place| place.next[0] == token)) {
                (1, _) => 1,
                (_, true) => 2,
                (_, false) => 0,
            };
            let matched = longest + further;
            guesses.push(Guess { token, grounds: Grounds { matched, source, agreement } });
            places.retain_mut(|place| {
                let agrees = place.next[0] == token;
                place.next = &place.next[1..];
                agrees && !place.next.is_empty()
            });
        }
        Ok(guesses)
    }

    /// The places in `sources` where most of the text's end stands, of those that a token follows which may follow here.
    fn places<'t, E>(
        &self,
        sources: impl Iterator<Item = (&'t [i32], usize, Source)>,
        mut takes: impl FnMut(i32) -> Result<bool, E>,
    ) -> Result<Vec<Place<'t>>, E> {
        let mut places: Vec<Place<'_>> = Vec::new();
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
                    places.push(Place { next: &tokens[at..], matched, source });
                }
            }
        }
        let mut asked: Vec<(i32, bool)> = Vec::new();
        for longest in (MIN_MATCH..=MAX_MATCH).rev() {
            let mut these: Vec<Place<'_>> = Vec::new();
            for place in places.iter().filter(|place| place.matched == longest) {
                let token = place.next[0];
                let taken = match asked.iter().find(|(asked, _)| *asked == token) {
                    Some((_, taken)) => *taken,
                    None => {
                        let taken = takes(token)?;
                        asked.push((token, taken));
                        taken
                    }
                };
                if taken {
                    these.push(*place);
                }
            }
            if !these.is_empty() {
                return Ok(these);
            }
        }
        Ok(Vec::new())
    }
}

/// A place where the end of the text stands.
#[derive(Clone, Copy)]
struct Place<'t> {
    /// What follows there, at least one token.
    next: &'t [i32],
    matched: usize,
    source: Source,
}

fn votes(places: &[Place<'_>], token: i32) -> usize {
    places.iter().filter(|place| place.next[0] == token).count()
}

/// How many guesses the expectation weighs as much as.
const PRIOR: f64 = 8.0;

/// How often a guess comes true, to begin with.
fn expected_chance(grounds: Grounds) -> f64 {
    let by_match = [0.45, 0.6, 0.7, 0.8, 0.88][grounds.matched.clamp(MIN_MATCH, MAX_MATCH) - MIN_MATCH];
    let doubt = [0.7, 0.95, 1.05][grounds.agreement];
    let chance = match grounds.source {
        Source::Text => by_match * doubt,
        Source::Answer => by_match * doubt + 0.08,
        // The first of several keys or values is a guess whatever stands before it, and nothing says that the only one
        // is meant.
        Source::Words if grounds.agreement == 0 => 0.2,
        Source::Words => by_match * 0.7,
    };
    f64::min(chance, 0.97)
}
