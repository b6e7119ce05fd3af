//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod layering;
mod gguf;
mod gguf_ggml;
mod golden;
mod oracle;
mod shared;
mod verify;
mod vocab;
