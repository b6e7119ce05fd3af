//! Plain files, opened without waiting and read up to a limit; files that may be missing; folders and links.

mod owned_names;

pub use owned_names::OwnedNames;

use rustix::fs::OFlags;
use std::{
    fmt,
    fs::{self, File, FileType, OpenOptions},
    io::{self, IsTerminal, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Most links that are followed from one to the next, as in Linux.
const MAX_LINKS: usize = 40;

/// Free bytes for this user on the disk with `folder`; `None` if the file system does not tell.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Opens the plain file at `path` for reading.
///
/// A pipe, a socket or a device is refused before it is opened: opening a pipe waits for a writer, reading a
/// device may have no end, and opening some of them has effects.
///
/// # Errors
/// [`NotPlain`] as the source of an error of kind `InvalidInput`; a folder; the system's error.
pub fn open(path: &Path) -> io::Result<File> {
    require_plain(fs::metadata(path)?.file_type())?;
    open_with(path, OFlags::NONBLOCK, OpenOptions::new().read(true))
}

/// Opens the plain file at `path` for reading, if it is no link: a file of a folder in which only this program
/// writes.
///
/// # Errors
/// Those of [`open`]; a link.
pub fn open_unlinked(path: &Path) -> io::Result<File> {
    open_unlinked_with(path, OpenOptions::new().read(true))
}

/// [`open_unlinked`] with other options than for reading; it may create the file.
///
/// # Errors
/// Those of [`open_unlinked`].
pub fn open_unlinked_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if let Some(metadata) = if_present(fs::symlink_metadata(path))? {
        require_plain(metadata.file_type())?;
    }
    open_with(path, OFlags::NONBLOCK | OFlags::NOFOLLOW, options)
}

/// Opens the plain file at `path` for appending, and creates it if it is missing.
///
/// # Errors
/// Those of [`open`].
pub fn open_to_append(path: &Path) -> io::Result<File> {
    open_to_append_with(path, &mut OpenOptions::new())
}

/// [`open_to_append`] with further options, such as for reading.
///
/// # Errors
/// Those of [`open`].
pub fn open_to_append_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if let Some(metadata) = if_present(fs::metadata(path))? {
        require_plain(metadata.file_type())?;
    }
    open_with(path, OFlags::NONBLOCK, options.append(true).create(true))
}

fn open_with(path: &Path, flags: OFlags, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags((flags | OFlags::NOCTTY).bits() as i32).open(path)?;
    // Another file may have taken the place of the one that was looked at.
    require_plain(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens an input that a user names: a plain file, a pipe, a terminal or `/dev/null`. Opening a pipe waits for its
/// writer.
///
/// # Errors
/// A device without an end, a socket, a folder; the system's error.
pub fn open_input(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return open(path);
    }
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(path)?;
    let is_null = || fs::canonicalize(path).is_ok_and(|path| path == Path::new("/dev/null"));
    if kind.is_fifo() || file.is_terminal() || is_null() {
        return Ok(file);
    }
    Err(NotPlain { found: "a device" }.into())
}

/// Reads the whole plain file at `path`.
///
/// # Errors
/// Those of [`open`]; an error of kind `FileTooLarge` for more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_whole(open(path)?, limit)
}

/// Reads the whole plain file at `path`, if it is no link.
///
/// # Errors
/// Those of [`open_unlinked`]; an error of kind `FileTooLarge` for more than `limit` bytes.
pub fn read_unlinked(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_whole(open_unlinked(path)?, limit)
}

fn read_whole(file: File, limit: u64) -> io::Result<Vec<u8>> {
    read_within(limit, file)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")))
}

/// A pipe, socket, device or link where a plain file is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPlain {
    /// The kind of file that is there, with its article.
    pub found: &'static str,
}

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {}, not a plain file; put the file itself in its place", self.found)
    }
}

impl std::error::Error for NotPlain {}

