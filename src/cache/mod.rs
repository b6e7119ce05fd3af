//! Files that calls keep on disk for later calls: prefix states, earlier answers, decode costs, and what was derived from
//! chat templates.
//!
//! Everything is a file of its own in one folder that only the user can read. Each is written beside its target
//! and renamed, so any number of processes may read and write at once without locks. Nothing here ever fails a
//! call: what cannot be read is computed again, what cannot be written is dropped, and the log says why.
//!
//! A state is used only if its origin is certain. The file holds the key of model and setting, the tokens, and
//! checksums of all of it; each is compared with the expected value before llama.cpp sees a byte.

mod costs;
mod derivations;
mod disk_prefix_cache;
mod entry;
mod error;
mod folder;
mod history;
mod key;
mod line;
mod list;
mod model_record;
mod models;
mod note;
mod state;
mod trials;

pub use disk_prefix_cache::DiskPrefixCache;
pub use error::Error;
pub use history::MAX_BYTES as MAX_HISTORY_BYTES;
pub use key::Key;
pub use list::{Cleared, FileKind, Listed, Listing};
pub use models::{ModelFileListed, ModelListed, ModelState};
pub use state::FolderState;

use folder::Folder;
use key::ModelId;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

/// Read rate of a slow memory card.
const MEMORY_CARD_BYTES_PER_S: f64 = 40e6;

/// The folder of the cached files, and the settings for using it.
pub struct Cache {
    folder: Folder,
    keeps_history: bool,
    read_bytes_per_s: f64,
    // Dropping the cache waits for them, so that a process does not end while it writes.
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Cache {
    /// A cache in `folder`; nothing is created before it is needed.
    pub fn new(folder: &Path) -> Cache {
        Cache {
            folder: Folder::below(folder),
            keeps_history: true,
            read_bytes_per_s: MEMORY_CARD_BYTES_PER_S,
            writers: Mutex::default(),
        }
    }

    /// The same with the read rate of the disk; the default is that of a slow memory card. A state is saved
    /// only if computing it again takes three times as long as reading it.
    pub fn with_read_rate(mut self, bytes_per_s: f64) -> Cache {
        self.read_bytes_per_s = bytes_per_s;
        self
    }

    /// The same without logs of answers: none are read or written.
    pub fn without_history(mut self) -> Cache {
        self.keeps_history = false;
        self
    }

    /// The folder that holds the files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the background writers.
    pub fn finish(&self) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        for writer in writers.drain(..) {
            // A writer that panicked has left no file that passes its checks.
            let _ = writer.join();
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.finish();
    }
}
