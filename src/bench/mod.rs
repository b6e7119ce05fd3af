//! Quantisations compared on a tool-calling data set.
//!
//! ```text
//! dataset -> case -> (a model) -> row -> verdict, report
//!                       answer, metric    stats
//! ```
//!
//! A [`Dataset`] expands into [`Case`]s. Each answer is scored by every metric of [`metric::METRICS`] and becomes a
//! [`Row`] of a file. A [`report`] is made from rows alone: those of one run, of a resumed run, or of shards.

pub mod data;
mod error;
pub mod report;
pub mod row;
pub mod run;
pub mod score;
pub mod speed;

pub use data::{Case, Dataset, Job, Split};
pub use error::{Error, Result};
pub use row::{Mode, Row, RowKey};
