//! Forced completion of a text whose token budget runs low.

use super::{mask::Mask, validator::Validator};
use std::collections::{BTreeMap, HashMap};
use toktrie::{SimpleVob, TokTrie, TokenId};

/// The tokens of `mask`, grouped by the [distance](Validator::distance) of the text from its end after them,
/// nearest first.
fn by_distance(
    trie: &TokTrie,
    validator: &mut dyn Validator,
    mask: &SimpleVob,
) -> BTreeMap<(usize, u16), Vec<TokenId>> {
    let mut classes: BTreeMap<_, Vec<TokenId>> = BTreeMap::new();
    mask.iter_set_entries(|token| {
        let token = token as TokenId;
        let distance = if trie.eos_tokens().contains(&token) {
            Some((0, 0))
        } else {
            validator.distance(trie.token(token))
        };
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

/// Values from here on in the second number of [`Validator::distance`] stand for keys that no schema declares and for
/// further array items.
pub const UNASKED: u16 = 300;
/// Tokens after which a string or a number without an end is restarted.
const LONG_SCALAR: usize = 100;
/// Restarts of a value before the text around it is restarted, too.
const MAX_AGAIN: usize = 3;

/// Tokens that are not chosen from the nearest group, after the nearest has led nowhere.
const ASTRAY: usize = 4;

/// The next step of completing a text.
#[derive(Debug)]
pub enum Way {
    /// Choose one of these tokens, the nearest to the end. Empty only if the mask is.
    Choose(Mask),
    /// Roll back this many tokens and continue there, with every token allowed again.
    Back(usize),
}

/// Completes a text when its budget runs low: it chooses the tokens nearest to the end. If a value does not
/// end, or if an object is still refused after many more keys, it rolls back to the start of that value.
#[derive(Debug, Default)]
pub struct Closing {
    /// Start of the innermost value, and the tokens since then.
    anchor: Option<usize>,
    steps: usize,
    /// Such keys and items since the last rollback.
    unasked: usize,
    /// Number of rollbacks by position, and in total.
    again: HashMap<usize, usize>,
    back: usize,
    /// Remaining tokens not to be chosen from the nearest group, after a rollback.
    astray: usize,
}

impl Closing {
    /// The next step after `written` tokens, if the tokens of `mask` may follow.
    pub(super) fn step(
        &mut self,
        trie: &TokTrie,
        validator: &mut dyn Validator,
        mask: &SimpleVob,
        written: usize,
    ) -> Way {
        let start = validator.value_start().min(written);
        if self.anchor.replace(start) == Some(start) {
            self.steps += 1;
        } else {
            self.steps = 0;
        }
        let classes = by_distance(trie, validator, mask);
        let more = classes.keys().next().is_some_and(|(_, place)| *place >= UNASKED);
        self.unasked += usize::from(more);
        let start = if more { validator.container_start().min(written) } else { start };
        let again = self.again.get(&start).copied().unwrap_or(0);
        // A value may need such members (`minProperties`, `minItems`), so the limit grows.
        if self.steps <= LONG_SCALAR && !(more && self.unasked > 4 << (again / 2).min(8)) {
            // The nearest tokens have led nowhere, so the first ones come from other groups.
            let way = if self.astray > 0 { self.back + self.astray } else { 0 };
            self.astray = self.astray.saturating_sub(1);
            return Way::Choose(Mask(set(trie, classes.values().nth(way % classes.len().max(1)))));
        }
        let back_to = if again > MAX_AGAIN { start / 2 } else { start };
        self.again.retain(|place, _| *place <= back_to);
        *self.again.entry(back_to).or_default() += 1;
        (self.anchor, self.steps, self.unasked) = (None, 0, 0);
        self.back += 1;
        // First the nearest tokens again, then others, by turns.
        self.astray = if self.back.is_multiple_of(2) { ASTRAY } else { 0 };
        Way::Back(written - back_to)
    }
}
