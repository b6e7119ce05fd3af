//! Counts of what a generation took.

use std::ops::AddAssign;

/// Counts of decodes and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Number of decodes.
    pub decodes: usize,
    /// Tokens in all decodes, drafted ones included.
    pub rows: usize,
    /// Forced tokens: the grammar left no choice.
    pub forced: usize,
    /// Drafted tokens that were decoded.
    pub drafted: usize,
    /// Drafted tokens that were right.
    pub accepted: usize,
    /// Near ties: choices that were made again.
    pub ties: usize,
    /// Tokens that were decoded again for them, each by itself.
    pub again: usize,
}

impl AddAssign for Steps {
    fn add_assign(&mut self, other: Steps) {
        self.decodes += other.decodes;
        self.rows += other.rows;
        self.forced += other.forced;
        self.drafted += other.drafted;
        self.accepted += other.accepted;
        self.ties += other.ties;
        self.again += other.again;
    }
}
