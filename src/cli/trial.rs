//! A first load in a child process, for models whose architecture or tokenizer is loaded on trust.
//!
//! llama.cpp ends the process on some of these files: an assertion fails, or nobody catches a C++ exception. So this
//! program starts itself, and the child loads the model, makes a context and decodes a few tokens. A file that ends the
//! child is refused. The library does no such thing: a program that links it decides for itself which process may end.

pub mod child;

use super::exit::CliError;
use edgecall::{
    Kind,
    cache::{Cache, Key},
    gguf::{Gguf, TensorInfo},
    runtime::{ENGINE, FileStat, LoadOptions, Model, ModelFile, Options, Trust, guard, kernels},
};
use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    iter,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

/// The program itself, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Time that any model may take, and the rate at which weights are read from a slow memory card.
const BASE_SECONDS: u64 = 120;
const SLOW_BYTES_PER_S: u64 = 10 << 20;
/// Most bytes that are kept of the end of the child's stderr.
const MAX_STDERR: usize = 4096;
/// Most characters of it that an error repeats.
const MAX_REASON: usize = 300;

/// Tries to load the model at `path` with these options, unless its architecture and tokenizer are fully checked.
/// `header` is what the file says of them.
///
/// A child that merely fails is no error: this process will fail in the same way, with the same message. A trial that
/// passes is noted in `cache`, and the same file is not tried again by the same program with the same options.
///
/// # Errors
/// A model that ends the child, that takes it too long, or an interruption.
pub fn check(
    path: &Path,
    header: &Gguf,
    load: LoadOptions,
    session: &Options,
    cache: Option<&Cache>,
) -> anyhow::Result<()> {
    if load.trust == Trust::Checked || guard::is_checked(header) {
        return Ok(());
    }
    let bytes = header.tensors.iter().map(TensorInfo::byte_len).fold(0, u64::saturating_add);
    let mut command = command(path, BASE_SECONDS + bytes / SLOW_BYTES_PER_S);
    command.args((!load.repack).then_some("--no-repack"));
    command.args(["--kv-type", session.kv_type.name, "--flash-attn", session.flash_attention.name()]);
    command.args(session.threads.map(|threads| format!("--threads={threads}")));
    command.args(session.n_ctx.map(|n_ctx| format!("--ctx={n_ctx}")));
    let known = cache.and_then(|cache| Some((cache, key(path, header, &command)?)));
    if known.as_ref().is_some_and(|(cache, key)| cache.has_passed(key)) {
        return Ok(());
    }
    if run(command, path)?
        && let Some((cache, key)) = known
    {
        cache.keep_passed(&key);
    }
    Ok(())
}

/// The key of a trial of the file at `path` by this `command`; `None` if it cannot be kept. Of a split model the header
/// names only the first file, so it is tried each time.
fn key(path: &Path, header: &Gguf, command: &Command) -> Option<Key> {
    if header.u64("split.count").is_some_and(|count| count > 1) {
        return None;
    }
    let stat = FileStat::read(path).ok()?;
    let file = ModelFile { path: path.to_path_buf(), stat, data_start: header.data_start };
    let program = format!("edgecall {}, {ENGINE}", env!("CARGO_PKG_VERSION"));
    let arguments = command.get_args().map(OsStr::as_bytes);
    Cache::trial_key(&file, &iter::once(program.as_bytes()).chain(arguments).collect::<Vec<_>>()).ok()
}

/// [`check`] for a model whose header is not read yet.
///
/// # Errors
/// As [`check`]; a file that is missing or malformed.
pub fn check_file(path: &Path, load: LoadOptions, session: &Options) -> anyhow::Result<()> {
    match load.trust {
        Trust::Checked => Ok(()),
        Trust::Unchecked => check(path, &Model::read_header(path)?, load, session, None),
    }
}

/// [`check_file`] for a file of which only the vocabulary is loaded.
///
/// # Errors
/// As [`check_file`].
pub fn check_vocabulary(path: &Path, trust: Trust) -> anyhow::Result<()> {
    if trust == Trust::Checked || guard::is_checked(&Model::read_header(path)?) {
        return Ok(());
    }
    let mut command = command(path, BASE_SECONDS);
    command.arg("--vocabulary");
    run(command, path).map(drop)
}

/// The child's command line without options of the load; it ends after `seconds`.
fn command(path: &Path, seconds: u64) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.args(["try-model", "--kernels", kernels::name(), "-m"]).arg(path);
    command.args(["--seconds", &seconds.to_string()]);
    // A log would hide the last words.
    command.env_remove("RUST_LOG");
    command
}

