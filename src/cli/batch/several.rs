//! Several lines answered at the same time.
//!
//! ```text
//! reader -> feed -> slots, a thread each -> the calling thread, which writes
//! ```
//!
//! A line is read only if few others are read and not written yet. So few answers wait for one before them, and a run that
//! is killed loses few. Reading has a thread of its own, since a program that writes requests may wait for an answer
//! before it writes the next.

use super::{
    Answerer,
    line::{Failure, Line},
    source::Source,
    tally::Tally,
};
use crate::cli::exit::CliError;
use edgecall::{
    Kind,
    call::{Answer, Slot},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// Lines for each slot that are read and not written.
const LINES_PER_SLOT: usize = 4;
/// Stack of a slot's thread, as large as that of a program's first one usually is.
const STACK_BYTES: usize = 8 << 20;

/// Index of a request among those to be answered, the request, and its answer.
type Answered = (usize, Line, Result<Answer, Failure>);

/// Lines that wait for a slot.
struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    is_over: AtomicBool,
}

#[derive(Default)]
struct State {
    lines: VecDeque<(usize, Line)>,
    /// Number of lines that may still be read.
    room: usize,
    /// Number of lines that were skipped, once all are read; or why reading ended.
    end: Option<anyhow::Result<usize>>,
}

/// Answers the lines of `source` in all of `slots`, and gives the number of those that were answered before.
///
/// # Errors
/// Those of the source and of `tally`.
pub fn answer(
    source: Source,
    slots: Vec<Slot<'_>>,
    answerer: &Answerer<'_>,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let feed = Arc::new(Feed::new(slots.len() * LINES_PER_SLOT));
    let filled = feed.clone();
    let no_thread = |error: std::io::Error| {
        CliError::with_kind(Kind::Unavailable, format!("cannot start a thread: {error}"))
    };
    // Nobody waits for it: it may wait for a line that never comes.
    thread::Builder::new().spawn(move || filled.fill(source)).map_err(no_thread)?;
    let (sender, answers) = mpsc::channel::<Answered>();
    thread::scope(|scope| {
        for mut slot in slots {
            let (sender, feed) = (sender.clone(), &feed);
            let answer = move || {
                let _ends = EndsOnPanic(feed);
                while let Some((index, line)) = feed.next() {
                    let answer = answerer.answer(&mut slot, &line, &feed.is_over);
                    if sender.send((index, line, answer)).is_err() {
                        break;
                    }
                }
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, answer) {
                feed.end();
                return Err(no_thread(error));
            }
        }
        drop(sender);
        for (index, line, answer) in answers {
            match tally.take(index, line, answer) {
                Ok(written) => feed.written(written),
                Err(error) => {
                    feed.end();
                    return Err(error);
                }
            }
        }
        feed.state().end.take().unwrap_or(Ok(0))
    })
}

impl Feed {
    /// A feed of which `room` lines may be read before the first is written.
    fn new(room: usize) -> Feed {
        Feed {
            state: Mutex::new(State { room, ..State::default() }),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'f>(&self, state: MutexGuard<'f, State>) -> MutexGuard<'f, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads lines as long as there is room.
    fn fill(&self, mut source: Source) {
        let _ends = EndsOnPanic(self);
        for index in 0.. {
            let mut state = self.state();
            while state.room == 0 && !self.is_over() {
                state = self.wait(state);
            }
            if self.is_over() {
                return;
            }
            drop(state);
            let line = source.next();
            let mut state = self.state();
            match line {
                Ok(Some(line)) => {
                    state.room -= 1;
                    state.lines.push_back((index, line));
                }
                Ok(None) => state.end = Some(Ok(source.skipped())),
                Err(error) => state.end = Some(Err(error)),
            }
            self.changed.notify_all();
            if state.end.is_some() {
                return;
            }
        }
    }

    /// Waits for the next line; `None` once there are no more.
    fn next(&self) -> Option<(usize, Line)> {
        let mut state = self.state();
        loop {
            if self.is_over() {
                return None;
            }
            if let Some(line) = state.lines.pop_front() {
                return Some(line);
            }
            if state.end.is_some() {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// Notes that `lines` more were written.
    fn written(&self, lines: usize) {
        self.state().room += lines;
        self.changed.notify_all();
    }

    /// Ends the run: no line is begun any more, and answers that are being made are given up.
    fn end(&self) {
        let state = self.state();
        self.is_over.store(true, Ordering::Relaxed);
        drop(state);
        self.changed.notify_all();
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Ends the run if a slot fails: the answer to its line would be waited for without end.
struct EndsOnPanic<'f>(&'f Feed);

impl Drop for EndsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}
