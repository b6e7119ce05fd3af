//! Stderr of a server's process: logged line by line, and its end kept for errors.

use crate::display::visible;
use std::{
    io::{self, PipeReader, PipeWriter, Read},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

/// Bytes of the end that are kept.
const MAX_KEPT: usize = 600;
/// Longest piece of a line in the log.
const MAX_LINE: usize = 4096;
/// Time for the last words of a process that has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Reader of a process's stderr, on a thread of its own.
pub(super) struct Stderr {
    end: Arc<Mutex<Vec<u8>>>,
    is_closed: Receiver<()>,
}

impl Stderr {
    /// The reader, and the end of the pipe for the process. `server` is the name in the log.
    ///
    /// # Errors
    /// No pipe or no thread to be had.
    pub fn start(server: String) -> io::Result<(Stderr, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let end = Arc::default();
        let (closes, is_closed) = mpsc::channel();
        let kept = Arc::clone(&end);
        let read = move || {
            read(&server, reader, &kept);
            drop(closes);
        };
        thread::Builder::new().spawn(read)?;
        Ok((Stderr { end, is_closed }, writer))
    }

    /// The end of what the process wrote, on one line.
    pub fn last_words(&self) -> String {
        // An error is the news: nothing is sent.
        let _ = self.is_closed.recv_timeout(LAST_WORDS);
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        visible(String::from_utf8_lossy(&end).trim())
    }
}

fn read(server: &str, mut reader: PipeReader, end: &Mutex<Vec<u8>>) {
    let (mut line, mut piece) = (Vec::new(), [0; MAX_LINE]);
    loop {
        let n = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        {
            let mut end = end.lock().unwrap_or_else(PoisonError::into_inner);
            end.extend_from_slice(&piece[..n]);
            let surplus = end.len().saturating_sub(MAX_KEPT);
            end.drain(..surplus);
        }
        for part in piece[..n].split_inclusive(|&byte| byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() > MAX_LINE {
                log(server, &line);
                line.clear();
            }
        }
    }
    log(server, &line);
}

fn log(server: &str, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    if !text.trim().is_empty() {
        tracing::debug!("{server}: {}", visible(text.trim_end()));
    }
}
