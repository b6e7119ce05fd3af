//! The cache of a call, and what is said when it cannot be used.

use super::super::{cache::CACHE_DIR, numbers::positive};
use edgecall::{
    cache::{Cache, FolderState},
    display::mib,
    machine::folders::cache_folder,
};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
};

/// Limit of the cached files below which hardly any state can be saved.
const TOO_LITTLE_BYTES: u64 = 16 << 20;

/// Options of the cache of prompt states and answers.
#[derive(Default, clap::Args)]
pub struct CacheArgs {
    /// Folder for cached prompt states and answers [default: edgecall in the user's cache folder]
    #[arg(long, value_name = "DIR", env = CACHE_DIR, hide_env_values = true, help_heading = "Cache")]
    cache_dir: Option<PathBuf>,

    /// Read rate of the disk with the cache, in MB/s; a state is kept if computing it takes three times as long as reading
    /// it [default: 40, as a slow memory card]
    #[arg(long, value_name = "RATE", value_parser = positive, help_heading = "Cache")]
    cache_read_rate: Option<NonZeroUsize>,

    /// Neither read nor write the cache
    #[arg(long, help_heading = "Cache")]
    no_cache: bool,

    /// Neither read nor write the cached answers, which drafts are guessed from
    #[arg(long, help_heading = "Cache")]
    no_history: bool,
}

impl CacheArgs {
    /// The cache in the folder that was named or in the user's; `None` if it is off, or with the reason why it cannot be
    /// used. Of a folder that was named and cannot be used a warning is printed at once.
    pub fn open(&self) -> (Option<Cache>, Option<String>) {
        if self.no_cache {
            return (None, None);
        }
        let Some(folder) = self.cache_dir.clone().or_else(cache_folder) else {
            return (
                None,
                Some("HOME is not set, so there is no cache folder; name one with --cache-dir".to_owned()),
            );
        };
        let mut cache = Cache::new(&folder);
        if let Some(rate) = self.cache_read_rate {
            cache = cache.with_read_rate(rate.get() as f64 * 1e6);
        }
        let mut problem = problem(cache.folder_state());
        if let Some(why) = problem.take_if(|_| self.cache_dir.is_some()) {
            let folder = folder.display();
            // Nobody reads a closed stderr.
            let _ = writeln!(
                io::stderr(),
                "warning: the cache folder {folder} cannot be used, so each call reads its whole prompt again: {why}"
            );
        }
        (Some(if self.no_history { cache.without_history() } else { cache }), problem)
    }
}

/// The reason why states cannot be read or saved in this folder.
fn problem(state: FolderState) -> Option<String> {
    let is_full = state.limit_bytes.is_some_and(|limit| limit < TOO_LITTLE_BYTES);
    let free = mib(state.free_bytes.unwrap_or_default());
    let full = || format!("the disk has {free} MiB free, of which the cache takes at most a tenth");
    state.problem.or_else(|| is_full.then(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_reason_and_a_missing_folder_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = Cache::new(folder.path()).folder_state();
        let roomy = FolderState { limit_bytes: Some(1 << 30), ..state };
        assert_eq!(problem(roomy.clone()), None);
        let full = FolderState { limit_bytes: Some(1 << 20), free_bytes: Some(10 << 20), ..roomy };
        assert!(problem(full).unwrap().contains("10 MiB free"));
    }

    #[test]
    fn an_unusable_folder_that_was_named_is_warned_of_and_not_repeated() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let named = CacheArgs { cache_dir: Some(file.path().to_owned()), ..CacheArgs::default() };
        let (cache, problem) = named.open();
        assert!(cache.is_some() && problem.is_none());
        assert!(CacheArgs { no_cache: true, ..CacheArgs::default() }.open().0.is_none());
    }
}
