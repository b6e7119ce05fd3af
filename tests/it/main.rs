//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod call;
mod gguf;
mod gguf_ggml;
mod golden;
mod grammar;
mod oracle;
mod pocket;
mod shared;
mod verify;
mod vocab;
