//! Kind of a file by its first bytes: an archive that is read, one that is not, or something else.

use super::Error;
use crate::files;
use std::{
    io::{self, Read},
    path::Path,
};

/// Bytes that decide: the first header of a tar.
const HEAD_BYTES: usize = 512;

/// An archive that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A tar.
    Tar,
    /// A tar compressed with gzip.
    TarGz,
}

/// Formats that are not read: their first bytes, name, and the command that unpacks them.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive", "`unzip`"),
    (b"PK\x05\x06", "a zip archive", "`unzip`"),
    (b"PK\x07\x08", "a zip archive", "`unzip`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "`tar --zstd -xf`"),
    (b"\xfd7zXZ\0", "compressed with xz", "`tar -xJf`"),
    (b"BZh", "compressed with bzip2", "`tar -xjf`"),
    (b"\x1f\x9d", "compressed with compress", "`tar -xZf`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "`lz4 -dc FILE | tar -xf -`"),
    (b"LZIP", "compressed with lzip", "`tar --lzip -xf`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "`7z x`"),
    (b"Rar!", "a RAR archive", "`unrar x`"),
];

/// Endings of archives' names.
const ENDINGS: &[&str] = &[
    ".tar", ".tgz", ".gz", ".zip", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".tbz", ".tbz2", ".7z", ".rar",
    ".lz4",
];

/// Format of the file at `path`; `None` if it is neither an archive nor named like one.
///
/// # Errors
/// An archive of another format, or something else under an archive's name.
pub(super) fn detect(path: &Path) -> Result<Option<Format>, Error> {
    let read = files::open(path).and_then(head);
    let head = read.map_err(|source| Error::Unreadable { path: path.to_path_buf(), source })?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let named_like_one = ENDINGS.iter().any(|ending| name.ends_with(ending)) || name.contains(".tar.");
    if is_tar(&head) {
        return Ok(Some(Format::Tar));
    }
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Some(Format::TarGz));
    }
    // torch.save writes zip archives, too; whoever gives one gets the advice for checkpoints.
    let pickle = [".pt", ".pth", ".bin"].iter().any(|ending| name.ends_with(ending));
    if let Some((_, format, command)) = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic) && !pickle) {
        return Err(Error::Format { path: path.to_path_buf(), format, command });
    }
    if !named_like_one {
        return Ok(None);
    }
    let (found, advice) = other(&head);
    Err(Error::NotAnArchive { path: path.to_path_buf(), found, advice })
}

/// Content of a file that is named like an archive and is none, and what to do about it.
fn other(head: &[u8]) -> (&'static str, &'static str) {
    let again = "fetch the bundle again";
    let text = String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if head.is_empty() {
        ("empty", again)
    } else if head.starts_with(b"GGUF") {
        (
            "a GGUF file, not an archive",
            "it needs no conversion: rename it to end with .gguf and use it as it is",
        )
    } else if text.starts_with("version https://git-lfs") {
        ("a git-lfs pointer, not the archive", "fetch the archive with `git lfs pull`")
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head") {
        (
            "a web page, not an archive",
            "its address may need a login, or have expired: fetch the bundle again",
        )
    } else if text.starts_with("<?xml") || text.starts_with("<error") {
        ("an XML reply of a server, not an archive", "its address may have expired: fetch the bundle again")
    } else if text.starts_with('{') {
        ("a JSON reply of a server, not an archive", "look at it for the reason, and fetch the bundle again")
    } else {
        ("no tar, though its name says so", again)
    }
}

/// The first bytes of `file`; fewer if it is shorter.
fn head(file: impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// True for the first block of a tar: its checksum holds, or it is the end mark of an empty one.
pub(super) fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; HEAD_BYTES]>::try_from(head) else { return false };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let header = tar::Header::from_byte_slice(block);
    // The checksum is the sum of all bytes, with blanks in its own place.
    let own = 148..156;
    let sum =
        block.iter().enumerate().map(|(at, byte)| if own.contains(&at) { 32 } else { u32::from(*byte) });
    header.cksum().is_ok_and(|expected| expected == sum.sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, bytes: &[u8]) -> Result<Option<Format>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        detect(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn an_archive_is_known_by_its_bytes_whatever_its_name() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, "a", &b"x"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        assert_eq!(found("model", &tar), Ok(Some(Format::Tar)));
        assert_eq!(found("model.zip", &tar), Ok(Some(Format::Tar)));
        assert_eq!(found("model.tar", b"\x1f\x8b\x08"), Ok(Some(Format::TarGz)));
        // The oldest form has no `ustar`.
        let mut old = tar::Header::new_old();
        old.set_path("a").unwrap();
        old.set_size(0);
        old.set_cksum();
        assert_eq!(found("model", old.as_bytes()), Ok(Some(Format::Tar)));
        let mut wrong = old.as_bytes().to_vec();
        wrong[0] ^= 1;
        assert_eq!(found("model", &wrong), Ok(None));
    }

    #[test]
    fn other_archives_are_refused_with_the_command_that_unpacks_them() {
        for (bytes, part) in [
            (&b"PK\x03\x04...."[..], "is a zip archive, which is not read; unpack it (`unzip`)"),
            (b"\x28\xb5\x2f\xfd....", "zstd"),
            (b"\xfd7zXZ\0....", "`tar -xJf`"),
            (b"BZh9....", "bzip2"),
        ] {
            let error = found("model.tar", bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(found("weights.pt", b"PK\x03\x04...."), Ok(None), "a pickle");
    }

    #[test]
    fn a_failed_download_is_named_and_other_files_are_left_to_others() {
        for (bytes, part) in [
            (&b"\n<!DOCTYPE html><html>"[..], "is a web page, not an archive"),
            (b"<?xml version='1.0'?><Error>", "XML reply"),
            (b"{\"error\": \"expired\"}", "JSON reply"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"", "is empty"),
            (b"GGUF\x03", "needs no conversion"),
            (b"hello", "no tar, though its name says so"),
        ] {
            let error = found("model.tar", bytes).unwrap_err();
            assert!(error.contains(part), "{error}");
            assert!(found("model.tar.gz", bytes).is_err());
            assert_eq!(found("model.safetensors", bytes), Ok(None));
        }
    }
}
