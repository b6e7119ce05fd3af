//! Measured times of decodes of several tokens, per model and setting: a [`mod@line`] of numbers.

use super::{Cache, Key, folder::COSTS, line};
use crate::runtime::{Model, Session, draft::BatchCost};
use std::time::SystemTime;

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
        self.folder.check().ok()?;
        let path = self.folder.file(&key.name(&[]), COSTS);
        BatchCost::from_line(&line::read(&path, MAX_BYTES)?)
    }

    /// Stores `costs` under `key`. A failure is only logged.
    pub fn keep_costs(&self, key: &Key, costs: &BatchCost) {
        let path = self.folder.file(&key.name(&[]), COSTS);
        let written = self.folder.prepare().and_then(|()| {
            self.folder.write(&path, &[line::with_checksum(&costs.to_line()).as_bytes()], SystemTime::now())
        });
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "the costs of decodes cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, time::Duration};

    const KEY: Key = Key([7; 32]);

    #[test]
    fn costs_come_back_as_they_were_and_a_changed_file_is_none() {
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
        assert_eq!(cache.costs(&KEY), Some(costs.clone()));
        assert_eq!(cache.list(true).unwrap().files.len(), 1);

        let path = cache.folder.file(&KEY.name(&[]), COSTS);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.costs(&KEY), None, "{at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(cache.costs(&KEY), None, "{at}");
        }
        cache.keep_costs(&KEY, &costs);
        assert_eq!(cache.costs(&KEY), Some(costs));
        cache.clear().unwrap();
        assert_eq!(cache.costs(&KEY), None);
    }
}
