//! F32: unchanged weights, four little-endian bytes each.

use super::format::Format;
use super::vector::Vector;
use crate::gguf::GgmlType;

/// Unchanged weights.
pub struct F32;

impl Format for F32 {
    const TYPE: GgmlType = GgmlType::F32;

    #[inline(always)]
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]) {
        for (x, bytes) in row.iter().zip(out.as_chunks_mut::<4>().0) {
            *bytes = x.to_le_bytes();
        }
    }

    #[inline(always)]
    fn decode_blocks(blocks: &[u8], out: &mut [f32]) {
        for (bytes, x) in blocks.as_chunks::<4>().0.iter().zip(out) {
            *x = f32::from_le_bytes(*bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Codec;
    use super::*;

    #[test]
    fn a_weight_is_its_own_four_bytes() {
        let mut out = [0; 8];
        F32.encode(&[1.0, -0.0], &mut out);
        assert_eq!(out, [0, 0, 0x80, 0x3f, 0, 0, 0, 0x80]);
        let mut back = [0.0; 2];
        F32.decode(&out, &mut back);
        assert_eq!(back.map(f32::to_bits), [0x3f80_0000, 0x8000_0000]);
    }
}
