//! Runtime conditions of the noise floor.

/// A runtime condition that changes the order of floating-point additions, and so the answer where two tokens are
/// nearly tied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// One thread less, or two instead of one.
    Threads,
    /// A physical batch (`n_ubatch`) of 64 tokens.
    NUbatch,
    /// Weights not repacked if they were, and the other way round.
    Repack,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Condition; 3] = [Condition::Threads, Condition::NUbatch, Condition::Repack];

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Threads => "threads",
            Condition::NUbatch => "n_ubatch",
            Condition::Repack => "repack",
        }
    }
}
