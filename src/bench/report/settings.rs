//! Settings of a variant in words.

use crate::bench::row::{Condition, Row};

/// Formats one setting of a variant for its name.
pub(super) type Setting = fn(&Row) -> String;

fn threads(row: &Row) -> String {
    match row.key.variant.threads {
        1 => "1 thread".into(),
        n => format!("{n} threads"),
    }
}

fn n_ubatch(row: &Row) -> String {
    format!("n_ubatch {}", row.key.variant.n_ubatch)
}

fn repack(row: &Row) -> String {
    if row.key.variant.repack { "repacked".into() } else { "not repacked".into() }
}

/// Settings that may distinguish variants of the same model and mode.
pub(super) const SETTINGS: [Setting; 7] = [
    |row| format!("KV {}", row.key.variant.kv_type),
    threads,
    n_ubatch,
    repack,
    |row| {
        if row.key.variant.flash_attention { "flash attention".into() } else { "no flash attention".into() }
    },
    |row| format!("{} tokens", row.key.variant.max_tokens),
    |row| row.key.variant.engine.clone(),
];

impl Condition {
    /// Formatter of the setting that the condition changes.
    pub(super) fn setting(self) -> Setting {
        match self {
            Condition::Threads => threads,
            Condition::NUbatch => n_ubatch,
            Condition::Repack => repack,
        }
    }

    /// True if the two rows differ in the condition.
    pub(super) fn differs(self, a: &Row, b: &Row) -> bool {
        self.setting()(a) != self.setting()(b)
    }
}
