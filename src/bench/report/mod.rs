//! A report, made from rows alone, and its output formats.
//!
//! ```text
//! rows -> variants -> pairs of two variants -> report -> tables -> text, Markdown, HTML
//! ```

mod collect;
mod costs;
mod definitions;
mod findings;
mod format;
mod model;
mod noise;
mod notes;
mod numbers;
mod pairing;
mod settings;
mod variant_report;
mod variants;
mod words;

pub use collect::collect;
pub use format::{EXPORTERS, Exporter, exporter};
pub use model::{
    CostReport, Distance, Flip, FunctionReport, Mean, MetricComparison, ModeVerdict, NoiseFloor, Report,
    SCHEMA_VERSION, ScoreRow, VariantReport,
};
