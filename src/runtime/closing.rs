//! How a text is brought to its end when its budget runs low.

use super::{constraint::Mask, watch::Watch};
use std::collections::{BTreeMap, HashMap};
use toktrie::{SimpleVob, TokTrie, TokenId};

/// The tokens of `mask` by how near they bring the text to its end, nearest first.
fn by_distance(
    trie: &TokTrie,
    watch: &mut dyn Watch,
    mask: &SimpleVob,
) -> BTreeMap<(usize, u16), Vec<TokenId>> {
    let mut classes: BTreeMap<_, Vec<TokenId>> = BTreeMap::new();
    mask.iter_set_entries(|token| {
        let token = token as TokenId;
        let distance =
            if trie.eos_tokens().contains(&token) { Some((0, 0)) } else { watch.distance(trie.token(token)) };
        if let Some(distance) = distance {
            classes.entry(distance).or_default().push(token);
        }
    });
    classes
}

fn set(trie: &TokTrie, tokens: Option<&Vec<TokenId>>) -> SimpleVob {
    let mut set = trie.alloc_token_set();
    tokens.into_iter().flatten().for_each(|token| set.allow_token(*token));
    set
}

/// From this place on, [`Watch::distance`] counts the keys and items that nobody asks for.
pub const UNASKED: u16 = 300;
/// Tokens after which a string or a number that has not ended is begun anew.
const LONG_SCALAR: usize = 100;
/// How often a value is begun anew before the text around it is.
const MAX_AGAIN: usize = 3;

/// Steps that go another way once the nearest one has led nowhere.
const ASTRAY: usize = 4;

/// Where to go on while a text is brought to its end.
#[derive(Debug)]
pub enum Way {
    /// One of these tokens: those nearest to the end. Empty only if the mask is.
    Choose(Mask),
    /// This many tokens back, to begin anew there, whatever was tried.
    Back(usize),
}

/// Brings a text to its end when its budget runs low: the nearest tokens, and back to the start of
/// a value that does not end, or of an object that is refused however many keys it is given.
#[derive(Debug, Default)]
pub struct Closing {
    /// Where the innermost value began, and the tokens since.
    anchor: Option<usize>,
    steps: usize,
    /// Keys and items that nobody asks for, since the last time back.
    unasked: usize,
    /// How often the text was taken back to each place, and in all.
    again: HashMap<usize, usize>,
    back: usize,
    /// Steps that do not take the nearest way, after the text was taken back.
    astray: usize,
}

impl Closing {
    /// What to do after `written` tokens where the tokens of `mask` may follow.
    pub(super) fn step(
        &mut self,
        trie: &TokTrie,
        watch: &mut dyn Watch,
        mask: &SimpleVob,
        written: usize,
    ) -> Way {
        let start = watch.value_start().min(written);
        if self.anchor.replace(start) == Some(start) {
            self.steps += 1;
        } else {
            self.steps = 0;
        }
        let classes = by_distance(trie, watch, mask);
        let more = classes.keys().next().is_some_and(|(_, place)| *place >= UNASKED);
        self.unasked += usize::from(more);
        let start = if more { watch.container_start().min(written) } else { start };
        let again = self.again.get(&start).copied().unwrap_or(0);
        // A value may want them (`minProperties`, `minItems`), so patience grows.
        if self.steps <= LONG_SCALAR && !(more && self.unasked > 4 << (again / 2).min(8)) {
            // What was nearest has led nowhere, so the first steps go another way.
            let way = if self.astray > 0 { self.back + self.astray } else { 0 };
            self.astray = self.astray.saturating_sub(1);
            return Way::Choose(Mask::of(set(trie, classes.values().nth(way % classes.len().max(1)))));
        }
        let back_to = if again > MAX_AGAIN { start / 2 } else { start };
        self.again.retain(|place, _| *place <= back_to);
        *self.again.entry(back_to).or_default() += 1;
        (self.anchor, self.steps, self.unasked) = (None, 0, 0);
        self.back += 1;
        // The nearest way again first, then one that is not the nearest.
        self.astray = if self.back.is_multiple_of(2) { ASTRAY } else { 0 };
        Way::Back(written - back_to)
    }
}
