//! What one format states, and the [`Codec`] that follows from it.

use std::marker::PhantomData;

use super::Codec;
use super::dispatch::{self, Kernel};
use super::vector::Vector;
use crate::gguf::GgmlType;

/// The arithmetic of one format, from which its [`Codec`] follows.
///
/// The functions must be `#[inline(always)]`: that is how [`dispatch`] compiles them more than once.
pub(super) trait Format: Send + Sync {
    const TYPE: GgmlType;

    /// [`Codec::encode`] with lengths that fit together.
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]);

    /// [`Codec::decode`] with lengths that fit together.
    fn decode_blocks(blocks: &[u8], out: &mut [f32]);
}

impl<F: Format> Codec for F {
    fn ggml_type(&self) -> GgmlType {
        F::TYPE
    }

    fn encode(&self, row: &[f32], out: &mut [u8]) {
        assert_fit(F::TYPE, row.len(), out.len());
        dispatch::run(Encode::<F> { row, out, format: PhantomData });
    }

    fn decode(&self, blocks: &[u8], out: &mut [f32]) {
        assert_fit(F::TYPE, out.len(), blocks.len());
        dispatch::run(Decode::<F> { blocks, out, format: PhantomData });
    }
}

fn assert_fit(ggml_type: GgmlType, weights: usize, bytes: usize) {
    assert!(
        (weights as u64).is_multiple_of(ggml_type.block_len())
            && ggml_type.row_bytes(weights as u64) == bytes as u64,
        "{weights} weights of {ggml_type} do not make {bytes} bytes"
    );
}

struct Encode<'a, F> {
    row: &'a [f32],
    out: &'a mut [u8],
    format: PhantomData<F>,
}

impl<F: Format> Kernel for Encode<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        F::encode_blocks::<V>(self.row, self.out);
    }
}

struct Decode<'a, F> {
    blocks: &'a [u8],
    out: &'a mut [f32],
    format: PhantomData<F>,
}

impl<F: Format> Kernel for Decode<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        F::decode_blocks(self.blocks, self.out);
    }
}
