//! Hexadecimal digits of hashes.

/// Lower-case hexadecimal digits of `bytes`.
pub(in crate::bench) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
