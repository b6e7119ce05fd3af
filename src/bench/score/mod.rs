//! Scores: metrics of single answers, verdicts of a judge, and the statistics that decide.

pub mod confusion;
pub mod judge;
pub mod metric;
pub mod predictions;
mod row_scores;
pub mod stats;
mod unreachable;
pub mod verdict;

pub use row_scores::score_row;
pub use unreachable::{Unreachable, unreachable};
