//! Unpacking of an archive that may be hostile: plain files and folders only, inside one folder, within limits.

use super::{
    Error, Progress,
    entry_path::{self, Names, components, is_clutter},
    format::{Format, is_tar},
    guarded::{Counts, Guarded, Packed, Stop},
    temporary::folders,
};
use crate::files;
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Cursor, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    rc::Rc,
    sync::atomic::AtomicBool,
};
use tar::{Archive, Entry, EntryType};

/// Most entries of an archive. A checkpoint has some dozens.
const MAX_ENTRIES: usize = 10_000;
/// Space to leave free for everything else on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// Size of the pieces in which files are written.
const PIECE: usize = 1 << 20;
/// Most bytes that are read behind the last entry, for gzip's check sum. Tars are padded to some kB.
const MAX_PADDING_BYTES: u64 = 64 << 20;

/// Unpacks the archive at `path` into the folder `into`, which is empty.
///
/// # Errors
/// An entry that is no plain file or folder, a name that is refused, a limit, a damaged archive, a full disk. The
/// folder then holds what came before.
pub(super) fn unpack(
    path: &Path,
    format: Format,
    into: &Path,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<(), Error> {
    let file = files::open(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let packed_bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let free_bytes = files::free_bytes(into);
    if format == Format::Tar {
        // What comes out of a tar is a little less than the tar.
        check_space(into, packed_bytes, free_bytes)?;
    }
    progress.begin(packed_bytes);
    let counts = Rc::new(Counts::default());
    let packed = Packed { inner: file, counts: Rc::clone(&counts) };
    let compressed = format == Format::TarGz;
    let guarded = |inner| Guarded { inner, counts: Rc::clone(&counts), compressed, interrupt };
    let inner = opened(format, packed).map_err(|error| explained(path, &counts, None, error))?;
    let Some(inner) = inner else { return Err(Error::NoTarInside { path: path.to_path_buf() }) };
    let unpacking = Unpacking {
        path,
        into,
        counts: Rc::clone(&counts),
        free_bytes,
        written: 0,
        names: Names::default(),
        progress,
    };
    unpacking.run(Archive::new(guarded(inner)))
}

/// The bytes of the tar; `None` if what gzip holds is none.
fn opened(format: Format, packed: Packed<File>) -> io::Result<Option<Box<dyn Read>>> {
    let packed = BufReader::with_capacity(1 << 16, packed);
    if format == Format::Tar {
        return Ok(Some(Box::new(packed)));
    }
    let mut unzipped = MultiGzDecoder::new(packed);
    let mut head = Vec::new();
    unzipped.by_ref().take(512).read_to_end(&mut head)?;
    if !is_tar(&head) {
        return Ok(None);
    }
    Ok(Some(Box::new(Cursor::new(head).chain(unzipped))))
}

struct Unpacking<'a> {
    path: &'a Path,
    into: &'a Path,
    counts: Rc<Counts>,
    free_bytes: Option<u64>,
    written: u64,
    names: Names,
    progress: &'a mut dyn Progress,
}

impl Unpacking<'_> {
    fn run<R: Read>(mut self, mut archive: Archive<R>) -> Result<(), Error> {
        let mut entries =
            archive.entries().map_err(|error| explained(self.path, &self.counts, None, error))?;
        let mut count = 0;
        loop {
            self.counts.begin_headers();
            let entry = entries.next();
            self.counts.begin_contents();
            let Some(entry) = entry else { break };
            let entry = entry.map_err(|error| explained(self.path, &self.counts, None, error))?;
            count += 1;
            if count > MAX_ENTRIES {
                let problem = format!("has more than {MAX_ENTRIES} entries");
                return Err(Error::TooMuch { path: self.path.to_path_buf(), problem });
            }
            self.entry(entry)?;
        }
        // A whole tar ends with empty blocks.
        if self.counts.at_end.get() {
            return Err(cut_short(self.path, None));
        }
        // Behind the end mark there is padding, and gzip's check sum.
        let mut rest = archive.into_inner().take(MAX_PADDING_BYTES);
        io::copy(&mut rest, &mut io::sink())
            .map(drop)
            .map_err(|error| explained(self.path, &self.counts, None, error))
    }

    /// Unpacks one entry.
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), Error> {
        let name = entry.path_bytes().into_owned();
        let refused = |problem: String| Error::Entry {
            path: self.path.to_path_buf(),
            entry: entry_path::shown(&name),
            problem,
        };
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return self.skip(&mut entry, &name);
        }
        let parts = components(&name).map_err(refused)?;
        plain(&mut entry, kind).map_err(refused)?;
        if is_clutter(&parts) {
            return self.skip(&mut entry, &name);
        }
        if kind == EntryType::Directory || (name.ends_with(b"/") && entry.size() == 0) {
            self.names.add_folder(&parts).map_err(refused)?;
            self.create_folder(&parts)?;
            return self.skip(&mut entry, &name);
        }
        self.names.add_file(&parts).map_err(refused)?;
        check_space(self.into, self.written.saturating_add(entry.size()), self.free_bytes)?;
        self.create_folder(&parts[..parts.len() - 1])?;
        self.write(&mut entry, &parts, &name)
    }

    fn create_folder(&self, parts: &[&str]) -> Result<(), Error> {
        let folder = entry_path::join(self.into, parts);
        let _held = folders();
        fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder, source })
    }

    fn write<R: Read>(&mut self, entry: &mut Entry<'_, R>, parts: &[&str], name: &[u8]) -> Result<(), Error> {
        let target = entry_path::join(self.into, parts);
        let failed = |source| Error::Write { path: target.clone(), source };
        let held = folders();
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target).map_err(failed)?;
        drop(held);
        let mut left = entry.size();
        let mut piece = vec![0; PIECE.min(left.try_into().unwrap_or(PIECE)).max(1)];
        while left > 0 {
            let n = entry
                .read(&mut piece)
                .map_err(|error| explained(self.path, &self.counts, Some(name), error))?;
            if n == 0 {
                return Err(cut_short(self.path, Some(name)));
            }
            file.write_all(&piece[..n]).map_err(failed)?;
            left -= n as u64;
            self.written += n as u64;
            self.progress.advance_to(self.counts.packed.get());
        }
        Ok(())
    }

    /// Reads over the contents of an entry.
    fn skip<R: Read>(&self, entry: &mut Entry<'_, R>, name: &[u8]) -> Result<(), Error> {
        let size = entry.size();
        let read = io::copy(entry, &mut io::sink())
            .map_err(|error| explained(self.path, &self.counts, Some(name), error))?;
        if read < size { Err(cut_short(self.path, Some(name))) } else { Ok(()) }
    }
}

