//! Prefix states on disk: read by the caller, written by a background thread.

use super::{
    Cache, Key, ModelId,
    entry::{EntryError, Head},
    folder::{self, Folder, STATE},
    key,
    model_record::ModelRecord,
};
use crate::{
    files,
    machine::Machine,
    runtime::{Model, PrefixCache, Session},
};
use std::{
    collections::HashSet,
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Least ratio of a state's computing time to its reading time for it to be saved.
const WORTH: u32 = 3;
/// Bytes from which measured reads are taken into account for the read rate.
const TELLING_BYTES: u64 = 1 << 20;

/// The cached states for one run of a model.
pub struct DiskPrefixCache<'s> {
    cache: &'s Cache,
    key: Key,
    model: ModelId,
    label: String,
    record: Arc<ModelRecord>,
    // True once this run has taken care of the record.
    is_recorded: bool,
    began: SystemTime,
    // False for a folder that others can write to: nothing in it is used.
    is_trusted: bool,
    // Number of states that this run has used or written.
    used: u32,
    in_use: HashSet<PathBuf>,
    buffer: Vec<u8>,
    read_bytes: u64,
    read_time: Duration,
    writer: Option<Sender<Job>>,
    // Bytes queued for writing, and their limit.
    waiting: Arc<AtomicU64>,
    most_waiting: u64,
}

/// A state queued for writing. Its checksums are computed by the writer, too.
struct Job {
    path: PathBuf,
    key: (Key, ModelId),
    label: String,
    tokens: Vec<i32>,
    start: usize,
    state: Vec<u8>,
    used: SystemTime,
    in_use: HashSet<PathBuf>,
}

impl Cache {
    /// The cached states for `model` in `session`. `None`, with a line in the log, if none can be saved: if its
    /// file was replaced.
    pub fn prefix_cache<'s>(&'s self, model: &Model, session: &Session<'_>) -> Option<DiskPrefixCache<'s>> {
        let ids = || Ok((Key::for_session(model, session, &[])?, ModelId(model.fingerprint()?)));
        let (key, id) =
            ids().inspect_err(|error: &io::Error| tracing::warn!(%error, "no state is kept")).ok()?;
        Some(DiskPrefixCache {
            cache: self,
            key,
            model: id,
            label: key::label(model),
            record: Arc::new(ModelRecord::new(model.files())),
            is_recorded: false,
            began: SystemTime::now(),
            is_trusted: self.folder.is_trusted(),
            used: 0,
            in_use: HashSet::new(),
            buffer: Vec::new(),
            read_bytes: 0,
            read_time: Duration::ZERO,
            writer: None,
            waiting: Arc::default(),
            most_waiting: Machine::this().map_or(256 << 20, |machine| machine.available_bytes / 4),
        })
    }
}

impl DiskPrefixCache<'_> {
    fn path(&self, tokens: &[i32]) -> PathBuf {
        self.cache.folder.file(&self.key.name(tokens), STATE)
    }

    /// Time of last use for the next state. The first state of a prompt gets the latest, since the others are
    /// useless without it.
    fn next_use(&mut self) -> SystemTime {
        self.used += 1;
        self.began.checked_sub(Duration::from_millis(self.used.into())).unwrap_or(self.began)
    }

    fn read(&mut self, file: &mut File, tokens: &[i32], start: usize) -> Result<(), EntryError> {
        let bytes = file.metadata()?.len();
        let head = Head::read(file, bytes)?;
        if (head.key, head.model) != (self.key, self.model) || head.start != start || head.tokens != tokens {
            return Err(EntryError::Other);
        }
        let began = Instant::now();
        head.read_state(file, &mut self.buffer)?;
        self.read_time += began.elapsed();
        self.read_bytes += head.state_bytes;
        Ok(())
    }

    /// Makes sure that a record names the files of the model. It counts as used after all of its states, so that
    /// it is not evicted before them.
    fn record(&mut self) {
        if !std::mem::replace(&mut self.is_recorded, true) {
            self.record.keep(&self.cache.folder, &self.model, self.began);
        }
    }

    fn read_time(&self, bytes: usize) -> Duration {
        let assumed = self.cache.read_bytes_per_s;
        // Reads from the page cache tell nothing about the disk, unless they are even slower than assumed.
        let rate = match self.read_bytes {
            TELLING_BYTES.. => assumed.min(self.read_bytes as f64 / self.read_time.as_secs_f64()),
            _ => assumed,
        };
        Duration::from_secs_f64(bytes as f64 / rate.max(1.0))
    }
}

