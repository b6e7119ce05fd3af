//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod gguf;
mod gguf_ggml;
mod golden;
mod layering;
mod oracle;
mod schema;
mod shared;
mod verify;
mod vocab;
