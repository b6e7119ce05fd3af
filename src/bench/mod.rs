//! Quantisations compared on a tool-calling data set.
//!
//! ```text
//! dataset -> case -> (a model) -> row -> verdict, report
//!                       answer, metric    stats
//! ```
//!
//! A [`Dataset`] expands into [`Case`]s. Each answer is scored by every metric of [`metric::METRICS`] and becomes a
//! [`Row`] of a file. A [`report`] is made from rows alone: those of one run, of a resumed run, or of shards.

pub mod answer;
pub mod confusion;
pub mod dataset;
pub mod endpoint;
mod error;
pub mod json;
pub mod judge;
pub mod metric;
pub mod predictions;
pub mod published;
pub mod report;
pub mod row;
pub mod run;
pub mod speed;
pub mod stats;
pub mod verdict;

pub use dataset::{Case, Dataset, Job, Split};
pub use error::{Error, Result};
pub use row::{Mode, Row, RowKey};
