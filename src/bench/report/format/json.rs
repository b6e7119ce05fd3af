//! The report as one JSON document, with all data behind the statistics.

use super::Exporter;
use crate::bench::report::Report;

/// Exporter of versioned JSON.
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
