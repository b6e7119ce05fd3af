//! What calls keep on disk for the calls after them: the states of prompts' beginnings, and earlier answers.
//!
//! Everything is a file of its own in one folder that belongs to the user alone, written beside its target and renamed,
//! so that any number of processes may read and write at once and none waits for another. Nothing here ever fails a
//! call: what cannot be read is computed, what cannot be written is not kept, and the log says why.
//!
//! A state is used only where it is certain what it is: a file holds the key of the model and the setting, the tokens
//! and checksums over all of it, and every one of them is held against what is expected before llama.cpp sees a byte.

mod costs;
mod entry;
mod folder;
mod history;
mod key;
mod line;
mod list;
mod models;
mod note;
mod shelf;
mod state;

pub use history::MAX_BYTES as MAX_HISTORY_BYTES;
pub use key::Key;
pub use list::{Cleared, Listed, Listing, What};
pub use models::{ModelFileListed, ModelListed, ModelState};
pub use shelf::PrefixShelf;
pub use state::FolderState;

use folder::Folder;
use key::ModelId;
use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

/// A slow memory card reads so many bytes a second.
const MEMORY_CARD_BYTES_PER_S: f64 = 40e6;

/// The folder, and what may be kept in it.
pub struct Store {
    folder: Folder,
    keeps_history: bool,
    read_bytes_per_s: f64,
    // Dropping the store waits for them, so that a process does not end while it writes.
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// What is kept below `folder`; nothing is touched before it is needed.
    pub fn new(folder: &Path) -> Store {
        Store {
            folder: Folder::below(folder),
            keeps_history: true,
            read_bytes_per_s: MEMORY_CARD_BYTES_PER_S,
            writers: Mutex::default(),
        }
    }

    /// The same on a disk that reads so many bytes a second, where a slow memory card is assumed else. A state is kept
    /// only where computing it again takes three times as long as reading it.
    pub fn on_a_disk_of(mut self, bytes_per_s: f64) -> Store {
        self.read_bytes_per_s = bytes_per_s;
        self
    }

    /// The same without a log of answers, neither read nor written.
    pub fn without_history(mut self) -> Store {
        self.keeps_history = false;
        self
    }

    /// Where things are kept unless told otherwise: `edgecall` in the user's cache folder. `None` where there is no
    /// such folder.
    pub fn default_folder() -> Option<PathBuf> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(caches.join("edgecall"))
    }

    /// The folder that holds the files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until everything is written that is on its way.
    pub fn finish(&self) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        for writer in writers.drain(..) {
            // A writer that panicked has written nothing that is believed.
            let _ = writer.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}
