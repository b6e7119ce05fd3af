//! Read-only maps of files.

use std::{fs::File, io, path::Path};

/// A file mapped read-only. Empty files are an empty slice.
pub struct Map {
    // mmap refuses a length of zero, so an empty file has no map.
    map: Option<memmap2::Mmap>,
}

impl Map {
    /// Maps the whole file at `path`.
    ///
    /// # Errors
    /// The system's error when the file cannot be opened or mapped (a folder, no permission).
    pub fn open(path: &Path) -> io::Result<Map> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if metadata.len() == 0 {
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
