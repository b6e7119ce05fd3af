//! The files being written: beside their targets under another name, renamed when all of them are good.

use super::{Error, plan::Plan, source_hash::SMALL_FILES};
use crate::checkpoint::Checkpoint;
use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::NamedTempFile;

/// Space left for manifests and the file system's own bookkeeping.
const SPARE_BYTES: u64 = 1 << 20;

/// Where the files go.
#[derive(Clone, Debug)]
pub struct Targets {
    /// One path for each of the plan's files.
    paths: Vec<PathBuf>,
    /// A folder that has to be made first.
    folder: Option<PathBuf>,
    /// Whether files that are there already are replaced.
    replace: bool,
}

impl Targets {
    /// The targets of `plan` for an `-o` of `out`: a file if there is one type, else a folder; in the
    /// current folder without it. Files in folders are called `NAME-TYPE.gguf`.
    ///
    /// # Errors
    /// A target that is there already without `replace`, belongs to the checkpoint, is no regular
    /// file, or lies in no folder.
    pub fn new(
        checkpoint: &Checkpoint,
        plan: &Plan,
        out: Option<&Path>,
        replace: bool,
    ) -> Result<Targets, Error> {
        let name = |file_type: super::FileType| format!("{}-{}.gguf", plan.name, file_type.label());
        let is_folder = |out: &Path| out.is_dir() || out.to_string_lossy().ends_with('/');
        let mut folder = None;
        let paths = match (out, plan.files.as_slice()) {
            (None, files) => files.iter().map(|file| PathBuf::from(name(file.file_type))).collect(),
            (Some(out), [_]) if !is_folder(out) => vec![out.to_path_buf()],
            (Some(out), files) => {
                if !out.exists() {
                    folder = Some(out.to_path_buf());
                } else if !out.is_dir() {
                    return Err(Error::NoFolder { path: out.to_path_buf() });
                }
                files.iter().map(|file| out.join(name(file.file_type))).collect()
            }
        };
        let targets = Targets { paths, folder, replace };
        for path in &targets.paths {
            targets.check(checkpoint, path)?;
            targets.check(checkpoint, &manifest_path(path))?;
        }
        Ok(targets)
    }

    /// The files' paths, in the order of the plan's files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    fn check(&self, checkpoint: &Checkpoint, path: &Path) -> Result<(), Error> {
        let path = path.to_path_buf();
        let Ok(metadata) = fs::metadata(&path) else { return self.check_folder(&path) };
        if !metadata.is_file() {
            return Err(Error::OutputIrregular { path });
        }
        if is_input(checkpoint, &path) {
            return Err(Error::OutputIsInput { path });
        }
        if !self.replace {
            return Err(Error::OutputExists { path });
        }
        Ok(())
    }

    fn check_folder(&self, path: &Path) -> Result<(), Error> {
        let folder = parent(path);
        let planned = self.folder.as_deref() == Some(folder);
        if folder.is_dir() || (planned && parent(folder).is_dir()) {
            return Ok(());
        }
        Err(Error::NoFolder { path: folder.to_path_buf() })
    }
}

/// Whether the file at `path` is one that the conversion reads, under whatever name.
fn is_input(checkpoint: &Checkpoint, path: &Path) -> bool {
    let Ok(target) = fs::canonicalize(path) else { return false };
    let shards = checkpoint.shards.files().iter().map(|shard| shard.path().to_path_buf());
    let small = SMALL_FILES.iter().map(|name| checkpoint.dir.join(name));
    shards.chain(small).any(|input| fs::canonicalize(input).is_ok_and(|input| input == target))
}

/// The folder of `path`; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// `OUT.gguf.json` beside `OUT.gguf`.
pub fn manifest_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// The names of files that are being written, for [`abandon`].
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the files of every conversion that is under way in this process, and lets none begin another.
///
/// To be called right before the process ends without unwinding, as at the second Ctrl-C; the
/// conversions must not be waited for afterwards.
pub fn abandon() {
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // A folder that was made for the files goes too, behind them in the order of names; with
        // anything else in it it stays.
        let _ = fs::remove_file(path);
    }
    for path in unfinished.iter().rev() {
        let _ = fs::remove_dir(path);
    }
    // Whoever wants to write a name now waits until the process has ended.
    std::mem::forget(unfinished);
}

/// A GGUF file being written. It is removed when dropped, unless it was renamed.
#[derive(Debug)]
pub struct Output {
    temp: NamedTempFile,
    target: PathBuf,
    data_start: u64,
}

impl Output {
    /// Writes the tensors' data at `offset` of the data section.
    ///
    /// # Errors
    /// The system's, such as a full disk.
    pub(super) fn write_data(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.file()
            .write_all_at(bytes, self.data_start + offset)
            .map_err(|source| Error::Write { path: self.target.clone(), source })
    }

    /// Where the file is until it is renamed.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    pub(super) fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Waits until the file is on the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file().sync_all().map_err(|source| Error::Write { path: self.target.clone(), source })
    }
}

