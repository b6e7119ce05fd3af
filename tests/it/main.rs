//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod convert;
mod fixture;
mod gguf;
mod gguf_ggml;
mod golden;
mod inspect;
mod oracle;
mod place;
mod quantizer;
mod refused;
mod shared;
mod tokenizer_keys;
mod verify;
mod vocab;
