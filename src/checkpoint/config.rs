//! `config.json`, typed.

use serde_json::{Map, Value};

/// The parts of `config.json` that a conversion reads, with transformers' defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The whole document.
    pub raw: Map<String, Value>,
}
