//! The command line as transcripts: what is typed, what comes out, with which exit code.
//!
//! Each `tests/cli/*.trycmd` runs in the root of the repository, with the pocket model converted to Q4_K_M as `EDGECALL_MODEL`.
#![cfg(feature = "engine")]

use std::{path::Path, process::Command};

#[test]
fn transcripts_hold() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = folder.path().join("pocket-Q4_K_M.gguf");
    let converted = Command::new(env!("CARGO_BIN_EXE_edgecall"))
        .arg("convert")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket"))
        .arg("-o")
        .arg(&model)
        .output()
        .unwrap();
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    trycmd::TestCases::new()
        .env("EDGECALL_MODEL", model.to_str().unwrap())
        .env("XDG_CACHE_HOME", folder.path().join("cache").to_str().unwrap())
        .env("COLUMNS", "100")
        .case("tests/cli/*.trycmd");
}
