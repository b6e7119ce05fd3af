//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod call;
mod chat;
mod choice;
mod convert;
mod dialect;
mod edited;
mod fixture;
mod gguf;
mod gguf_ggml;
mod golden;
mod grammar;
mod guard;
mod inspect;
mod layering;
mod models;
mod oracle;
mod place;
mod pocket;
mod quantizer;
mod refused;
mod room;
mod schema;
mod shared;
mod tokenizer_keys;
mod verify;
mod vocab;
