//! The report as one JSON document: everything that the statistics were made of.

use super::{Exporter, Report};

/// JSON, its form versioned.
pub struct Json;

impl Exporter for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn export(&self, report: &Report) -> String {
        let mut text = serde_json::to_string_pretty(report).expect("a report is written to memory");
        text.push('\n');
        text
    }
}
