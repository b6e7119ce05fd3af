//! Shared reference data, which developers and CI have next to the repository, and users do not.

use std::path::PathBuf;

/// The folder of the reference data; `None`, with a message, if it is missing.
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
