//! Output formats of a report.
//!
//! To add one: a file here, and a line in [`EXPORTERS`].

mod difference;
mod escape;
mod html;
mod json;
mod markdown;
mod svg;
mod table;
mod tables;
mod text;

use super::Report;

/// An output format of a report.
pub trait Exporter: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Formats the report, with a line feed at the end.
    fn export(&self, report: &Report) -> String;
}

/// Every format; the one for terminals comes first.
pub static EXPORTERS: &[&dyn Exporter] = &[&text::Text, &json::Json, &markdown::Markdown, &html::Html];

/// Finds a format by name.
pub fn exporter(name: &str) -> Option<&'static dyn Exporter> {
    EXPORTERS.iter().copied().find(|exporter| exporter.name() == name)
}
