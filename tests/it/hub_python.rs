//! Python's `huggingface_hub` and edgecall with one cache and a local hub: each finds what the other fetched.

use crate::{
    fixture::Fixture,
    hub_server::{COMMIT, Files, HubServer, ID, edgecall},
    program::python,
};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The files of a tiny checkpoint.
fn checkpoint() -> Files {
    let folder = home();
    Fixture::default().write(folder.path());
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// True if Python has `huggingface_hub`; prints a message if not.
///
/// # Panics
/// Under `CI=true` a missing package fails the test instead of skipping it.
fn is_here() -> bool {
    let found = python().args(["-c", "import huggingface_hub"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "Python's huggingface_hub is missing, and CI must not skip conformance: scripts/setup --dev installs it"
    );
    println!("skipped: huggingface_hub is not here (scripts/setup --dev installs it)");
    false
}

/// A Python script with the cache in `home` and the hub at `origin`, and without settings of the machine.
fn script(home: &Path, origin: &str, text: &str) -> Command {
    let mut command = python();
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if ["HF_", "HUGGING", "TRANSFORMERS_"].iter().any(|start| upper.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
        .env("HF_ENDPOINT", origin)
        .env("HF_HOME", home)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    command.env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_TELEMETRY", "1");
    command.env("HF_HUB_DISABLE_PROGRESS_BARS", "1").args(["-c", text]);
    command
}

/// An address at which nobody answers.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn conformance_what_python_fetched_is_found_and_not_fetched_again() {
    if !is_here() {
        return;
    }
    let (home, work) = (home(), home());
    let server = HubServer::start(checkpoint());
    let fetch = format!("from huggingface_hub import snapshot_download\nprint(snapshot_download({ID:?}))");
    let path = stdout(script(home.path(), &server.hub.origin(), &fetch).output().unwrap());
    assert!(path.ends_with(COMMIT), "{path}");
    assert_eq!(server.store.seen().len(), 1, "Python has fetched the weights");

    assert_eq!(stdout(edgecall(home.path(), &["pull", ID, "--offline"]).output().unwrap()), path);
    let mut convert = edgecall(home.path(), &["convert", ID, "-t", "f32", "--no-check"]);
    stdout(convert.current_dir(work.path()).output().unwrap());
    assert!(work.path().join("name-F32.gguf").exists());
    assert_eq!(stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap()), path);
    assert_eq!(server.store.seen().len(), 1, "the weights were fetched again");
}

#[test]
fn conformance_what_was_pulled_is_found_by_python_and_not_fetched_again() {
    if !is_here() {
        return;
    }
    let home = home();
    let server = HubServer::start(checkpoint());
    let path = stdout(server.edgecall(home.path(), &["pull", ID]).output().unwrap());
    assert_eq!(server.store.seen().len(), 1);

    let text = format!(
        "from huggingface_hub import snapshot_download, scan_cache_dir\n\
         print(snapshot_download({ID:?}, local_files_only=True))\n\
         cache = scan_cache_dir()\n\
         repository = next(iter(cache.repos))\n\
         print(len(cache.warnings), repository.repo_id, repository.size_on_disk, sorted(repository.refs))"
    );
    let found = stdout(script(home.path(), NOWHERE, &text).output().unwrap());
    let folder = Path::new(&path);
    let bytes: u64 =
        fs::read_dir(folder).unwrap().map(|entry| fs::metadata(entry.unwrap().path()).unwrap().len()).sum();
    assert_eq!(found, format!("{path}\n0 {ID} {bytes} ['main']"));

    let fetch = format!("from huggingface_hub import snapshot_download\nprint(snapshot_download({ID:?}))");
    assert_eq!(stdout(script(home.path(), &server.hub.origin(), &fetch).output().unwrap()), path);
    assert_eq!(server.store.seen().len(), 1, "the weights were fetched again");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| fs::read(folder.join(&name)).is_ok()), "a link leads nowhere");
}
