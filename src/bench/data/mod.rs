//! The data of a benchmark: a job with its tools, and conversations with the calls to predict.

mod answer;
mod case;
mod dataset;
mod document;
mod identity;
mod input;
mod job;
pub mod json;
pub mod published;

pub use answer::{Call, CallError, Style, prediction};
pub use case::{Case, Unscored};
pub use dataset::{Dataset, Split};
pub use identity::DataId;
pub use job::Job;
