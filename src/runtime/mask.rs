//! A set of tokens: those that may come next.

use toktrie::{SimpleVob, TokenId};

/// A set of tokens, as one bit each.
#[derive(Debug)]
pub struct Mask(pub(super) SimpleVob);

impl Mask {
    /// The tokens of the set.
    pub fn tokens(&self) -> Vec<i32> {
        self.0.to_list().into_iter().map(|token| token as i32).collect()
    }

    /// Removes `token` from the set.
    pub fn disallow(&mut self, token: i32) {
        if let Some(token) = TokenId::try_from(token).ok().filter(|&token| (token as usize) < self.0.len()) {
            self.0.disallow_token(token);
        }
    }

    /// True if `token` is in the set.
    pub fn allows(&self, token: usize) -> bool {
        token < self.0.len() && self.0.is_allowed(token as TokenId)
    }
}
