//! The shared reference data that developers and CI have beside the repository, and users do not.

use std::path::PathBuf;

/// The folder of the reference data, or `None` (said aloud) where it is not there.
///
/// # Panics
/// Under `CI=true` a missing folder fails the test instead of skipping it.
pub fn shared() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "../shared is missing, and CI must not skip conformance"
    );
    println!("skipped: ../shared is not here");
    None
}
