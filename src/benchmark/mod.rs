//! Quantisations compared on a tool-calling data set.
//!
//! A [`Dataset`] expands into cases; a prediction for each is scored by every metric of [`metric::METRICS`].

pub mod answer;
pub mod confusion;
pub mod dataset;
mod error;
pub mod json;
pub mod metric;
pub mod predictions;
pub mod stats;

pub use dataset::{Case, Dataset, Job, Split};
pub use error::Error;
