//! Checkpoints of recurrent states, at which a sequence can be cut although its memory cannot be cut elsewhere.

/// Most bytes of a sequence's checkpoints together. Those of LFM2.5-1.2B take 160 KiB each.
const MAX_BYTES: usize = 64 << 20;

/// The checkpoints of a sequence, by number of tokens.
#[derive(Default)]
pub(super) struct Checkpoints {
    kept: Vec<Checkpoint>,
}

/// The recurrent part of the state after a number of tokens.
struct Checkpoint {
    n_past: usize,
    state: Vec<u8>,
}

impl Checkpoints {
    /// Adds the state after `n_past` tokens, more than any other has.
    ///
    /// If there is no room, others go, but not the first: most prompts begin as the one before.
    pub(super) fn add(&mut self, n_past: usize, state: Vec<u8>) {
        self.kept.push(Checkpoint { n_past, state });
        let bytes = |kept: &[Checkpoint]| kept.iter().map(|checkpoint| checkpoint.state.len()).sum::<usize>();
        while self.kept.len() > 2 && bytes(&self.kept) > MAX_BYTES {
            self.kept.remove(1);
        }
    }

    /// Number of tokens at the last checkpoint; 0 without one.
    pub(super) fn last(&self) -> usize {
        self.kept.last().map_or(0, |checkpoint| checkpoint.n_past)
    }

    /// Number of tokens at the last checkpoint before `n_past` tokens; 0, the empty sequence, without one.
    pub(super) fn before(&self, n_past: usize) -> usize {
        let before = self.kept.iter().rev().find(|checkpoint| checkpoint.n_past < n_past);
        before.map_or(0, |checkpoint| checkpoint.n_past)
    }

    /// The state after exactly `n_past` tokens.
    pub(super) fn at(&self, n_past: usize) -> Option<&[u8]> {
        let found = self.kept.iter().find(|checkpoint| checkpoint.n_past == n_past)?;
        Some(&found.state)
    }

    /// Drops those after `n_past` tokens.
    pub(super) fn cut(&mut self, n_past: usize) {
        self.kept.retain(|checkpoint| checkpoint.n_past <= n_past);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_found_by_its_tokens_and_dropped_with_them() {
        let mut checkpoints = Checkpoints::default();
        assert_eq!((checkpoints.before(5), checkpoints.last()), (0, 0));
        for n_past in [3, 7, 9] {
            checkpoints.add(n_past, vec![n_past as u8]);
        }
        assert_eq!(checkpoints.at(7), Some(&[7][..]));
        assert_eq!(checkpoints.at(8), None);
        assert_eq!([3, 4, 9, 20].map(|n_past| checkpoints.before(n_past)), [0, 3, 7, 9]);
        checkpoints.cut(8);
        assert_eq!((checkpoints.last(), checkpoints.at(9)), (7, None));
    }

    #[test]
    fn the_first_and_the_last_stay_when_there_is_no_room() {
        let mut checkpoints = Checkpoints::default();
        for n_past in 1..=5 {
            checkpoints.add(n_past, vec![0; MAX_BYTES / 3]);
        }
        let kept: Vec<usize> = (1..=5).filter(|&n_past| checkpoints.at(n_past).is_some()).collect();
        assert_eq!(kept, [1, 4, 5]);
    }
}
