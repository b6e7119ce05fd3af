//! Beside the grammar: checks of what no rule expresses.
//!
//! In go the document, the report on its keywords, and its validators. Out come [`Checks`], with the [`SchemaGraph`]
//! of the subschemas that apply to each part of a value. A [`Tracker`] follows generated text through the graph, and
//! vetoes the byte that closes a value with a [`Violation`].

mod build;
mod checks;
mod distance;
mod follower;
mod graph;
mod scan;
mod state;
mod tracker;
mod violation;

pub use checks::Checks;
pub use follower::Follower;
pub(crate) use graph::SchemaGraph;
pub use tracker::Tracker;
pub use violation::Violation;