/// The files of a conversion. All are removed when dropped, unless they were renamed.
#[derive(Debug)]
pub(super) struct Outputs {
    /// One for each of the plan's files.
    pub(super) files: Vec<Output>,
    manifests: Vec<(NamedTempFile, PathBuf)>,
    made_folder: Option<PathBuf>,
    replace: bool,
    /// What of this stands among the unfinished.
    registered: Vec<PathBuf>,
}

impl Outputs {
    /// Creates the files with their headers, at full length.
    pub(super) fn create(plan: &Plan, targets: &Targets) -> Result<Outputs, Error> {
        let mut outputs = Outputs {
            files: Vec::new(),
            manifests: Vec::new(),
            made_folder: None,
            replace: targets.replace,
            registered: Vec::new(),
        };
        if let Some(folder) = &targets.folder {
            let source = |source| Error::Create { path: parent(folder).to_path_buf(), source };
            let mut unfinished = unfinished();
            fs::create_dir(folder).map_err(source)?;
            unfinished.insert(folder.clone());
            drop(unfinished);
            outputs.registered.push(folder.clone());
            outputs.made_folder = Some(folder.clone());
        }
        check_space(parent(&targets.paths[0]), plan.files.iter().map(|file| file.file_bytes()).sum())?;
        for (file, target) in plan.files.iter().zip(&targets.paths) {
            let temp = outputs.create_beside(target)?;
            let output = Output { temp, target: target.clone(), data_start: file.header_bytes };
            let failed = |source| Error::Write { path: target.clone(), source };
            reserve(output.file(), file.file_bytes()).map_err(failed)?;
            output.file().write_all_at(&plan.header(file).encode(), 0).map_err(failed)?;
            outputs.files.push(output);
        }
        Ok(outputs)
    }

    /// Adds a manifest for the file at `target`.
    pub(super) fn add_manifest(&mut self, target: &Path, json: &[u8]) -> Result<(), Error> {
        let path = manifest_path(target);
        let mut temp = self.create_beside(&path)?;
        temp.write_all(json)
            .and_then(|()| temp.as_file().sync_all())
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        self.manifests.push((temp, path));
        Ok(())
    }

    /// Makes a file beside `target` that is removed unless it gets a name.
    fn create_beside(&mut self, target: &Path) -> Result<NamedTempFile, Error> {
        // Between the file's beginning and its entry nobody may abandon it.
        let mut unfinished = unfinished();
        let temp = create_beside(target)?;
        unfinished.insert(temp.path().to_path_buf());
        self.registered.push(temp.path().to_path_buf());
        Ok(temp)
    }

    /// Gives all files their names, or none of them.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        let gguf = self.files.drain(..).map(|output| (output.temp, output.target)).collect::<Vec<_>>();
        let mut named: Vec<PathBuf> = Vec::new();
        for (temp, target) in gguf.into_iter().chain(self.manifests.drain(..)) {
            let persisted =
                if self.replace { temp.persist(&target) } else { temp.persist_noclobber(&target) };
            if let Err(e) = persisted {
                // What was replaced before this is gone either way; what is new is taken back.
                if !self.replace {
                    named.iter().for_each(|path| drop(fs::remove_file(path)));
                }
                return Err(match e.error.kind() {
                    io::ErrorKind::AlreadyExists => Error::OutputExists { path: target },
                    _ => Error::Write { path: target, source: e.error },
                });
            }
            named.push(target);
        }
        self.made_folder = None;
        let folder = parent(&named[0]);
        // The names are safe once the folder is on the disk; some file systems cannot say.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.files.clear();
        self.manifests.clear();
        if let Some(folder) = &self.made_folder {
            // Not empty means that somebody else uses it by now.
            let _ = fs::remove_dir(folder);
        }
        let mut unfinished = unfinished();
        for path in &self.registered {
            unfinished.remove(path);
        }
    }
}

fn create_beside(target: &Path) -> Result<NamedTempFile, Error> {
    let folder = parent(target);
    let name = target.file_name().and_then(|name| name.to_str()).unwrap_or("edgecall");
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        // The umask applies; a temporary file's 0600 would stay with the model.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|source| Error::Create {
            path: folder.to_path_buf(),
            // tempfile's error repeats the path.
            source: source.raw_os_error().map_or(source, io::Error::from_raw_os_error),
        })
}

/// Reserves the file's whole length, so that a disk that is too full says so at once.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // Not every file system can; there the writes find out.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
            file.set_len(length)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn check_space(folder: &Path, file_bytes: u64) -> Result<(), Error> {
    let needed_bytes = file_bytes + SPARE_BYTES;
    // A file system that does not say is left to tell while writing.
    let Some(stat) = rustix::fs::statvfs(folder).ok().filter(|stat| stat.f_blocks > 0) else { return Ok(()) };
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free_bytes < needed_bytes {
        return Err(Error::DiskSpace { path: folder.to_path_buf(), needed_bytes, free_bytes });
    }
    Ok(())
}
