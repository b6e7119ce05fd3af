//! The cache of a call, and what is said when it cannot be used.

use edgecall::{
    cache::{Cache, FolderState},
    display::mib,
    machine::folders::cache_folder,
};
use std::{
    io::{self, Write},
    num::NonZero,
    path::PathBuf,
};

/// Limit of the cached files below which hardly any state can be saved.
const TOO_LITTLE_BYTES: u64 = 16 << 20;

/// The cache in the folder `named` or in the user's, on a disk that reads `rate` MB/s, and the reason why it cannot be used.
/// Of a folder that was named and cannot be used a warning is printed at once.
pub fn cache(
    named: Option<PathBuf>,
    is_off: bool,
    without_history: bool,
    rate: Option<NonZero<usize>>,
) -> (Option<Cache>, Option<String>) {
    if is_off {
        return (None, None);
    }
    let is_named = named.is_some();
    let Some(folder) = named.or_else(cache_folder) else {
        return (
            None,
            Some("HOME is not set, so there is no cache folder; name one with --cache-dir".to_owned()),
        );
    };
    let mut cache = Cache::new(&folder);
    if let Some(rate) = rate {
        cache = cache.with_read_rate(rate.get() as f64 * 1e6);
    }
    let mut problem = problem(cache.folder_state());
    if let Some(why) = problem.take_if(|_| is_named) {
        let folder = folder.display();
        // Nobody reads a closed stderr.
        let _ = writeln!(
            io::stderr(),
            "warning: the cache folder {folder} cannot be used, so each call reads its whole prompt again: {why}"
        );
    }
    (Some(if without_history { cache.without_history() } else { cache }), problem)
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
        let (cache, problem) = cache(Some(file.path().to_owned()), false, false, None);
        assert!(cache.is_some() && problem.is_none());
        assert!(super::cache(None, true, false, None).0.is_none());
    }
}
