//! Files that may be missing or without an end, and the folders of paths.

use std::{
    io::{self, Read},
    path::Path,
};

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
