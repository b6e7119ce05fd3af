//! Fetching: the files of a plan, one after another, each gone on with where the last try ended.

use super::{
    Cache, Error, Plan, PlannedFile, Progress, RemoteFile, Settings, Source,
    client::{Client, FailedAttempt, Target},
    partial::Partial,
    plan,
};
use crate::{
    files::{folder_of, free_bytes},
    http::{Key, Method, Received, RetryPolicy},
};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes read at once.
const CHUNK: usize = 1 << 17;
/// Free space that is left on the disk, for links and folders.
const SPARE_BYTES: u64 = 1 << 20;

/// A hub with its cache.
pub struct Hub {
    client: Client,
    cache: Cache,
}

impl Hub {
    /// The hub of `settings`, with the token that they name. `retry.timeout` is the time to wait for a connection and for
    /// each next piece of an answer.
    ///
    /// # Errors
    /// An address or a token that cannot be used.
    pub fn new(settings: &Settings, retry: RetryPolicy) -> Result<Hub, Error> {
        Hub::at(&settings.endpoint, settings.token()?, settings.cache.clone(), retry)
    }

    /// The hub at `endpoint`, with this token and cache.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub fn at(endpoint: &str, token: Option<Key>, cache: Cache, retry: RetryPolicy) -> Result<Hub, Error> {
        Ok(Hub { client: Client::new(endpoint, token, retry)?, cache })
    }

    /// The files that `source` needs: those that a conversion reads, or its GGUF file with all parts. Nothing is written.
    ///
    /// # Errors
    /// A hub that does not answer, or that has nothing usable of this name; a list of files that cannot be trusted.
    pub fn plan(&self, source: &Source, progress: &mut dyn Progress) -> Result<Plan, Error> {
        plan::plan(&self.client, &self.cache.repository(&source.id), source, progress)
    }

    /// Fetches the files of `plan` that are not in the cache. Returns the folder of the snapshot, or the path of the GGUF
    /// file that was asked for.
    ///
    /// Each file is compared with its length and hash before it gets its name. What is fetched of a file stays after an
    /// error, and the next pull goes on behind it. The snapshot gets its files when all are there.
    ///
    /// # Errors
    /// A hub that does not answer, or sends something else than it listed; a disk that is full or not writable.
    pub fn pull(&self, plan: &Plan, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
        let repository = self.cache.repository(&plan.id);
        if plan.files.iter().any(|file| !repository.has(&file.remote, &plan.commit)) {
            repository.prepare()?;
            check_space(self.cache.folder(), plan.total_bytes() - plan.cached_bytes())?;
        }
        progress.begin(plan.total_bytes());
        let mut before_bytes = 0;
        for file in &plan.files {
            if file.cached_bytes > 0 {
                progress.resume(before_bytes + file.cached_bytes);
            }
            if !repository.has(&file.remote, &plan.commit) {
                let _lock = repository.lock(&file.remote, || {
                    progress.wait("waiting for another download of this file");
                })?;
                // Another process may have fetched it in the meantime.
                if !repository.has(&file.remote, &plan.commit) {
                    let transfer = Transfer {
                        client: &self.client,
                        target: Target { id: &plan.id, revision: &plan.commit, file: Some(&file.name) },
                        file,
                        before_bytes,
                    };
                    let path = repository.partial(&file.remote);
                    transfer.run(path, &repository.blob(&file.remote), progress)?;
                }
            }
            before_bytes += file.file_bytes;
        }
        plan.files.iter().try_for_each(|file| repository.link(&file.remote, &plan.commit))?;
        repository.set_commit(&plan.revision, &plan.commit)?;
        let folder = repository.snapshot(&plan.commit);
        Ok(plan.gguf.as_ref().map_or(folder.clone(), |file| folder.join(file)))
    }
}

fn check_space(folder: &Path, missing_bytes: u64) -> Result<(), Error> {
    let needed_bytes = missing_bytes.saturating_add(SPARE_BYTES);
    let folder = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder_of(folder));
    // A file system that does not report its free space fails while writing instead.
    let Some(free_bytes) = free_bytes(folder) else { return Ok(()) };
    match free_bytes < needed_bytes {
        true => Err(Error::DiskSpace { path: folder.to_path_buf(), needed_bytes, free_bytes }),
        false => Ok(()),
    }
}