/// Runs the trial. True if the child did all that was asked of it.
fn run(mut command: Command, path: &Path) -> anyhow::Result<bool> {
    tracing::info!(model = %path.display(), "tried in a child process first");
    // The child ends when its stdin does: it never outlives this process.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let ended = child.and_then(|mut child| {
        let stderr = child.stderr.take().map(last_bytes).unwrap_or_default();
        // `wait` closes stdin, but by now the child is at its end.
        Ok((child.wait()?, stderr))
    });
    match ended {
        Ok((status, stderr)) => verdict(path, status, &stderr).map(|()| status.success()),
        Err(error) => {
            // Nobody reads a closed stderr.
            let _ = writeln!(
                io::stderr(),
                "warning: {} cannot be tried in a child process first ({error}); if llama.cpp aborts on it, so does this \
                 program",
                path.display()
            );
            Ok(false)
        }
    }
}

/// The last bytes that `input` gives before its end.
fn last_bytes(mut input: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; MAX_STDERR]);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return kept,
            Ok(n) => {
                kept.extend_from_slice(&buffer[..n]);
                kept.drain(..kept.len().saturating_sub(MAX_STDERR));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

/// The meaning of the child's end.
fn verdict(path: &Path, status: ExitStatus, stderr: &[u8]) -> anyhow::Result<()> {
    let path = path.display();
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(code) if code == i32::from(child::TIMED_OUT) => Err(CliError::with_kind(
                Kind::Data,
                format!("{path}: llama.cpp does not come to an end with this model; is the file damaged?"),
            )),
            _ => Ok(()),
        };
    };
    Err(match signal {
        libc::SIGINT | libc::SIGTERM | libc::SIGHUP => CliError::with_kind(Kind::Interrupted, "interrupted"),
        libc::SIGKILL => CliError::with_kind(
            Kind::Unavailable,
            format!(
                "{path}: a child process that loaded this model was killed; was there too little memory? `dmesg` says \
                 so"
            ),
        ),
        _ => {
            let reason = reason(&String::from_utf8_lossy(stderr));
            let reason = if reason.is_empty() { name(signal) } else { reason };
            CliError::with_kind(
                Kind::Data,
                format!(
                    "{path}: llama.cpp crashes on this model ({reason}); the file is damaged, or of a kind that this \
                     version of llama.cpp cannot run"
                ),
            )
        }
    })
}

/// The signal's name, or its number.
fn name(signal: i32) -> String {
    match signal {
        libc::SIGABRT => "SIGABRT".into(),
        libc::SIGSEGV => "SIGSEGV".into(),
        libc::SIGFPE => "SIGFPE".into(),
        libc::SIGILL => "SIGILL".into(),
        libc::SIGBUS => "SIGBUS".into(),
        other => format!("signal {other}"),
    }
}

/// The last words of a process that ended by a failed assertion or an exception, in one line and without folders.
fn reason(stderr: &str) -> String {
    let words = stderr.split_whitespace().map(|word| match word.rsplit_once('/') {
        Some((folder, file)) if folder.starts_with('/') && file.contains(':') => file,
        _ => word,
    });
    let text = words.collect::<Vec<_>>().join(" ");
    // The end tells most.
    let skipped = text.chars().count().saturating_sub(MAX_REASON);
    text.chars().skip(skipped).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: i32, stderr: &str) -> (u8, String) {
        let path = Path::new("m.gguf");
        match verdict(path, ExitStatus::from_raw(status), stderr.as_bytes()) {
            Ok(()) => (0, String::new()),
            Err(error) => (super::super::exit::number_of(&error), error.to_string()),
        }
    }

    #[test]
    fn a_child_that_crashes_refuses_the_model_with_its_last_words_and_one_that_fails_does_not() {
        let stderr = "/a/b/llama.cpp/ggml/src/ops.cpp:12: GGML_ASSERT(a > 0) failed\n";
        let (code, text) = said(libc::SIGABRT, stderr);
        assert_eq!(code, 65);
        assert!(
            text.contains("m.gguf: llama.cpp crashes on this model (ops.cpp:12: GGML_ASSERT(a > 0) failed);"),
            "{text}"
        );
        assert!(said(libc::SIGSEGV, "").1.contains("(SIGSEGV)"));
        assert!(said(35, "").1.contains("(signal 35)"));
        assert_eq!(said(libc::SIGINT, ""), (130, "interrupted".into()));
        assert_eq!(said(libc::SIGKILL, "").0, 69);
        // Exit codes.
        assert_eq!(said(65 << 8, "error: no").0, 0);
        assert_eq!(said(i32::from(child::TIMED_OUT) << 8, "").0, 65);
    }

    #[test]
    fn of_a_long_stderr_the_end_is_kept() {
        let text = format!("{} end", "x ".repeat(MAX_STDERR));
        let kept = last_bytes(text.as_bytes());
        assert_eq!(kept.len(), MAX_STDERR);
        let reason = reason(&String::from_utf8_lossy(&kept));
        assert!(reason.ends_with(" end") && reason.chars().count() == MAX_REASON);
    }
}
