//! Scripts in an environment without their dependencies: each says so in words, ends soon, and leaves the folder
//! unchanged.

use crate::program::python;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

const BASH: &str = "/bin/bash";

/// Far longer than any script needs to find that it cannot work.
const BOUND: Duration = Duration::from_secs(120);

/// Minimal programs of a system without compilers, Python, cargo and packages.
const COREUTILS: &[&str] = &[
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "find",
    "getconf",
    "grep",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "printf",
    "readlink",
    "realpath",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "tar",
    "tee",
    "touch",
    "tr",
    "uname",
    "wc",
    "xargs",
];

const ARGUMENTS: &[&[&str]] =
    &[&[], &["--no-such-option"], &["no/such/file", "no/such/file.gguf", "--no-such-option"]];

#[test]
fn no_script_fails_without_a_sentence_where_no_program_is_in_the_path() {
    let nothing = tempfile::tempdir().unwrap();
    run_all(nothing.path());
}

#[test]
fn no_script_fails_without_a_sentence_on_a_system_without_compilers() {
    let few = tempfile::tempdir().unwrap();
    link_coreutils(few.path());
    run_all(few.path());
}

#[test]
fn every_script_can_be_started_by_its_name() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        let starts_by_itself = fs::read(&path).unwrap().starts_with(b"#!");
        let may_run = fs::metadata(&path).unwrap().permissions().mode() & 0o111 == 0o111;
        assert_eq!(starts_by_itself, may_run, "{}: its first line and its mode disagree", path.display());
    }
}

#[test]
fn every_script_tells_its_usage_before_anything_else() {
    let few = tempfile::tempdir().unwrap();
    link_coreutils(few.path());
    let copy = tempfile::tempdir().unwrap();
    for (script, mut command) in commands(copy.path(), few.path()) {
        if fs::metadata(copy.path().join(&script)).unwrap().permissions().mode() & 0o111 == 0 {
            continue;
        }
        for flag in ["-h", "--help"] {
            let output = bounded(&mut command, &[flag]).expect("help is printed at once");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {flag}: {}: {said}", script.display(), output.status);
        }
    }
}

#[test]
fn check_scripts_fails_without_a_readme_and_follows_no_cdpath() {
    let few = tempfile::tempdir().unwrap();
    link_coreutils(few.path());
    let copy = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    copied(copy.path());
    fs::create_dir(other.path().join("scripts")).unwrap();
    fs::remove_file(copy.path().join("README.md")).unwrap();
    let mut command = Command::new(BASH);
    command.arg("scripts/check_scripts").env_clear().env("PATH", few.path()).env("CDPATH", other.path());
    let output = command.current_dir(copy.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(66), "{said}");
    let folder = copy.path().canonicalize().unwrap();
    assert!(said.contains(&format!("cannot read README.md in {}", folder.display())), "{said}");
}

