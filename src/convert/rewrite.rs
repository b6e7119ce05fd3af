//! A profile written into a GGUF file that is there, or taken out of it.
//!
//! The header grows or shrinks, so the file is written anew beside itself and renamed: until then the old one stays as
//! it is, whatever happens. The tensor data are copied byte for byte. If the file's manifest describes it, the manifest is
//! renewed with it.

use super::{
    Error as ConvertError, Progress, manifest,
    output::{check_space, manifest_path, reserve},
    publish,
    temporary::{self, unfinished},
};
use crate::{
    files,
    gguf::{self, Gguf},
    hash::hex,
    kind::Kind,
    mmap::Map,
    profile::{self, Profile, is_profile_key},
    remedy::Remedy,
};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tempfile::NamedTempFile;

/// Bytes copied at once.
const CHUNK: usize = 1 << 20;
/// Largest alignment that is written; a padding of this size is all that it costs.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// Reasons why a profile cannot be written into a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file may not be written.
    #[error("cannot write {}", path.display())]
    ReadOnly {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not a GGUF file, or a damaged one.
    #[error("{}", path.display())]
    Gguf {
        path: PathBuf,
        #[source]
        source: gguf::Error,
    },
    /// One file of a split model.
    #[error(
        "{} is one of {count} files of a split model, and a profile is only written into whole ones; merge it first \
         with llama.cpp's llama-gguf-split --merge", path.display()
    )]
    Split { path: PathBuf, count: u64 },
    /// An alignment that takes megabytes of padding.
    #[error("{} is aligned to {alignment} bytes, and at most {MAX_ALIGNMENT} are written", path.display())]
    Alignment { path: PathBuf, alignment: u64 },
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] profile::Error),
    /// The disk has too little free space for a second copy.
    #[error(transparent)]
    DiskSpace(ConvertError),
    /// Writing failed half-way; the old file is unchanged.
    #[error("writing {} failed; the file is as it was", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The new file cannot be created or renamed.
    #[error(transparent)]
    Output(#[from] ConvertError),
    /// The new header differs from the one that was meant.
    #[error("{} cannot be written with another profile; the file is as it was", path.display())]
    Readback { path: PathBuf },
    /// The file was changed while it was copied.
    #[error("{} was changed by another program in the meantime; nothing was written, try again", path.display())]
    Changed { path: PathBuf },
    /// The user interrupted it.
    #[error("interrupted; the file is as it was")]
    Interrupted,
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Read { .. } => Kind::NoInput,
            Error::ReadOnly { .. } => Kind::CannotCreate,
            Error::Gguf { source, .. } => source.kind(),
            Error::Split { .. } | Error::Alignment { .. } => Kind::Data,
            Error::Profile(e) => e.kind(),
            Error::DiskSpace(e) | Error::Output(e) => e.kind(),
            Error::Write { .. } | Error::Changed { .. } => Kind::Io,
            Error::Readback { .. } => Kind::Bug,
            Error::Interrupted => Kind::Interrupted,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::DiskSpace(_) => vec![Remedy::FreeSpace],
            _ => Vec::new(),
        }
    }
}

/// The manifest beside a file that was written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestState {
    /// There is none.
    Missing,
    /// It described the file, and describes the new one.
    Renewed,
    /// It is no manifest, or one of another file; it stays as it is.
    Other,
}

/// A file that was written anew, or was found to be as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The file itself, behind all links.
    pub path: PathBuf,
    /// False if the file has this very profile already and was left alone.
    pub is_changed: bool,
    /// The manifest beside it.
    pub manifest: ManifestState,
    /// Other hard links to the old file, which keep it.
    pub other_names: u64,
}

