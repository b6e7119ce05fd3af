//! Read-only memory maps of files.

use crate::files;
use std::{io, path::Path};

/// A file mapped read-only; an empty file gives an empty slice.
pub struct Map {
    // mmap refuses a length of zero, so an empty file has no map.
    map: Option<memmap2::Mmap>,
}

impl Map {
    /// Maps the whole plain file at `path`.
    ///
    /// # Errors
    /// Those of [`files::open`]; the operating system's error if the file cannot be mapped.
    pub fn open(path: &Path) -> io::Result<Map> {
        let file = files::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Map { map: None });
        }
        // SAFETY: we hand out shared slices and never write through the map. Another process that
        // truncates the file is a SIGBUS, the price llama.cpp also pays for mapped weights.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Map { map: Some(map) })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_as_long_as_its_file_whatever_the_size_of_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // Pages have 4, 16 or 64 KiB; the lengths are multiples of none, some and all of these.
        for length in [0, 1, 4_095, 4_097, 12_288, 16_383, 16_385, 40_961, 65_535, 65_536, 65_537, 200_003] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert!(Map::open(&path).unwrap().bytes() == bytes, "{length} bytes");
        }
    }
}
