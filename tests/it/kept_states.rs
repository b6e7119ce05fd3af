//! A cache of prompt states in memory, and the logits that tell whether what it restored has all bits.

use edgecall::runtime::{Prefix, PrefixCache, Session};
use std::{collections::BTreeMap, time::Duration};

/// Bits of the logits after the last token.
pub fn bits(session: &Session<'_>) -> Vec<u32> {
    session.logits().iter().map(|logit| logit.to_bits()).collect()
}

/// Bits of the logits after the prompt, and after each of some further tokens.
pub fn logits(prefix: &mut Prefix<'_>, further: &[i32]) -> Vec<Vec<u32>> {
    let mut all = vec![bits(prefix.session())];
    for token in further {
        prefix.session().append(&[*token]).unwrap();
        all.push(bits(prefix.session()));
    }
    all
}

/// A cache of states in memory.
#[derive(Default)]
pub struct Kept {
    pub states: BTreeMap<Vec<i32>, (usize, Vec<u8>)>,
    /// Longest beginning, in tokens, that is found.
    pub most: Option<usize>,
}

impl PrefixCache for Kept {
    fn take(&mut self, tokens: &[i32], start: usize, restore: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let found = self.states.get(tokens).filter(|_| self.most.is_none_or(|most| tokens.len() <= most));
        found.is_some_and(|(at, state)| *at == start && restore(state))
    }

    fn wants(&mut self, _: usize, _: Duration) -> bool {
        true
    }

    fn put(&mut self, tokens: &[i32], start: usize, state: Vec<u8>) {
        self.states.insert(tokens.to_vec(), (start, state));
    }
}
