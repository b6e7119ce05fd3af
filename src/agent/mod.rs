//! A model with tools that run: it calls, the tools run, and their results go back, until it answers in text.
//!
//! [`run()`] is the loop. It asks a [`Responder`] for each answer, and a [`Toolbox`] of [`Source`]s for the tools: programs
//! named in a file ([`Programs`]), the recorded results of an earlier run ([`Replay`]), or a server. Before a tool acts the
//! [`User`] is asked, as [`Consent`] says.
//!
//! A tool's output is text for the model and nothing else. It becomes the content of a `tool` message, which forges no
//! special token; no part of it names a program, an environment variable or a path.

mod consent;
mod error;
mod log;
mod process;
mod programs;
mod replay;
mod result;
mod run;
mod source;
mod template;
mod tool_file;
mod toolbox;

pub use consent::{Consent, Doubt, Effect, Trust};
pub use error::{Error, Result};
pub use log::{Event, Log, LoggedCall};
pub use process::{DEFAULT_ENVIRONMENT, DEFAULT_MAX_OUTPUT, DEFAULT_TIMEOUT, Running};
pub use programs::Programs;
pub use replay::Replay;
#[cfg(feature = "engine")]
pub(crate) use result::shortened;
pub use result::{Status, ToolResult};
pub use run::{Ending, NoReply, Reply, Responder, RunSettings, User, run};
pub use source::{Action, Plan, Question, Source, SourceTool};
pub use tool_file::MAX_FILE_BYTES;
pub use toolbox::Toolbox;