/// Writes `profile` into the file at `path` in place of the one that is in it; an empty profile takes that away.
///
/// A link stays, and the file that it leads to is written. Permissions stay, and so does the owner where that is
/// allowed. `interrupt` may be set by a signal handler at any time.
///
/// # Errors
/// A file that is no plain, whole GGUF file or may not be written; a profile that cannot be used; too little space; a
/// failure of the system. The file is as it was then.
pub fn set_profile(
    path: &Path,
    profile: &Profile,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Rewritten, Error> {
    let old = OldFile::open(path)?;
    let mut metadata = old.gguf.metadata.clone();
    metadata.retain(|(key, _)| !is_profile_key(key));
    metadata.extend(profile.to_metadata()?);
    let header = old.gguf.encode_with(&metadata);
    let mut rewritten = Rewritten {
        path: old.path.clone(),
        is_changed: false,
        manifest: ManifestState::Missing,
        other_names: old.stat.nlink().saturating_sub(1),
    };
    if header == old.gguf.encode_with(&old.gguf.metadata) {
        return Ok(rewritten);
    }
    rewritten.is_changed = true;
    let manifest_at = files::link_target(&manifest_path(&old.path)).unwrap_or(manifest_path(&old.path));
    let manifest = files::read(&manifest_at, manifest::MAX_BYTES).ok();
    temporary::sweep(files::folder_of(&old.path));
    let data_bytes = old.stat.len().saturating_sub(old.gguf.data_start);
    let file_bytes = header.len() as u64 + data_bytes;
    check_space(files::folder_of(&old.path), file_bytes).map_err(Error::DiskSpace)?;
    let new = NewFile::create(&old.path)?;
    let hashes = new.fill(&old, &header, manifest.is_some(), progress, interrupt)?;
    new.check(&old, &header)?;
    old.check_unchanged()?;
    let mut outputs = vec![(new, old.path.clone())];
    if let Some((json, [before, after])) = manifest.zip(hashes) {
        let profile_sha256 = (!profile.is_empty()).then(|| hex(&Sha256::digest(profile.to_json())));
        rewritten.manifest = ManifestState::Other;
        if let Some(json) = manifest::renewed(&json, &before, (file_bytes, &after), profile_sha256) {
            let new = NewFile::create(&manifest_at)?;
            let written = new.file().write_all_at(&json, 0).and_then(|()| new.file().sync_all());
            written.map_err(failed(&manifest_at))?;
            rewritten.manifest = ManifestState::Renewed;
            outputs.push((new, manifest_at));
        }
    }
    publish_all(outputs)?;
    Ok(rewritten)
}

/// The file as it is.
struct OldFile {
    path: PathBuf,
    file: File,
    stat: Metadata,
    map: Map,
    gguf: Gguf,
}

impl OldFile {
    fn open(path: &Path) -> Result<OldFile, Error> {
        let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
        let target = files::link_target(path).map_err(unreadable)?;
        let map = Map::open(&target).map_err(unreadable)?;
        let gguf = Gguf::parse(&map).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
        if let Some(count) = gguf.u64("split.count").filter(|count| *count > 1) {
            return Err(Error::Split { path: path.to_path_buf(), count });
        }
        if gguf.alignment > MAX_ALIGNMENT {
            return Err(Error::Alignment { path: path.to_path_buf(), alignment: gguf.alignment });
        }
        // Renaming needs no right to write the file, but a file without it is not meant to be replaced.
        let file = files::open_unlinked_with(&target, OpenOptions::new().read(true).write(true))
            .map_err(|source| Error::ReadOnly { path: path.to_path_buf(), source })?;
        let stat = file.metadata().map_err(unreadable)?;
        Ok(OldFile { path: target, file, stat, map, gguf })
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        let key = |stat: &Metadata| (stat.dev(), stat.ino(), stat.len(), stat.mtime(), stat.mtime_nsec());
        let now = std::fs::symlink_metadata(&self.path);
        match now.is_ok_and(|now| key(&now) == key(&self.stat) && now.len() == self.map.len() as u64) {
            true => Ok(()),
            false => Err(Error::Changed { path: self.path.clone() }),
        }
    }
}

/// A file under a temporary name, removed when dropped or at a second Ctrl-C.
struct NewFile {
    temp: Option<NamedTempFile>,
    registered: PathBuf,
    target: PathBuf,
}

impl NewFile {
    fn create(target: &Path) -> Result<NewFile, Error> {
        // Held so that the file cannot be created and abandoned at the same time.
        let mut unfinished = unfinished();
        let temp = temporary::create_beside(target)?;
        let registered = temp.path().to_path_buf();
        unfinished.insert(registered.clone());
        Ok(NewFile { temp: Some(temp), registered, target: target.to_path_buf() })
    }

    fn file(&self) -> &File {
        self.temp.as_ref().expect("it is taken when it is renamed").as_file()
    }

    /// Writes `header` and the data of `old`. Returns the SHA-256 of the old file and of this one if `with_hashes`.
    fn fill(
        &self,
        old: &OldFile,
        header: &[u8],
        with_hashes: bool,
        progress: &mut dyn Progress,
        interrupt: &AtomicBool,
    ) -> Result<Option<[String; 2]>, Error> {
        let failed = || failed(&self.target);
        let data_start = old.gguf.data_start.min(old.stat.len());
        let data_bytes = old.stat.len() - data_start;
        reserve(self.file(), header.len() as u64 + data_bytes).map_err(failed())?;
        let mut out = self.file();
        out.write_all(header).map_err(failed())?;
        let mut hashes = with_hashes.then(|| [Sha256::new(), Sha256::new()]);
        if let Some([before, after]) = &mut hashes {
            before.update(&old.map[..data_start as usize]);
            after.update(header);
        }
        progress.begin("copying", data_bytes);
        let mut chunk = vec![0; CHUNK];
        let mut done = 0;
        while done < data_bytes {
            if interrupt.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let length = (data_bytes - done).min(CHUNK as u64) as usize;
            let chunk = &mut chunk[..length];
            old.file
                .read_exact_at(chunk, data_start + done)
                .map_err(|source| Error::Read { path: old.path.clone(), source })?;
            hashes.iter_mut().flatten().for_each(|hash| hash.update(&*chunk));
            out.write_all(chunk).map_err(failed())?;
            done += length as u64;
            progress.advance_to(done);
        }
        Ok(hashes.map(|hashes| hashes.map(|hash| hex(&hash.finalize()))))
    }

    /// Gives the file the permissions of `old`, brings it to the disk, and reads its header back.
    fn check(&self, old: &OldFile, header: &[u8]) -> Result<(), Error> {
        let file = self.file();
        let mode = old.stat.permissions().mode() & 0o777;
        if let Ok(now) = file.metadata()
            && (now.uid(), now.gid()) != (old.stat.uid(), old.stat.gid())
        {
            // Only root may give a file away; anyone else has a copy of their own then.
            let _ = std::os::unix::fs::fchown(file, Some(old.stat.uid()), Some(old.stat.gid()));
        }
        file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed(&self.target))?;
        file.sync_all().map_err(failed(&self.target))?;
        let map = Map::open(&self.registered).map_err(failed(&self.target))?;
        let is_meant = Gguf::parse(&map).is_ok_and(|gguf| {
            gguf.tensors == old.gguf.tensors
                && gguf.data_start == header.len() as u64
                && map.get(..header.len()) == Some(header)
        });
        // A file without tensors may end before its data section would begin.
        match is_meant && map.len() as u64 == header.len() as u64 + old.data_bytes() {
            true => Ok(()),
            false => Err(Error::Readback { path: self.target.clone() }),
        }
    }
}

impl OldFile {
    fn data_bytes(&self) -> u64 {
        self.stat.len().saturating_sub(self.gguf.data_start)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.temp = None;
        unfinished().remove(&self.registered);
    }
}

/// Renames all files to their targets, or none.
fn publish_all(mut outputs: Vec<(NewFile, PathBuf)>) -> Result<(), Error> {
    // Held through all renames, so that the process ends before or after them.
    let unfinished = unfinished();
    let files = outputs.iter_mut().filter_map(|(new, target)| Some((new.temp.take()?, target.clone())));
    let renamed = publish::rename_all(files.collect(), true);
    drop(unfinished);
    Ok(renamed?)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    |source| Error::Write { path, source }
}
