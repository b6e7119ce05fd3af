//! Facts about this machine from the operating system: memory, limits, processor, sensors, load. Linux only; on other
//! systems most of it is unknown. This module does not depend on models.

mod cgroup;
pub mod cpu_time;
pub mod folders;
mod heat;
pub mod limits;
pub mod load;
mod memory;
pub mod processor;
mod sensors;

pub use heat::{Heat, Thermometer};
pub use limits::Limits;
pub use load::Load;
pub use memory::{Machine, address_space, swap};
pub use processor::Processor;
pub use sensors::{Firmware, Sensors, Throttling, peak_resident_bytes};

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Size of a memory page in bytes, from the kernel's auxiliary vector (`AT_PAGESZ`); `None` if it lacks the entry.
pub fn page_bytes(root: &Path) -> Option<u64> {
    const AT_PAGESZ: u64 = 6;
    let vector = fs::read(root.join("proc/self/auxv")).ok()?;
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).ok();
    let pairs = vector.chunks_exact(16).filter_map(|pair| Some((word(&pair[..8])?, word(&pair[8..])?)));
    pairs.into_iter().find_map(|(key, value)| (key == AT_PAGESZ).then_some(value))
}

/// Content of a text file without surrounding white space; `None` if it cannot be read.
fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Number in a file; `None` if the content is not a number, such as `max`.
fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// Value after `name` and a colon, in a text with one such pair a line.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

/// Bytes from a line such as `MemTotal:  1024 kB`, in which `name` is `MemTotal`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Entries of a folder whose names begin with `prefix`, sorted.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = read
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

/// Parses a list of CPUs as the kernel writes it, such as `0-2,5`.
fn cpu_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // More CPUs than the kernel supports; this bounds a malformed list.
        (first <= last && last < 8192).then_some(first..=last)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Root folder for tests with the given files.
#[cfg(test)]
pub(crate) fn fixture(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read_as_the_kernel_writes_them() {
        assert_eq!(cpu_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("7"), [7]);
        assert_eq!(cpu_list(""), [0_usize; 0]);
        assert_eq!(cpu_list("3-1,x,0-99999999999"), [0_usize; 0]);
    }

    #[test]
    fn a_page_is_as_large_as_the_kernel_says() {
        let root = fixture(&[("proc/self/auxv", "")]);
        assert_eq!(page_bytes(root.path()), None);
        let vector: Vec<u8> = [33_u64, 7, 6, 16_384, 0, 0].into_iter().flat_map(u64::to_ne_bytes).collect();
        fs::write(root.path().join("proc/self/auxv"), vector).unwrap();
        assert_eq!(page_bytes(root.path()), Some(16_384));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\nmodel name\t: Some CPU\n";
        assert_eq!(kilobytes(status, "VmHWM"), Some(2 << 20));
        assert_eq!(field(status, "model name"), Some("Some CPU"));
        assert_eq!(field(status, "model"), None);
        assert_eq!(kilobytes(status, "VmSize"), None);
    }
}
