//! Who answers under which conditions: a lane makes one row of each case in each mode.

use super::Contender;
use crate::{
    Result,
    benchmark::row::{Arm, Mode, Role},
    runtime::{self, Options},
};
use std::{num::NonZeroUsize, thread};

/// The number of the rules by which tokens are made here, part of every row's key: rows of other rules are never mixed.
///
/// Raise it with any change after which the same file, prompt and settings may give other tokens or other probabilities:
/// where prompts are cut into pieces, when cells of the cache are reused, which tokens the grammar forces or allows and
/// how they are decoded, how the likeliest of equal tokens is chosen, along what probabilities are walked. What the key
/// tells apart anyway needs no new number: the engine's build, the prompt's text, settings.
pub const RULES: u32 = 1;

/// A model under certain conditions.
#[derive(Clone, Copy)]
pub struct Lane<'s> {
    /// The model, loaded with its weights repacked or as the file has them.
    pub contender: &'s Contender,
    /// Threads, KV cache and batches; the context's length follows from the data.
    pub session: Options,
    /// What it is for. One lane at most is the reference.
    pub role: Role,
}

impl Lane<'_> {
    /// The threads that compute.
    ///
    /// # Errors
    /// More than there are CPUs.
    pub fn threads(&self) -> Result<usize> {
        Ok(runtime::cpu::threads(self.session.threads)?)
    }

    /// The arm of its rows in a mode, with answers of at most `max_tokens` tokens.
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

/// A condition that should not matter to an answer, and does where two tokens are nearly as likely: the order in which
/// numbers are added up depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// One thread less, or two for one.
    Threads,
    /// At most 64 tokens computed at once.
    NUbatch,
    /// Weights as the file has them where they were repacked, and the other way round.
    Repack,
}

/// The batches of [`Condition::NUbatch`].
const SMALL_UBATCH: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

impl Condition {
    /// Every condition.
    pub const ALL: [Condition; 3] = [Condition::Threads, Condition::NUbatch, Condition::Repack];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Threads => "threads",
            Condition::NUbatch => "n_ubatch",
            Condition::Repack => "repack",
        }
    }

    /// `session` and `repack` with this condition changed and nothing else.
    ///
    /// # Errors
    /// Why that is not possible here, in words.
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
