//! The data of a benchmark: a job with its tools, and conversations with the calls to predict.

mod answer;
mod dataset;
mod hex;
pub mod json;
pub mod published;

pub use answer::{Call, CallError, Style, prediction};
pub use dataset::{Case, DataId, Dataset, Job, Split};
pub(super) use hex::hex;
