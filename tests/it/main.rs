//! Promises to users, one module each, in one binary: each test binary links llama.cpp again.

mod chat;
mod shared;
