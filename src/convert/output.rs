//! Output files: written beside their targets under temporary names, renamed when all of them are complete.

use super::{
    Error,
    plan::Plan,
    publish,
    source_hash::SMALL_FILES,
    temporary::{self, unfinished},
};
use crate::{
    checkpoint::Checkpoint,
    files::{folder_of, free_bytes, link_target},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Extra space for manifests and the file system's metadata.
const SPARE_BYTES: u64 = 1 << 20;

/// Target paths of a conversion.
#[derive(Clone, Debug)]
pub struct Targets {
    /// One path for each of the plan's files.
    paths: Vec<PathBuf>,
    /// A folder to be created first.
    folder: Option<PathBuf>,
    /// True if existing files are replaced.
    replace: bool,
}

impl Targets {
    /// The targets of `plan` for the option `-o OUT`: a file if there is one type, else a folder; the current
    /// folder without the option. Files in folders are called `NAME-TYPE.gguf`. A link stays, and the file that it
    /// leads to is the target.
    ///
    /// # Errors
    /// A target that exists without `replace`, belongs to the checkpoint, is no regular file, or whose folder
    /// is missing.
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
        let paths = paths.into_iter().map(|path| behind_links(&path)).collect::<Result<_, _>>()?;
        let targets = Targets { paths, folder, replace };
        for path in &targets.paths {
            targets.check(checkpoint, path)?;
            targets.check(checkpoint, &behind_links(&manifest_path(path))?)?;
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
        let folder = folder_of(path);
        let planned = self.folder.as_deref() == Some(folder);
        if folder.is_dir() || (planned && folder_of(folder).is_dir()) {
            return Ok(());
        }
        Err(Error::NoFolder { path: folder.to_path_buf() })
    }
}

/// The file that `path` leads to if it is a link.
fn behind_links(path: &Path) -> Result<PathBuf, Error> {
    link_target(path).map_err(|source| Error::OutputLink { path: path.to_path_buf(), source })
}

/// True if the file at `path` is one of the conversion's inputs, under any name.
fn is_input(checkpoint: &Checkpoint, path: &Path) -> bool {
    let Ok(target) = fs::canonicalize(path) else { return false };
    let shards = checkpoint.shards.files().iter().map(|shard| shard.path().to_path_buf());
    let small = SMALL_FILES.iter().map(|name| checkpoint.dir.join(name));
    let overlay = checkpoint.overlay.iter().flat_map(|overlay| overlay.sources());
    let merged = overlay.flat_map(|source| source.paths());
    shards.chain(small).chain(merged).any(|input| fs::canonicalize(input).is_ok_and(|input| input == target))
}

/// Path of the manifest: `OUT.gguf.json` for `OUT.gguf`.
pub fn manifest_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// A GGUF file being written. It is removed when dropped, unless it was renamed.
#[derive(Debug)]
pub struct Output {
    temp: NamedTempFile,
    target: PathBuf,
    data_start: u64,
}

impl Output {
    /// Writes tensor data at `offset` of the data section.
    ///
    /// # Errors
    /// The system's error, such as a full disk.
    pub(super) fn write_data(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.file()
            .write_all_at(bytes, self.data_start + offset)
            .map_err(|source| Error::Write { path: self.target.clone(), source })
    }

    /// The temporary path.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// The final path.
    pub fn target(&self) -> &Path {
        &self.target
    }

    pub(super) fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Waits until the file's data are on the disk.
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
    /// Entries of these files in the list for [`temporary::abandon`].
    registered: Vec<PathBuf>,
}

impl Outputs {
    /// Creates the files at full length and writes their headers.
    pub(super) fn create(plan: &Plan, targets: &Targets) -> Result<Outputs, Error> {
        let mut outputs = Outputs {
            files: Vec::new(),
            manifests: Vec::new(),
            made_folder: None,
            replace: targets.replace,
            registered: Vec::new(),
        };
        if let Some(folder) = &targets.folder {
            let source = |source| Error::Create { path: folder_of(folder).to_path_buf(), source };
            let mut unfinished = unfinished();
            fs::create_dir(folder).map_err(source)?;
            unfinished.insert(folder.clone());
            drop(unfinished);
            outputs.registered.push(folder.clone());
            outputs.made_folder = Some(folder.clone());
        }
        targets.paths.iter().for_each(|path| temporary::sweep(folder_of(path)));
        check_space(folder_of(&targets.paths[0]), plan.files.iter().map(|file| file.file_bytes()).sum())?;
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
        let path = behind_links(&manifest_path(target))?;
        let mut temp = self.create_beside(&path)?;
        temp.write_all(json)
            .and_then(|()| temp.as_file().sync_all())
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        self.manifests.push((temp, path));
        Ok(())
    }

    /// Creates a temporary file beside `target`, which is removed unless it is renamed.
    fn create_beside(&mut self, target: &Path) -> Result<NamedTempFile, Error> {
        // The lock is held so that [`temporary::abandon`] cannot run between the file's creation and its entry.
        let mut unfinished = unfinished();
        let temp = temporary::create_beside(target)?;
        unfinished.insert(temp.path().to_path_buf());
        self.registered.push(temp.path().to_path_buf());
        Ok(temp)
    }

    /// Renames all files to their targets, or none.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        // Held through all renames, so that [`temporary::abandon`] ends the process before or after them.
        let unfinished = unfinished();
        let gguf = self.files.drain(..).map(|output| (output.temp, output.target)).collect::<Vec<_>>();
        let renamed =
            publish::rename_all(gguf.into_iter().chain(self.manifests.drain(..)).collect(), self.replace);
        drop(unfinished);
        if renamed.is_ok() {
            self.made_folder = None;
        }
        renamed
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.files.clear();
        self.manifests.clear();
        if let Some(folder) = &self.made_folder {
            // If it is not empty, another process uses it by now.
            let _ = fs::remove_dir(folder);
        }
        let mut unfinished = unfinished();
        for path in &self.registered {
            unfinished.remove(path);
        }
    }
}

/// Allocates the file's whole length, so that a full disk fails at once.
pub(super) fn reserve(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // Not every file system supports it; there the writes fail instead.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
            file.set_len(length)
        }
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn check_space(folder: &Path, file_bytes: u64) -> Result<(), Error> {
    let needed_bytes = file_bytes + SPARE_BYTES;
    // A file system that does not report its free space fails while writing instead.
    let Some(free_bytes) = free_bytes(folder) else { return Ok(()) };
    if free_bytes < needed_bytes {
        return Err(Error::DiskSpace { path: folder.to_path_buf(), needed_bytes, free_bytes });
    }
    Ok(())
}
