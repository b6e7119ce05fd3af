//! Measured times of decodes of several tokens, per model and setting: a [line](super::line) of numbers.

use super::{Cache, Key, folder::COSTS};
use crate::runtime::{Model, Session, draft::BatchCost};

/// Size limit of the file; real lines are far shorter.
const MAX_BYTES: u64 = 4096;

impl Cache {
    /// The key of the decode costs of `model` in `session`'s setting on this machine. `None`, with a warning in
    /// the log, if the model's file was replaced since it was loaded.
    pub fn costs_key(&self, model: &Model, session: &Session<'_>) -> Option<Key> {
        // A home directory may be shared by machines that differ in nothing but speed.
        let host = rustix::system::uname();
        Key::for_session(model, session, &[b"costs", host.nodename().to_bytes()])
            .inspect_err(|error| tracing::warn!(%error, "no costs of decodes are kept"))
            .ok()
    }

    /// The costs stored under `key`; `None` if there are none, or if the file or folder cannot be trusted.
    pub fn costs(&self, key: &Key) -> Option<BatchCost> {
        BatchCost::from_line(&self.note(key, COSTS, MAX_BYTES)?)
    }

    /// Stores `costs` under `key`. A failure is only logged.
    pub fn keep_costs(&self, key: &Key, costs: &BatchCost) {
        self.keep_note(key, COSTS, &costs.to_line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: Key = Key([7; 32]);

    #[test]
    fn costs_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        assert_eq!(cache.costs(&KEY), None);
        let mut costs = BatchCost::expected(0.5);
        for round in 0..20 {
            costs.learn(1, Duration::from_millis(10));
            costs.learn(3, Duration::from_millis(14 + round % 3));
        }
        assert!((costs.relative(3) - 1.5).abs() < 0.05, "{}", costs.relative(3));
        cache.keep_costs(&KEY, &costs);
        assert_eq!(cache.costs(&KEY), Some(costs));
        assert_eq!(cache.list(true).unwrap().files.len(), 1);
        cache.clear().unwrap();
        assert_eq!(cache.costs(&KEY), None);
    }
}
