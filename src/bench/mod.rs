//! Quantisations compared on a tool-calling data set.
//!
//! ```text
//! data          -> run                 -> row            -> score            -> report
//! job and cases    models answer them     one an answer     metrics, judge,     text, Markdown,
//!                                                           statistics          JSON, HTML
//! ```
//!
//! A [`Dataset`] expands into [`Case`]s. Each answer is scored by every metric of [`score::metric::METRICS`] and becomes
//! a [`Row`] of a file. A [`report`] is made from rows alone: those of one run, of a resumed run, or of shards. Modules
//! use each other in one direction: `data` <- `row` <- `score` <- `run`, `report` and `speed`.

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
