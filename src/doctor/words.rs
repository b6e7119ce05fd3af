//! Paths and counts in words.

use crate::display::visible;
use std::path::Path;

/// A path, escaped where it would steer a terminal.
pub(super) fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}

/// A number of threads in words.
pub(super) fn threads(count: usize) -> String {
    counted(count, "thread")
}

/// A number of CPUs in words.
pub(super) fn cpus(count: usize) -> String {
    counted(count, "CPU")
}

fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
