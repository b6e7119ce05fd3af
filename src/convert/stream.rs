//! The one pass over the weights: read a slab of rows, encode it for every file, write it, measure it.
//!
//! Slabs are cut by the tensors' shapes alone and land at offsets that are known beforehand, so the
//! bytes do not depend on how many threads there are or which is faster. Each worker owns its buffers;
//! together they are a few megabytes, whatever the model's size.

use super::{
    Error, Progress,
    deviation::Deviation,
    output::Output,
    plan::Plan,
    slab::{Slab, Worker, cut},
    source_hash::{SourceHash, SourceHasher},
};
use crate::checkpoint::Checkpoint;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// How often the coordinating thread looks at the progress.
const TICK: Duration = Duration::from_millis(50);

/// What the pass found out.
pub(super) struct Passed {
    /// For each file, for each of the plan's tensors: how far its weights are from the source's;
    /// `None` where they are the same by construction.
    pub(super) deviations: Vec<Vec<Option<Deviation>>>,
    /// For each file the seconds that workers spent on it, taken together.
    pub(super) busy_s: Vec<f64>,
    /// The shards' hashes, in the order of the checkpoint's files.
    pub(super) hashes: Vec<SourceHash>,
}

/// What one worker hands over when it is done.
#[derive(Default)]
pub(super) struct Share {
    /// Slab, file and what was measured.
    pub(super) deviations: Vec<(usize, usize, Deviation)>,
    /// Seconds for each file.
    pub(super) busy_s: Vec<f64>,
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
            hasher.advance(&slabs[i])?;
            done_bytes.fetch_add(slabs[i].source_bytes(), Ordering::Relaxed);
            Ok(())
        },
        &mut || progress.advance_to(done_bytes.load(Ordering::Relaxed)),
    )?;
    let hashes = hasher.finish(interrupt)?;

    let files = plan.files.len();
    let mut measured: Vec<(usize, usize, Deviation)> = Vec::new();
    let mut busy_s = vec![0.0; files];
    for share in shares {
        measured.extend(share.deviations);
        busy_s.iter_mut().zip(share.busy_s).for_each(|(sum, seconds)| *sum += seconds);
    }
    // Sums of floats depend on their order; slabs are added in theirs.
    measured.sort_by_key(|&(slab, file, _)| (slab, file));
    let mut deviations = vec![vec![None; plan.tensors.len()]; files];
    for (slab, file, deviation) in measured {
        deviations[file][slabs[slab].tensor].get_or_insert_with(Deviation::default).merge(&deviation);
    }
    Ok(Passed { deviations, busy_s, hashes })
}

/// Spreads `count` jobs over `threads`, in order, and calls `tick` now and then meanwhile.
///
/// # Errors
/// Of the jobs that failed the first one's error: all jobs before it have been carried out.
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
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let finished = finished.clone();
                scope.spawn(|| {
                    // Dropped when the worker ends, however it ends.
                    let _finished = finished;
                    worker()
                })
            })
            .collect();
        drop(finished);
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
