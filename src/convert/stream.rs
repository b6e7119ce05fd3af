//! The pass over the weights: reads a slab of rows, encodes it for every file, writes it, measures the error.
//!
//! Slabs depend only on the tensors' shapes, and their offsets in the files are known beforehand. So the bytes
//! do not depend on the number or the speed of threads. Each worker owns its buffers; together they take a few
//! megabytes, whatever the model's size.

use super::{
    Error, Progress,
    output::Output,
    plan::Plan,
    slab::{Share, Slab, Worker, cut},
    source_hash::{SourceHash, SourceHasher},
};
use crate::{checkpoint::Checkpoint, quant::Loss};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Interval at which the coordinating thread reports the progress.
const TICK: Duration = Duration::from_millis(50);

/// Results of the pass.
pub(super) struct Passed {
    /// Error by file and by tensor of the plan, against the checkpoint's weights; `None` if lossless by
    /// construction.
    pub(super) losses: Vec<Vec<Option<Loss>>>,
    /// Total seconds of the workers, by file.
    pub(super) busy_s: Vec<f64>,
    /// The shards' hashes, in the order of the checkpoint's files.
    pub(super) hashes: Vec<SourceHash>,
}

/// Fills `outputs`, one for each of the plan's files, with the tensors' data.
///
/// # Errors
/// The first slab's error in file order; [`Error::Interrupted`] soon after `interrupt` is set.
pub(super) fn run(
    checkpoint: &Checkpoint,
    plan: &Plan,
    outputs: &[Output],
    threads: usize,
    progress: &mut dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Passed, Error> {
    let slabs = cut(&plan.tensors);
    let total_bytes = slabs.iter().map(Slab::source_bytes).sum();
    progress.begin("converting", total_bytes);
    let done_bytes = AtomicU64::new(0);
    let hasher = SourceHasher::new(&checkpoint.shards);
    let shares = work(
        threads,
        slabs.len(),
        interrupt,
        |worker: &mut Option<Worker>, i, share: &mut Share| {
            let worker = worker.get_or_insert_with(|| Worker::new(checkpoint, plan, outputs));
            worker.process(i, &slabs[i], share)?;
            hasher.advance(slabs[i].source_end)?;
            done_bytes.fetch_add(slabs[i].source_bytes(), Ordering::Relaxed);
            Ok(())
        },
        &mut || progress.advance_to(done_bytes.load(Ordering::Relaxed)),
    )?;
    let hashes = hasher.finish(interrupt)?;

    let files = plan.files.len();
    let mut measured: Vec<(usize, usize, Loss)> = Vec::new();
    let mut busy_s = vec![0.0; files];
    for share in shares {
        measured.extend(share.losses);
        busy_s.iter_mut().zip(share.busy_s).for_each(|(sum, seconds)| *sum += seconds);
    }
    // Sums of floats depend on the order, so slabs are always added in theirs.
    measured.sort_by_key(|&(slab, file, _)| (slab, file));
    let mut losses = vec![vec![None; plan.tensors.len()]; files];
    for (slab, file, loss) in measured {
        *losses[file][slabs[slab].tensor].get_or_insert_default() += loss;
    }
    Ok(Passed { losses, busy_s, hashes })
}

/// Runs `count` jobs on `threads` threads, in order, and calls `tick` at intervals meanwhile.
///
/// # Errors
/// The error of the first of the failed jobs; all jobs before it have finished.
pub(super) fn work<W, S: Default + Send>(
    threads: usize,
    count: usize,
    interrupt: &AtomicBool,
    job: impl Fn(&mut Option<W>, usize, &mut S) -> Result<(), Error> + Sync,
    tick: &mut dyn FnMut(),
) -> Result<Vec<S>, Error> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first_error: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let (finished, all_finished) = mpsc::channel::<()>();
    let worker = || {
        let (mut state, mut share) = (None, S::default());
        while !stop.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            let result = match interrupt.load(Ordering::Relaxed) {
                true => Err(Error::Interrupted),
                false => job(&mut state, i, &mut share),
            };
            if let Err(error) = result {
                stop.store(true, Ordering::Relaxed);
                let mut first = first_error.lock().expect("no worker panics with the lock held");
                if first.as_ref().is_none_or(|(earlier, _)| i < *earlier) {
                    *first = Some((i, error));
                }
            }
        }
        share
    };
    let shares = std::thread::scope(|scope| {
        // Fewer threads, if the system starts no more.
        let workers: Vec<_> = (0..threads.max(1))
            .map_while(|_| {
                let finished = finished.clone();
                let run = || {
                    // Dropped when the worker ends, by return or panic.
                    let _finished = finished;
                    worker()
                };
                std::thread::Builder::new().spawn_scoped(scope, run).ok()
            })
            .collect();
        drop(finished);
        if workers.is_empty() {
            return vec![worker()];
        }
        while let Err(mpsc::RecvTimeoutError::Timeout) = all_finished.recv_timeout(TICK) {
            tick();
        }
        tick();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    match first_error.into_inner().expect("no worker panics with the lock held") {
        Some((_, error)) => Err(error),
        None => Ok(shares),
    }
}
