//! Prices of work in fuel, so that a rendering is bounded in time and in memory, whatever the template does.
//!
//! An instruction of the engine costs one unit. The prices here are set by what the work takes: a unit is at most some
//! hundred nanoseconds, and at most about ten bytes of memory that stays in use.

use minijinja::{Error, State};

/// Bytes that are copied, compared or written for a unit.
pub(super) const BYTES: u64 = 8;

/// Price of a call of a function, filter or test.
pub(super) const CALL: u64 = 8;

/// Price of an item of a list: a value has 24 bytes, and lists double as they grow.
const ITEM: u64 = 4;

/// Price of an entry of a dictionary, or of a list, tuple or dictionary inside another.
const CONTAINER: u64 = 16;

/// Pays for `n` bytes that are copied, compared or written.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn bytes(state: &State, n: usize) -> Result<(), Error> {
    state.consume_fuel((n as u64).div_ceil(BYTES))
}

/// Pays for `n` items that are visited or put into a list.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn items(state: &State, n: usize) -> Result<(), Error> {
    state.consume_fuel((n as u64).saturating_mul(ITEM))
}

/// Pays for `n` entries of dictionaries, or lists inside a list, or items that get a sort key.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn containers(state: &State, n: usize) -> Result<(), Error> {
    state.consume_fuel((n as u64).saturating_mul(CONTAINER))
}
