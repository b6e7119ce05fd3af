//! A program with limits: time, bytes of output, environment, and a process group that ends with it.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::ioctl_fionbio,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

/// Variables that every tool gets, if they are set.
pub const DEFAULT_ENVIRONMENT: [&str; 8] =
    ["PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];
/// Time that a tool has unless its file says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of output that the model is shown unless the tool's file says otherwise.
pub const DEFAULT_MAX_OUTPUT: usize = 16 << 10;
/// Bytes of the end of stderr that the model is shown.
const MAX_STDERR: usize = 2 << 10;
/// Time after the program's end in which its pipes may still be read: a process that it left behind may hold them open.
const GRACE: Duration = Duration::from_millis(200);
/// Longest wait before the program is looked at again.
const SLICE: Duration = Duration::from_millis(20);

/// The process group of the program that runs now, for whoever ends this process.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<AtomicI32>);

impl Running {
    /// Ends the program, if one runs, with all processes of its group.
    pub fn kill(&self) {
        if let Some(group) = Pid::from_raw(self.0.load(Ordering::SeqCst)) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// A program to start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    /// Name or path, and arguments.
    pub argv: Vec<String>,
    /// Working folder; `None` is that of this process.
    pub directory: Option<PathBuf>,
    /// Names of the variables that it gets, if they are set here.
    pub environment: Vec<String>,
    /// Text for its stdin.
    pub input: Option<String>,
    /// Time that it may take.
    pub timeout: Duration,
    /// Bytes of stdout to keep.
    pub max_output: usize,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its status; `None` if it was ended at the time limit.
    pub status: Option<ExitStatus>,
    /// The beginning of stdout, and the bytes that there were.
    pub stdout: (Vec<u8>, u64),
    /// The end of stderr, and the bytes that there were.
    pub stderr: (Vec<u8>, u64),
}

impl Program {
    /// Runs the program to its end or its time limit. Nothing of its group outlives it.
    ///
    /// # Errors
    /// A program that cannot be started, or pipes that cannot be used.
    pub fn run(&self, running: &Running) -> io::Result<Ended> {
        let mut child = self.command().spawn()?;
        let group = Pid::from_child(&child);
        running.0.store(group.as_raw_nonzero().get(), Ordering::SeqCst);
        let ended = self.attend(&mut child, group);
        // What it left behind in its group, or the program itself after an error.
        let _ = kill_process_group(group, Signal::KILL);
        let status = child.wait();
        running.0.store(0, Ordering::SeqCst);
        let (has_ended, stdout, stderr) = ended?;
        Ok(Ended { status: has_ended.then_some(status).transpose()?, stdout, stderr })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).env_clear().process_group(0);
        let set = |name: &String| Some((name.clone(), env::var_os(name)?));
        command.envs(self.environment.iter().filter_map(set).collect::<Vec<(String, OsString)>>());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Feeds and reads `child` until it ends (true) or its time does (false).
    #[allow(clippy::type_complexity, reason = "two pipes")]
    fn attend(&self, child: &mut Child, pid: Pid) -> io::Result<(bool, (Vec<u8>, u64), (Vec<u8>, u64))> {
        let started = Instant::now();
        let mut input = Input::new(child.stdin.take(), self.input.as_deref().unwrap_or_default())?;
        let mut stdout = Output::new(child.stdout.take(), self.max_output, Keep::Beginning)?;
        let mut stderr = Output::new(child.stderr.take(), MAX_STDERR, Keep::End)?;
        let mut until = started + self.timeout;
        let mut has_ended = false;
        loop {
            if !has_ended && has_exited(pid)? {
                has_ended = true;
                until = Instant::now() + GRACE;
            }
            let now = Instant::now();
            let is_read = stdout.pipe.is_none() && stderr.pipe.is_none();
            if now >= until || has_ended && is_read {
                return Ok((has_ended, stdout.kept, stderr.kept));
            }
            wait(&input, [&stdout, &stderr], SLICE.min(until - now))?;
            input.write()?;
            stdout.read()?;
            stderr.read()?;
        }
    }
}

/// True once the process has ended. It is not waited for yet, so that no other group can get its number.
fn has_exited(pid: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(pid), options) {
        Ok(status) => Ok(status.is_some()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits until a pipe is ready, or for `time`.
fn wait(input: &Input<'_>, outputs: [&Output; 2], time: Duration) -> io::Result<()> {
    let mut pipes = Vec::new();
    if let Some(pipe) = &input.pipe {
        pipes.push(PollFd::new(pipe, PollFlags::OUT));
    }
    for output in outputs {
        if let Some(pipe) = &output.pipe {
            pipes.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        }
    }
    let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
    match poll(&mut pipes, Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Stdin of a program, and the text that it is still to get.
struct Input<'t> {
    pipe: Option<ChildStdin>,
    rest: &'t [u8],
}

impl<'t> Input<'t> {
    fn new(pipe: Option<ChildStdin>, text: &'t str) -> io::Result<Input<'t>> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Input { pipe, rest: text.as_bytes() })
    }

    /// Writes what the pipe takes now, and closes it after the last byte.
    fn write(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        while !self.rest.is_empty() {
            match pipe.write(self.rest) {
                Ok(written) => self.rest = &self.rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The program does not read it.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        self.pipe = None;
        Ok(())
    }
}

/// Part of an output that is kept.
enum Keep {
    Beginning,
    End,
}

/// An output of a program, of which a limited part is kept.
struct Output {
    pipe: Option<Box<dyn ReadPipe>>,
    kept: (Vec<u8>, u64),
    limit: usize,
    keep: Keep,
}

trait ReadPipe: Read + AsFd {}
impl<T: Read + AsFd> ReadPipe for T {}

impl Output {
    fn new(pipe: Option<impl ReadPipe + 'static>, limit: usize, keep: Keep) -> io::Result<Output> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        let pipe = pipe.map(|pipe| Box::new(pipe) as Box<dyn ReadPipe>);
        Ok(Output { pipe, kept: (Vec::new(), 0), limit, keep })
    }

    /// Reads what the pipe holds now, at most a few pieces, so that time limits are seen.
    fn read(&mut self) -> io::Result<()> {
        const PIECES: usize = 16;
        let mut piece = [0; 1 << 14];
        for _ in 0..PIECES {
            let Some(pipe) = &mut self.pipe else { return Ok(()) };
            match pipe.read(&mut piece) {
                Ok(0) => self.pipe = None,
                Ok(n) => self.add(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, piece: &[u8]) {
        let (bytes, total) = &mut self.kept;
        *total += piece.len() as u64;
        match self.keep {
            Keep::Beginning => bytes.extend_from_slice(&piece[..piece.len().min(self.limit - bytes.len())]),
            Keep::End => {
                bytes.extend_from_slice(piece);
                bytes.drain(..bytes.len().saturating_sub(self.limit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> Program {
        Program {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            directory: None,
            environment: vec!["PATH".into()],
            input: None,
            timeout: Duration::from_secs(60),
            max_output: 1000,
        }
    }

    fn run(program: &Program) -> Ended {
        program.run(&Running::default()).unwrap()
    }

    fn text(output: &(Vec<u8>, u64)) -> &str {
        std::str::from_utf8(&output.0).unwrap()
    }

    #[test]
    fn a_program_gets_its_input_its_folder_and_only_the_variables_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let ended = run(&Program {
            input: Some("{\"a\": 1}".into()),
            directory: Some(folder.clone()),
            ..program(
                "cat; echo; pwd; env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | cut -d= -f1; echo bad >&2; exit 3",
            )
        });
        assert_eq!(text(&ended.stdout), format!("{{\"a\": 1}}\n{}\nPATH\n", folder.display()));
        assert_eq!((ended.status.unwrap().code(), text(&ended.stderr)), (Some(3), "bad\n"));
    }

    #[test]
    fn output_is_read_to_its_end_and_kept_within_the_limit() {
        let ended = run(&program(
            "head -c 3000000 /dev/zero | tr '\\0' x; head -c 100000 /dev/zero | tr '\\0' y >&2; printf end >&2",
        ));
        assert_eq!(ended.status.unwrap().code(), Some(0));
        assert_eq!((ended.stdout.0.len(), ended.stdout.1), (1000, 3_000_000));
        assert_eq!((ended.stderr.0.len(), ended.stderr.1), (MAX_STDERR, 100_003));
        assert!(ended.stderr.0.ends_with(b"yend"));
    }

    #[test]
    fn a_large_input_and_a_large_output_do_not_wait_for_each_other() {
        let input = "z".repeat(1 << 20);
        let ended = run(&Program { input: Some(input), ..program("cat") });
        assert_eq!((ended.status.unwrap().code(), ended.stdout.1), (Some(0), 1 << 20));
        // A program that reads nothing of its input.
        let ended = run(&Program { input: Some("z".repeat(1 << 20)), ..program("exit 4") });
        assert_eq!(ended.status.unwrap().code(), Some(4));
    }

    #[test]
    fn a_program_past_its_time_is_ended_with_all_of_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("sleep 600 & echo $! >{0}; echo $$ >>{0}; echo begun; wait", pids.display());
        let ended = run(&Program { timeout: Duration::from_secs(1), ..program(&script) });
        assert!(ended.status.is_none());
        assert_eq!(text(&ended.stdout), "begun\n");
        for pid in std::fs::read_to_string(&pids).unwrap().lines() {
            assert!(!is_alive(pid), "{pid} is still there");
        }
    }

    #[test]
    fn what_a_program_leaves_in_its_group_ends_with_it() {
        let ended = run(&program("sleep 600 & echo $!"));
        assert_eq!(ended.status.unwrap().code(), Some(0));
        assert!(!is_alive(text(&ended.stdout).trim()));
    }

    /// True for a process that exists and is no zombie, which its parent has not waited for.
    fn is_alive(pid: &str) -> bool {
        // The signal is sent; the process may take a moment to end, but nothing keeps it.
        for _ in 0..500 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
            if matches!(state, None | Some(Some('Z' | 'X'))) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error() {
        let missing = Program { argv: vec!["no-such-program-here".into()], ..program("") };
        assert_eq!(missing.run(&Running::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_running_program_is_ended_from_another_thread() {
        let running = Running::default();
        let other = running.clone();
        let waits = std::thread::spawn(move || {
            while other.0.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            other.kill();
        });
        let ended = program("sleep 600").run(&running).unwrap();
        waits.join().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status.unwrap()), Some(9));
        assert_eq!(running.0.load(Ordering::SeqCst), 0);
        running.kill();
    }
}
