//! A model with its runtime options; it makes one row for each case in each mode.

use super::Contender;
use crate::{
    bench::{
        Result,
        row::{Arm, Mode, Role},
    },
    runtime::{self, Options},
};
use std::{num::NonZeroUsize, thread};

/// Version of the decoding rules, part of every row's key: rows of different rules are never mixed.
///
/// Raise it with any change after which the same file, prompt and settings may give other tokens or other
/// probabilities: the split of prompts into pieces, the reuse of cache cells, the tokens that the grammar forces or
/// allows and how they are decoded, the choice between equally likely tokens, the text along which probabilities are
/// measured. Changes that the key already covers need no new number: the engine's build, the prompt's text, settings.
pub const RULES: u32 = 1;

/// A model with its runtime options and role.
#[derive(Clone, Copy)]
pub struct Lane<'s> {
    /// The model, loaded with or without repacked weights.
    pub contender: &'s Contender,
    /// Threads, KV cache and batches; the context size follows from the data.
    pub session: Options,
    /// Role in the comparison; at most one is the reference.
    pub role: Role,
}

impl Lane<'_> {
    /// Number of threads.
    ///
    /// # Errors
    /// More threads than CPUs.
    pub fn threads(&self) -> Result<usize> {
        Ok(runtime::cpu::threads(self.session.threads)?)
    }

    /// Variant of its rows in a mode, with answers of at most `max_tokens` tokens.
    pub fn arm(&self, mode: Mode, max_tokens: usize, threads: usize) -> Arm {
        Arm {
            file_sha256: self.contender.sha256.clone(),
            mode,
            max_tokens,
            kv_type: self.session.kv_type.name.to_owned(),
            repack: self.contender.loaded.repack,
            threads,
            n_ubatch: self.session.n_ubatch(),
            flash_attention: self.session.uses_flash_attention(),
            engine: format!("edgecall {}, {}", env!("CARGO_PKG_VERSION"), runtime::ENGINE),
            rules: RULES,
            endpoint: None,
        }
    }
}

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

/// `n_ubatch` for [`Condition::NUbatch`].
const SMALL_UBATCH: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

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

    /// Returns `session` and `repack` with only this condition changed.
    ///
    /// # Errors
    /// The reason for which that is not possible here, in words.
    pub fn changed(self, session: &Options, repack: bool) -> std::result::Result<(Options, bool), String> {
        match self {
            Condition::Threads => {
                let threads = runtime::cpu::threads(session.threads).map_err(|error| error.to_string())?;
                let cpus = thread::available_parallelism().map_or(1, usize::from);
                let other = if threads > 1 { threads - 1 } else { 2 };
                if other > cpus {
                    return Err("there is only one CPU".into());
                }
                Ok((Options { threads: NonZeroUsize::new(other), ..*session }, repack))
            }
            Condition::NUbatch if session.n_ubatch() == SMALL_UBATCH.get() => {
                Err("the reference has that n_ubatch itself".into())
            }
            Condition::NUbatch => Ok((Options { n_ubatch: Some(SMALL_UBATCH), ..*session }, repack)),
            Condition::Repack => Ok((*session, !repack)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_changes_itself_and_nothing_else() {
        let one = Options { threads: NonZeroUsize::new(1), ..Options::default() };
        let (small, repack) = Condition::NUbatch.changed(&one, true).unwrap();
        assert_eq!((small.n_ubatch(), small.threads, repack), (64, one.threads, true));
        assert!(Condition::NUbatch.changed(&small, true).is_err());
        let (same, repack) = Condition::Repack.changed(&one, true).unwrap();
        assert_eq!((same.n_ubatch(), same.threads, repack), (one.n_ubatch(), one.threads, false));
        let two = Options { threads: NonZeroUsize::new(2), ..Options::default() };
        assert_eq!(Condition::Threads.changed(&two, true).unwrap().0.threads, NonZeroUsize::new(1));
        match Condition::Threads.changed(&one, true) {
            Ok((other, _)) => assert_eq!(other.threads, NonZeroUsize::new(2)),
            Err(reason) => assert_eq!(reason, "there is only one CPU"),
        }
    }
}
