//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod call;
mod chat;
mod choice;
mod convert;
mod fixture;
mod gguf;
mod gguf_ggml;
mod golden;
mod grammar;
mod inspect;
mod layering;
mod models;
mod oracle;
mod place;
mod pocket;
mod quantizer;
mod refused;
mod schema;
mod shared;
mod tokenizer_keys;
mod verify;
mod vocab;
