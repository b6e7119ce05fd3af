//! Run a fine-tuned tool-calling model on a laptop or a Raspberry Pi.
//!
//! The modules are listed in the order in which data flows:
//!
//! ```text
//! checkpoint -> convert -> GGUF file -> runtime -> call
//!                 ^                       ^         ^
//!           quant, gguf             gguf, mmap   tools, chat
//! ```
//!
//! [`arch`] describes the model architectures; all of these read it.
//!
//! Only the GGUF file passes between the two halves: `convert` does not use llama.cpp, and `runtime` does not read
//! checkpoints. [`verify`] joins them for one purpose, the token check.
//!
//! # Converting a checkpoint
//!
#![cfg_attr(feature = "engine", doc = "```no_run")]
#![cfg_attr(not(feature = "engine"), doc = "```ignore")]
#![doc = include_str!("../examples/convert.rs")]
//! ```
//!
//! # Making a call
//!
#![cfg_attr(feature = "engine", doc = "```no_run")]
#![cfg_attr(not(feature = "engine"), doc = "```ignore")]
#![doc = include_str!("../examples/call.rs")]
//! ```

#![deny(unsafe_code, missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("edgecall needs a 64-bit system; on a Raspberry Pi: the 64-bit Raspberry Pi OS");

pub mod display;
pub mod files;
pub mod hash;
pub mod http;
pub mod json;
pub mod kind;
pub mod machine;
pub mod mmap;
pub mod random;
pub mod remedy;
pub mod stack;

pub mod arch;
pub mod checkpoint;
pub mod gguf;
pub mod guard;
pub mod quant;

pub mod adapter;
pub mod chat;
pub mod convert;
pub mod hub;

pub mod schema;
pub mod tools;

pub mod agent;
pub mod dialect;

pub mod profile;

#[cfg(feature = "engine")]
pub mod mcp;
#[cfg(feature = "engine")]
pub mod runtime;

#[cfg(feature = "engine")]
pub mod cache;
pub mod inspect;
pub mod memory;

#[cfg(feature = "engine")]
pub mod api;
#[cfg(feature = "engine")]
pub mod call;
#[cfg(feature = "engine")]
pub mod serve;
#[cfg(feature = "engine")]
pub mod verify;
#[cfg(feature = "engine")]
pub mod witness;

pub mod bench;
pub mod bundle;
#[cfg(feature = "engine")]
pub mod doctor;

pub use kind::Kind;
