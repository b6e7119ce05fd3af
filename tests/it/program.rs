//! The programs that tests run: ours, so that it keeps nothing in the cache folder of whoever runs the tests, and Python.

use std::process::Command;

/// The program, with a cache folder that cannot be.
pub fn edgecall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.env("EDGECALL_CACHE_DIR", "/dev/null/cache");
    command
}

/// The Python that `scripts/setup --dev` found or made, which has numpy and jsonschema; else the system's.
pub fn python() -> Command {
    let found = std::env::var_os("EDGECALL_PYTHON").filter(|path| !path.is_empty());
    Command::new(found.unwrap_or_else(|| "python3".into()))
}
