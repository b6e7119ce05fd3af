//! The size of each module's change against the weights that it is added to.

use super::merge::Merge;
use super::reader::Reader;
use crate::checkpoint::{Checkpoint, Error};
use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Weights that are computed at once, unless a row is longer.
const BLOCK_LEN: u64 = 1 << 17;

/// Rows of a module's tensor.
struct Block {
    module: usize,
    tensor: usize,
    rows: Range<u64>,
}

/// Sums of squares: of the change, and of the weights.
type Squares = (f64, f64);

impl Merge {
    /// For each of [`Merge::modules`], the Frobenius norm of its change over that of the weights before it, computed on
    /// `threads` threads from all of the weights; `None` after `interrupt` was set.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn relative_changes(
        &self,
        checkpoint: &Checkpoint,
        threads: usize,
        interrupt: &AtomicBool,
    ) -> Result<Option<Vec<f64>>, Error> {
        let blocks = self.blocks(checkpoint);
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Squares>>> = Mutex::new(vec![None; blocks.len()]);
        let worker = || -> Result<(), Error> {
            let mut reader = Reader::new(&checkpoint.shards, &self.adapters, &self.tensors);
            while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < blocks.len())
            {
                if interrupt.load(Ordering::Relaxed) {
                    break;
                }
                let block = &blocks[number];
                let step = self.modules()[block.module].step;
                let squares = reader.squares(block.tensor, step, block.rows.clone())?;
                results.lock().expect("no worker panics with the lock held")[number] = Some(squares);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, worker).ok())
                .collect();
            let mine = worker();
            let joined = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.fold(mine, |first, other| first.and(other))
        })?;
        let results = results.into_inner().expect("no worker panics with the lock held");
        // Added in the blocks' order: sums of floats depend on it.
        let mut sums = vec![(0.0, 0.0); self.modules().len()];
        for (block, squares) in blocks.iter().zip(results) {
            let Some((change, weights)) = squares else { return Ok(None) };
            sums[block.module].0 += change;
            sums[block.module].1 += weights;
        }
        Ok(Some(sums.into_iter().map(|(change, weights)| (change / weights).sqrt()).collect()))
    }

    fn blocks(&self, checkpoint: &Checkpoint) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (module, about) in self.modules().iter().enumerate() {
            let Some(source) = checkpoint.shards.tensor(&about.tensor) else { continue };
            let Some(tensor) = source.overlay else { continue };
            let (rows, width) = (source.shape[0], source.shape.get(1).copied().unwrap_or(1));
            let step = (BLOCK_LEN / width.max(1)).max(1);
            for start in (0..rows).step_by(step as usize) {
                blocks.push(Block { module, tensor, rows: start..rows.min(start + step) });
            }
        }
        blocks
    }
}