/// Refuses an entry that is neither a file nor a folder.
fn plain<R: Read>(entry: &mut Entry<'_, R>, kind: EntryType) -> Result<(), String> {
    let target = |entry: &Entry<'_, R>| match entry.link_name_bytes() {
        Some(target) => format!(" to `{}`", entry_path::shown(&target)),
        None => String::new(),
    };
    let found = match kind {
        EntryType::Regular | EntryType::Directory => {
            let sparse = |key: &[u8]| key.starts_with(b"GNU.sparse");
            let extensions = entry.pax_extensions().map_err(|_| "has damaged pax headers".to_owned())?;
            if extensions.into_iter().flatten().flatten().any(|record| sparse(record.key_bytes())) {
                "is a sparse file".to_owned()
            } else {
                return Ok(());
            }
        }
        EntryType::GNUSparse => "is a sparse file".into(),
        EntryType::Symlink => format!("is a symbolic link{}", target(entry)),
        EntryType::Link => format!("is a hard link{}", target(entry)),
        EntryType::Char | EntryType::Block => "is a device".into(),
        EntryType::Fifo => "is a pipe".into(),
        other => format!("has the type `{}`", char::from(other.as_byte()).escape_debug()),
    };
    Err(found)
}

/// The meaning of an error while the archive is read.
fn explained(path: &Path, counts: &Counts, entry: Option<&[u8]>, error: io::Error) -> Error {
    let path_buf = path.to_path_buf();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
        Some(Stop::Interrupted) => return Error::Interrupted,
        Some(Stop::Limit(problem)) => return Error::TooMuch { path: path_buf, problem: problem.clone() },
        None => {}
    }
    if error.raw_os_error().is_some() {
        return Error::Read { path: path_buf, source: error };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof || counts.at_end.get() {
        return cut_short(path, entry);
    }
    // The tar reader quotes what the archive says.
    let source = io::Error::other(error.to_string().escape_debug().to_string());
    Error::Damaged { path: path_buf, source }
}

fn cut_short(path: &Path, entry: Option<&[u8]>) -> Error {
    Error::CutShort { path: path.to_path_buf(), entry: entry.map(entry_path::shown) }
}

fn check_space(folder: &Path, bytes: u64, free_bytes: Option<u64>) -> Result<(), Error> {
    let needed_bytes = bytes.saturating_add(SPARE_BYTES);
    match free_bytes {
        Some(free_bytes) if free_bytes < needed_bytes => {
            Err(Error::DiskSpace { path: files::folder_of(folder).to_path_buf(), needed_bytes, free_bytes })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
