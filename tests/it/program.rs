//! The program, run so that it keeps nothing in the cache folder of whoever runs the tests.

use std::process::Command;

/// The program, with a cache folder that cannot be.
pub fn edgecall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.env("EDGECALL_CACHE_DIR", "/dev/null/cache");
    command
}
