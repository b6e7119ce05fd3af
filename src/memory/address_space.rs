//! The limit on a process's address space (`ulimit -v`), which ends llama.cpp and the allocator without a message.

use crate::machine;
use std::path::Path;

/// Address space beside a model: stacks of threads, and what the allocator reserves for each thread. Measured
/// with a small model, which runs with this much and fails by chance with less.
const BESIDE_BYTES: u64 = 80 << 20;

/// A process whose address space is limited to less than it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may address {} MiB (`ulimit -v`), of which {} MiB are left, and this takes about {} MiB more; raise \
     the limit, or limit the memory of a control group instead",
    limit >> 20, left >> 20, needed >> 20
)]
pub struct AddressSpaceError {
    /// Bytes that are needed.
    pub needed: u64,
    /// Bytes that are left.
    pub left: u64,
    /// The limit in bytes.
    pub limit: u64,
}

/// Checks that this process may address `bytes` more, for weights, mapped or copied, and buffers.
///
/// # Errors
/// [`AddressSpaceError`] if its limit is too low.
pub fn check_address_space(bytes: u64) -> Result<(), AddressSpaceError> {
    check(bytes, machine::address_space(Path::new("/")))
}

fn check(bytes: u64, space: Option<(u64, u64)>) -> Result<(), AddressSpaceError> {
    let needed = bytes.saturating_add(BESIDE_BYTES);
    match space {
        Some((limit, left)) if left < needed => Err(AddressSpaceError { needed, left, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_address_space_is_told_before_an_allocation_fails() {
        check(1 << 40, None).unwrap();
        check(100 << 20, Some((400 << 20, 300 << 20))).unwrap();
        let error = check(200 << 20, Some((400 << 20, 270 << 20))).unwrap_err();
        let expected = "this process may address 400 MiB (`ulimit -v`), of which 270 MiB are left, and this takes about \
                        280 MiB more";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
