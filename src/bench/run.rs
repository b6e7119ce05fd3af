//! A run: models answer the cases of a data set, and each answer becomes a row.
//!
//! ```text
//! local models: RunPlan -> Run -> CaseRunner -> answer --+
//!                                                        +-> RowBuilder -> row
//! a server:     Endpoint -> request, reply -> answer ----+
//! ```

mod case_runner;
mod condition;
mod divergence;
pub mod endpoint;
mod loaded_model;
mod local;
mod meter;
mod plan;
mod renderer;
pub mod room;
mod row_builder;
mod settings;
mod stopwatch;
mod variant_config;

pub use divergence::DivergenceSum;
pub use loaded_model::{LoadedModel, check_distinct, reference};
pub use local::{PromptTokens, Run};
pub use meter::Meter;
pub use plan::RunPlan;
pub use settings::{CallSettings, Settings};
pub use stopwatch::{Stopwatch, host};
pub use variant_config::{RULES, VariantConfig};