impl PrefixCache for DiskPrefixCache<'_> {
    fn take(&mut self, tokens: &[i32], start: usize, restore: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        if !self.is_trusted {
            return false;
        }
        let path = self.path(tokens);
        let mut file = match files::open_unlinked(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a saved state cannot be opened");
                return false;
            }
        };
        let read = self.read(&mut file, tokens, start);
        let taken = read.and_then(|()| if restore(&self.buffer) { Ok(()) } else { Err(EntryError::Refused) });
        match taken {
            Ok(()) => {
                folder::touch(&file, self.next_use());
                self.in_use.insert(path);
                self.record();
                true
            }
            Err(flaw) => {
                tracing::warn!(path = %path.display(), %flaw, "a saved state is ignored and removed");
                let _ = folder::remove(&path);
                false
            }
        }
    }

    fn wants(&mut self, bytes: usize, time: Duration) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed).saturating_add(bytes as u64);
        let wanted = time >= self.read_time(bytes) * WORTH && waiting <= self.most_waiting;
        tracing::debug!(bytes, ms = time.as_secs_f64() * 1e3, wanted, "a state to keep");
        wanted
    }

    fn put(&mut self, tokens: &[i32], start: usize, state: Vec<u8>) {
        let path = self.path(tokens);
        self.in_use.insert(path.clone());
        self.waiting.fetch_add(state.len() as u64, Ordering::Relaxed);
        let job = Job {
            path,
            key: (self.key, self.model),
            label: self.label.clone(),
            tokens: tokens.to_vec(),
            start,
            state,
            used: self.next_use(),
            in_use: self.in_use.clone(),
        };
        let (cache, waiting) = (self.cache, &self.waiting);
        let record = (!self.is_recorded).then(|| (self.model, self.record.clone(), self.began));
        let writer = self.writer.get_or_insert_with(|| cache.start_writer(waiting.clone(), record));
        self.is_recorded = true;
        // A writer that has given up takes no more.
        let _ = writer.send(job);
    }
}

impl Cache {
    /// Starts a thread that writes the states sent to it, and after the first one the record of its model.
    fn start_writer(
        &self,
        waiting: Arc<AtomicU64>,
        mut record: Option<(ModelId, Arc<ModelRecord>, SystemTime)>,
    ) -> Sender<Job> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let folder = self.folder.clone();
        let write = move || {
            for job in jobs {
                match job.write(&folder) {
                    Ok(true) => {
                        if let Some((id, record, used)) = record.take() {
                            record.keep(&folder, &id, used);
                        }
                    }
                    Ok(false) => {
                        tracing::info!("a state is not kept: there is no room for it");
                        return;
                    }
                    Err(error) => {
                        let folder = folder.path().display();
                        tracing::warn!(%folder, %error, "a state cannot be kept");
                        return;
                    }
                }
                waiting.fetch_sub(job.state.len() as u64, Ordering::Relaxed);
            }
        };
        let writer = match thread::Builder::new().spawn(write) {
            Ok(writer) => writer,
            Err(error) => {
                tracing::warn!(%error, "states are not kept: there is no thread to write them");
                return sender;
            }
        };
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|writer| !writer.is_finished());
        writers.push(writer);
        sender
    }
}

impl Job {
    /// Writes the state; returns false if there was no room.
    fn write(&self, folder: &Folder) -> io::Result<bool> {
        folder.prepare()?;
        let head = Head::new(self.key, &self.label, &self.tokens, self.start, &self.state).encode();
        if !folder.make_room((head.len() + self.state.len()) as u64, &self.in_use)? {
            return Ok(false);
        }
        folder.write(&self.path, &[&head, &self.state], self.used)?;
        Ok(true)
    }
}