/// Fetching of one file.
struct Transfer<'a> {
    client: &'a Client,
    target: Target<'a>,
    file: &'a PlannedFile,
    /// Bytes of the files before it.
    before_bytes: u64,
}

impl Transfer<'_> {
    /// Fetches the file to `path`, and renames it to `blob` when it is right.
    fn run(&self, path: PathBuf, blob: &Path, progress: &mut dyn Progress) -> Result<(), Error> {
        let of: &RemoteFile = &self.file.remote;
        let mut partial = Partial::open(of, path.clone())?;
        if let Some(read) = &self.file.read {
            partial.restart()?;
            partial.push(read)?;
            return partial.finish(blob);
        }
        let was_resumed = partial.is_resumed();
        self.fill(&mut partial, progress)?;
        match partial.finish(blob) {
            // An earlier process, or a crash of the machine, may have left something else than the beginning.
            Err(Error::Hash { .. }) if was_resumed => {
                let mut partial = Partial::open(of, path)?;
                partial.restart()?;
                self.fill(&mut partial, progress)?;
                partial.finish(blob)
            }
            finished => finished,
        }
    }

    /// Fetches what is missing of the file.
    fn fill(&self, partial: &mut Partial<'_>, progress: &mut dyn Progress) -> Result<(), Error> {
        // A server that sends no parts begins anew each time: only bytes beyond all before are progress.
        let mut farthest = partial.bytes();
        self.client.with_retries(progress, |tries, progress| {
            if partial.missing_bytes() == 0 {
                return Ok(());
            }
            let method = match partial.bytes() {
                0 => Method::Get,
                start => Method::GetFrom(start),
            };
            let answer = self.client.request(self.target, method, tries)?;
            self.check(&answer, partial)?;
            let read = self.read(answer, tries, partial, progress);
            let progressed = partial.bytes() > farthest;
            farthest = farthest.max(partial.bytes());
            read.map_err(|failed| match failed {
                FailedAttempt::ForNow { error, asked, .. } => {
                    FailedAttempt::ForNow { error, asked, progressed }
                }
                for_good => for_good,
            })
        })
    }

    /// Compares the headers of an answer with what is missing.
    fn check(&self, answer: &Received, partial: &mut Partial<'_>) -> Result<(), FailedAttempt> {
        let file = &self.file.remote;
        let wrong_length = |found| -> FailedAttempt {
            Error::Length { file: file.name.clone(), found, expected: file.file_bytes }.into()
        };
        if answer.is_part() {
            // `bytes FIRST-LAST/ALL` (RFC 9110, section 14.4).
            let range = answer.header("content-range").trim().strip_prefix("bytes ").unwrap_or_default();
            let (part, all) = range.split_once('/').unwrap_or_default();
            let first = part.split_once('-').and_then(|(first, _)| first.parse::<u64>().ok());
            if let Some(all) = all.parse().ok().filter(|all| *all != file.file_bytes) {
                return Err(wrong_length(Some(all)));
            }
            if first != Some(partial.bytes()) {
                return Err(wrong_length(None));
            }
        } else {
            // This server sends no parts.
            partial.restart()?;
        }
        match answer.content_length() {
            Some(length) if length != partial.missing_bytes() => {
                Err(wrong_length(Some(partial.bytes().saturating_add(length))))
            }
            _ => Ok(()),
        }
    }

    /// Reads the body of an answer to the end of the file, and no further.
    fn read(
        &self,
        answer: Received,
        tries: u32,
        partial: &mut Partial<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(), FailedAttempt> {
        let host = answer.host.clone();
        let mut body = answer.into_reader();
        let mut chunk = vec![0; CHUNK];
        let broken = |source| self.client.broken(self.target, &host, source, tries);
        loop {
            match body.read(&mut chunk) {
                Ok(0) if partial.missing_bytes() == 0 => return Ok(()),
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) if read as u64 > partial.missing_bytes() => {
                    let (file, expected) = (self.file.name.clone(), self.file.file_bytes);
                    partial.restart()?;
                    return Err(Error::Length { file, found: None, expected }.into());
                }
                Ok(read) => {
                    partial.push(&chunk[..read])?;
                    progress.advance(&self.file.name, self.before_bytes + partial.bytes());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }
}