/// Runs every script in an empty environment with `path` as PATH, without arguments and with wrong ones.
fn run_all(path: &Path) {
    let copy = tempfile::tempdir().unwrap();
    let commands = commands(copy.path(), path);
    let before = listing(copy.path());
    let mut wrong = Vec::new();
    for (script, mut command) in commands {
        for arguments in ARGUMENTS {
            let fault = match bounded(&mut command, arguments) {
                Some(output) => fault(&output),
                None => Some(format!("did not end within {BOUND:?}")),
            };
            if let Some(fault) = fault {
                wrong.push(format!("{} {}: {fault}", script.display(), arguments.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(listing(copy.path()), before, "a script wrote into the repository's folder");
}

/// Copies all scripts into `folder`, and returns how each is started there in an empty environment with `path` as PATH.
fn commands(folder: &Path, path: &Path) -> Vec<(PathBuf, Command)> {
    let python = python_itself();
    let mut commands = Vec::new();
    for (script, interpreter) in copied(folder) {
        let mut command = match interpreter {
            Interpreter::Bash => Command::new(BASH),
            Interpreter::Python => {
                let Some(python) = &python else {
                    println!("skipped: no Python to run {} with", script.display());
                    continue;
                };
                let mut command = Command::new(python);
                // Without installed packages, so that the script's dependencies are missing.
                command.args(["-S", "-E", "-s"]);
                command
            }
        };
        command.arg(&script).env_clear().env("PATH", path).current_dir(folder);
        commands.push((script, command));
    }
    commands
}

/// Fault in the way a script ended, if any.
fn fault(output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let no_words = ["Traceback (most recent call last)", "unbound variable", "syntax error"];
    let words =
        |line: &str| line.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
    let has_sentence = said.lines().any(|line| words(line) >= 4 || line.starts_with("usage: "));
    if output.status.success() || has_sentence && !no_words.iter().any(|no| said.contains(no)) {
        return None;
    }
    Some(format!("ended with {} and said on stderr: {said:?}", output.status))
}

enum Interpreter {
    Bash,
    Python,
}

/// Copies the files that scripts read first into `folder`, and returns all scripts.
fn copied(folder: &Path) -> Vec<(PathBuf, Interpreter)> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
        fs::copy(repository.join(file), folder.join(file)).unwrap();
    }
    fs::create_dir(folder.join("scripts")).unwrap();
    let mut scripts = Vec::new();
    for entry in fs::read_dir(repository.join("scripts")).unwrap() {
        let name = entry.unwrap().file_name();
        let from = repository.join("scripts").join(&name);
        if !from.is_file() {
            continue;
        }
        let script = Path::new("scripts").join(&name);
        fs::copy(&from, folder.join(&script)).unwrap();
        let text = fs::read_to_string(&from).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let is_python = first.starts_with("#!") && first.contains("python");
        if is_python || script.extension().is_some_and(|extension| extension == "py") {
            scripts.push((script, Interpreter::Python));
        } else if first.starts_with("#!") {
            assert!(first.ends_with("bash") || first.ends_with("/sh"), "{}: {first}", script.display());
            scripts.push((script, Interpreter::Bash));
        }
    }
    scripts.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(scripts.len() > 20, "{} scripts", scripts.len());
    scripts
}

/// The interpreter behind the `python3` in PATH; a wrapper would need that PATH.
fn python_itself() -> Option<PathBuf> {
    let output = python().args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Size and time of every file under `folder`.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let len = if metadata.is_dir() { 0 } else { metadata.len() };
            found.insert(path, (len, metadata.modified().unwrap()));
        }
    }
    found
}

/// Runs it with nothing on stdin; `None` if it had to be killed.
fn bounded(command: &mut Command, arguments: &[&str]) -> Option<Output> {
    let said = tempfile::NamedTempFile::new().unwrap();
    let given: Vec<OsString> = command.get_args().map(OsString::from).collect();
    let mut once = Command::new(command.get_program());
    once.args(given).args(arguments).env_clear().current_dir(command.get_current_dir().unwrap());
    once.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut child =
        once.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.reopen().unwrap()).spawn().unwrap();
    let started = Instant::now();
    while started.elapsed() < BOUND {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(Output { status, stdout: Vec::new(), stderr: fs::read(said.path()).unwrap() });
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn link_coreutils(folder: &Path) {
    for tool in COREUTILS {
        let found = ["/usr/bin", "/bin"]
            .map(|place| Path::new(place).join(tool))
            .into_iter()
            .find(|path| path.exists());
        if let Some(found) = found {
            symlink(found, folder.join(tool)).unwrap();
        }
    }
}

/// A system with everything that `scripts/setup` looks for, but without network access.
struct System {
    programs: tempfile::TempDir,
    libclang: tempfile::TempDir,
}

impl System {
    fn new() -> Self {
        let system = Self { programs: tempfile::tempdir().unwrap(), libclang: tempfile::tempdir().unwrap() };
        link_coreutils(system.programs.path());
        for tool in ["c++", "make", "cmake", "objcopy", "nm", "ld", "cargo"] {
            system.program(tool, "exit 0");
        }
        system.program("rustc", "echo 'rustc 1.999.0 (0123456789 2099-01-01)'");
        system.library("libclang.so.1");
        system
    }

    /// Replaces a program by a shell script.
    fn program(&self, name: &str, script: &str) {
        let path = self.programs.path().join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!{BASH}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn library(&self, name: &str) {
        fs::write(self.libclang.path().join(name), "").unwrap();
    }

    /// Exit code, stdout and stderr of setup.
    fn setup(&self) -> (Option<i32>, String, String) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup");
        let mut command = Command::new(BASH);
        command.arg(script).env_clear().env("PATH", self.programs.path()).env("HOME", self.programs.path());
        let output = command.env("LIBCLANG_PATH", self.libclang.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn setup_says_nothing_on_a_system_that_has_all_and_prints_exports_alone() {
    let system = System::new();
    system.program("nproc", "echo 1");
    let (code, exports, said) = system.setup();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(exports.lines().all(|line| line.starts_with("export ")), "{exports}");
    assert!(!exports.contains("CARGO_BUILD_JOBS"), "{exports}");
}

#[test]
fn setup_takes_no_libclang_cpp_for_libclang() {
    let system = System::new();
    fs::remove_file(system.libclang.path().join("libclang.so.1")).unwrap();
    for name in ["libclang-cpp.so.14", "libclang-cpp.so", "libclang-cpp14.so.1", "libclang.a"] {
        system.library(name);
    }
    let (code, _, said) = system.setup();
    assert_eq!(code, Some(69));
    assert!(said.contains("no libclang.so is there"), "{said}");
    for name in ["libclang-14.so.13", "libclang-14.so", "libclang.so"] {
        system.library(name);
        assert_eq!(system.setup().0, Some(0), "{name}");
        fs::remove_file(system.libclang.path().join(name)).unwrap();
    }
}

#[test]
fn setup_names_a_32_bit_system_whatever_its_kernel_is() {
    let system = System::new();
    system.program("getconf", "echo 32");
    system.program("uname", "case $1 in -m) echo aarch64 ;; *) echo Linux ;; esac");
    let (code, exports, said) = system.setup();
    assert_eq!((code, exports.as_str()), (Some(69), ""));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("this is a 32-bit system") && said.contains("the 64-bit Raspberry Pi OS"),
        "{said}"
    );
}

#[test]
fn setup_asks_for_binutils_and_names_an_old_rust() {
    let system = System::new();
    fs::remove_file(system.programs.path().join("objcopy")).unwrap();
    let (code, _, said) = system.setup();
    assert_eq!(code, Some(69));
    assert!(said.contains("binutils"), "{said}");

    let system = System::new();
    system.program("rustc", "echo 'rustc 1.63.0 (0123456789 2022-08-01)'");
    let (code, _, said) = system.setup();
    assert_eq!(code, Some(69));
    assert!(said.contains("or newer is needed"), "{said}");
}

#[test]
fn setup_lets_no_more_compilers_run_than_memory_allows() {
    let system = System::new();
    system.program("nproc", "echo 1000000");
    let (code, exports, said) = system.setup();
    assert_eq!(code, Some(0), "{said}");
    let jobs = |name: &str| -> u32 {
        let line = exports.lines().find(|line| line.starts_with(&format!("export {name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {exports}")).rsplit('=').next().unwrap().parse().unwrap()
    };
    assert!((1..1_000_000).contains(&jobs("CARGO_BUILD_JOBS")), "{exports}");
    assert_eq!(jobs("CARGO_BUILD_JOBS"), jobs("CMAKE_BUILD_PARALLEL_LEVEL"));
    assert!(said.contains(", not 1000000; "), "{said}");
}
