//! stdin, which a caller may leave open without a word: CI runners, cron, agents and `subprocess.Popen` do.

use super::{MAX_INPUT_BYTES, too_long};
use anyhow::Context;
use edgecall::files;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Time that stdin has for its first byte or its end, where there is a prompt without it.
const FIRST_BYTE: Duration = Duration::from_millis(200);

/// Time after which a line says what the program waits for.
const SILENCE: Duration = Duration::from_secs(1);

/// All of stdin. If that takes a while, a line on stderr says so.
pub(super) fn read() -> anyhow::Result<Vec<u8>> {
    match pieces() {
        Some(pieces) => rest(&pieces, Vec::new()),
        None => whole(),
    }
}

/// All of stdin if it is a file, or if its first byte or its end comes soon; else nothing, which a line on stderr says.
pub(super) fn read_if_it_speaks() -> anyhow::Result<Vec<u8>> {
    let Some(pieces) = pieces() else { return whole() };
    match pieces.recv_timeout(FIRST_BYTE) {
        Ok(piece) => rest(&pieces, piece.context("cannot read stdin")?),
        Err(RecvTimeoutError::Disconnected) => Ok(Vec::new()),
        Err(RecvTimeoutError::Timeout) => {
            note(
                "stdin is open and sent nothing within 0.2 s, so only the PROMPT is answered; `-` as the PROMPT waits for \
                 stdin, and </dev/null closes it",
            );
            Ok(Vec::new())
        }
    }
}

fn whole() -> anyhow::Result<Vec<u8>> {
    let bytes = files::read_within(MAX_INPUT_BYTES, io::stdin().lock()).context("cannot read stdin")?;
    bytes.ok_or_else(|| too_long("stdin"))
}

/// The bytes that come in on stdin, read by a thread; `None` for a regular file, which needs none, or if no thread can be started.
fn pieces() -> Option<Receiver<io::Result<Vec<u8>>>> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    if stdin.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let read = move || {
        let mut stdin = stdin;
        loop {
            let mut piece = vec![0; 1 << 16];
            let read = match stdin.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => {
                    piece.truncate(n);
                    Ok(piece)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().spawn(read).ok()?;
    Some(receiver)
}

/// `bytes` and all that follow them.
fn rest(pieces: &Receiver<io::Result<Vec<u8>>>, mut bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut is_told = false;
    loop {
        if bytes.len() as u64 > MAX_INPUT_BYTES {
            return Err(too_long("stdin"));
        }
        let piece = match pieces.recv_timeout(SILENCE) {
            Err(RecvTimeoutError::Timeout) if !is_told => {
                is_told = true;
                note("waiting for the end of stdin");
                continue;
            }
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(bytes),
            Ok(piece) => piece.context("cannot read stdin")?,
        };
        bytes.extend_from_slice(&piece);
    }
}

/// Writes a line to stderr, which may be closed.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "note: {text}");
}
