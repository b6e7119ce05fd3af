//! Programs that tests run: edgecall, which must not write to the user's cache folder, and Python.

use std::process::Command;

/// The program, with a cache folder that cannot exist. It is not named, so no call warns of it.
#[cfg(feature = "engine")]
pub fn edgecall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgecall"));
    command.env_remove("EDGECALL_CACHE_DIR").env("XDG_CACHE_HOME", "/dev/null/cache");
    command
}

/// Python with numpy, jsonschema and huggingface_hub from `scripts/setup --dev`, else the system's.
pub fn python() -> Command {
    let found = std::env::var_os("EDGECALL_PYTHON").filter(|path| !path.is_empty());
    Command::new(found.unwrap_or_else(|| "python3".into()))
}
