//! How many steps calls take, and how long.

mod replay;

pub use replay::{Replay, SLOPES, replay};
