//! Equality with the reference's output for the families of small tool callers: golden lists of checkpoints made from a
//! seed, whose recipes stand beside the lists.

use crate::{
    golden::{List, hold_lists, lists, run, with_one_template},
    program::python,
    shared::shared,
};
use edgecall::checkpoint::Checkpoint;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

macro_rules! families {
    ($($test:ident $family:literal;)*) => {
        $(
            #[test]
            fn $test() {
                hold($family);
            }
        )*
    };
}

families! {
    conformance_the_lists_of_lfm2_hold "lfm2-";
    conformance_the_lists_of_gemma3_hold "gemma3-";
    conformance_the_lists_of_granite_3_hold "granite3-";
    conformance_the_lists_of_granite_4_hold "granite4-";
    conformance_the_lists_of_qwen35_hold "qwen35-";
    conformance_the_lists_of_smollm3_hold "smollm3-";
    conformance_the_lists_of_phi4_hold "phi4-";
}

/// Converts each checkpoint of a family, and compares the files with the lists.
fn hold(family: &str) {
    let Some(shared) = shared() else { return };
    let folder = shared.join("golden/families");
    let mut lists = lists(&folder.join("lists"));
    lists.retain(|name, _| name.starts_with(family));
    assert!(!lists.is_empty(), "no lists of {family}");
    let Some(checkpoints) = checkpoints(&folder) else { return };
    let mut held = 0;
    for (name, lists) in &lists {
        let checkpoint = Checkpoint::open(&with_one_template(checkpoints.join(name))).unwrap();
        for via_f16 in [false, true] {
            let lists: Vec<&List> = lists.iter().filter(|list| list.via_f16() == via_f16).collect();
            held += hold_lists(&checkpoint, name, &lists, via_f16);
        }
    }
    println!("{held} lists of {family} hold");
}

/// The folder of the checkpoints, generated from their seeds once for all runs; `None`, with a message, without numpy.
///
/// # Panics
/// Under `CI=true` missing numpy fails the test instead of skipping it.
pub fn checkpoints(folder: &Path) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-families");
    if cache.is_dir() {
        return Some(cache);
    }
    if !python().args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "the checkpoints are made with numpy");
        println!("skipped: EDGECALL_PYTHON (else python3) has no numpy");
        return None;
    }
    // The recipe calls `python3`. Made under a temporary name and renamed, so that an interrupted run leaves no part.
    let half = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let programs = tempfile::tempdir().unwrap();
    let wrapper = programs.path().join("python3");
    fs::write(&wrapper, format!("#!/bin/sh\nexec '{}' \"$@\"\n", python().get_program().to_str().unwrap()))
        .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap_or_default());
    if std::env::var_os("EDGECALL_PYTHON").is_none() {
        fs::remove_file(&wrapper).unwrap();
    }
    run(Command::new("sh").arg(folder.join("make_shown.sh")).arg(half.path()).env("PATH", path));
    fs::rename(half.keep(), &cache).unwrap();
    Some(cache)
}
