//! Tools of MCP servers: child processes that speak on stdio, and servers that speak streamable HTTP.
//!
//! A server is somebody else's program. Its tools' definitions, its results and its notes are text of strangers: sizes and
//! times are limited, its annotations are shown and decide nothing, and it gets the variables of its environment that are
//! named and no others.

mod address;
mod error;
mod result;
mod server;
mod stderr;
mod transport;

pub use address::Address;
pub use error::{Error, Result};
pub use server::{DEFAULT_TIMEOUT, Server, Settings};