impl From<NotPlain> for io::Error {
    fn from(error: NotPlain) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

fn require_plain(kind: FileType) -> io::Result<()> {
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_symlink() {
        "a link"
    } else {
        "a device"
    };
    Err(NotPlain { found }.into())
}

/// The path that the link at `path` leads to in the end, whether a file is there or not; `path` itself if it is no
/// link.
///
/// # Errors
/// A link to an open file of a process, such as `/dev/stdout`; too many links; the system's error.
pub fn link_target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match if_present(fs::symlink_metadata(&path))? {
            Some(metadata) if metadata.is_symlink() => {}
            _ => return Ok(path),
        }
        // Such a link leads to what is open, not to what has the name now.
        if fs::canonicalize(folder_of(&path)).is_ok_and(|folder| folder.starts_with("/proc")) {
            let problem = "it leads to an open file of a process, not to a name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        path = folder_of(&path).join(fs::read_link(&path)?);
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// All that `input` holds; `None` if that is more than `limit` bytes.
///
/// # Errors
/// The system's error.
pub fn read_within(limit: u64, input: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// The result of opening or reading a file; `None` if there is no such file.
///
/// # Errors
/// Any other error of the system.
pub fn if_present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The folder of `path`; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe, a link to a device without an end, and a socket.
    fn special_files(folder: &Path) -> Vec<(PathBuf, &'static str)> {
        let path = |name: &str| folder.join(name);
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", path("device")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("socket")).unwrap());
        vec![(path("pipe"), "a pipe"), (path("device"), "a device"), (path("socket"), "a socket")]
    }

    #[test]
    fn what_is_no_plain_file_is_refused_by_what_it_is_and_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        for (path, found) in special_files(folder.path()) {
            let error = read(&path, 10).unwrap_err();
            assert!(error.to_string().starts_with(&format!("it is {found}, not a plain file")), "{error}");
            assert!(open_unlinked(&path).is_err());
            let error = open_to_append(&path).unwrap_err();
            assert!(error.to_string().starts_with(&format!("it is {found}")), "{error}");
            assert!(crate::mmap::Map::open(&path).is_err());
        }
        assert_eq!(read(folder.path(), 10).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        let named = open_input(&folder.path().join("device")).unwrap_err();
        assert!(named.to_string().starts_with("it is a device"));
        assert!(read_whole(open_input(Path::new("/dev/null")).unwrap(), 1).unwrap().is_empty());
    }

    #[test]
    fn a_file_is_read_up_to_a_limit_and_a_link_followed_only_where_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "abc").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read(&link, 3).unwrap(), b"abc");
        let error = read(&link, 2).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::FileTooLarge, "it has more than 2 bytes".into())
        );
        assert_eq!(read_unlinked(&file, 3).unwrap(), b"abc");
        assert!(read_unlinked(&link, 3).unwrap_err().to_string().starts_with("it is a link"));
        let append = || OpenOptions::new().append(true).create(true).to_owned();
        assert!(open_unlinked_with(&link, &mut append()).is_err());
        assert!(open_unlinked_with(&folder.path().join("new"), &mut append()).is_ok());
    }

    #[test]
    fn links_lead_to_the_last_target_that_need_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
        link("b", "a");
        link("sub/c", "b");
        assert_eq!(link_target(&path("a")).unwrap(), path("sub/c"));
        assert_eq!(link_target(&path("none")).unwrap(), path("none"));
        link("y", "x");
        link("x", "y");
        assert!(link_target(&path("x")).is_err());
        link("/proc/self/fd/1", "stdout");
        assert!(link_target(&path("stdout")).unwrap_err().to_string().contains("an open file of a process"));
    }

    #[test]
    fn what_exceeds_the_limit_by_a_byte_is_not_read() {
        let read = |limit| read_within(limit, &b"abc"[..]).unwrap();
        assert_eq!(read(3).as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(2), None);
    }

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("a")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/b")), Path::new("a"));
        assert_eq!(folder_of(Path::new("/")), Path::new("/"));
    }
}
