//! Changes of a runtime condition, to measure the noise floor.

use crate::{
    bench::row::Condition,
    runtime::{self, Options},
};
use std::{num::NonZeroUsize, thread};

/// `n_ubatch` for [`Condition::NUbatch`].
const SMALL_UBATCH: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

impl Condition {
    /// Returns `session` and `repack` with only this condition changed.
    ///
    /// # Errors
    /// The reason for which that is not possible here, in words.
    pub fn changed(self, session: &Options, repack: bool) -> Result<(Options, bool), String> {
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
