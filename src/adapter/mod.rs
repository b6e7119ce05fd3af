//! LoRA adapters of PEFT, merged into a checkpoint's tensors while they are read.
//!
//! ```text
//! Adapter::open   adapter_config.json and the header of adapter_model.safetensors; what is not merged is refused
//! find_base       the checkpoint that the adapter belongs to
//! merge           each tensor's steps; the result is a checkpoint whose changed tensors are computed row by row
//! ```
//!
//! The arithmetic is that of peft 0.21 on an x86-64 CPU, to the last bit: `merge_and_unload()` on the model in its own
//! dtype ([`Mode::Peft`]), or two variants of it. Rows are independent of each other, so any split into blocks of rows
//! gives the same bits.

mod apply;
mod attach;
mod base;
mod config;
mod error;
mod evidence;
mod fields;
mod folder;
mod keys;
mod lora;
mod measure;
mod merge;
mod model;
mod module;
mod pattern;
mod product;
mod reader;
mod refused;
mod rounding;
mod steps;
mod summary;
mod targets;
mod vocabulary;
mod whole;

pub use base::find_base;
pub use error::{Bases, Error};
pub use fields::Error as ConfigError;
pub use folder::{Adapter, is_adapter};
pub use merge::{Merge, Merged, merge};
pub use module::Module;
pub use steps::Mode;
pub use summary::Summary;
