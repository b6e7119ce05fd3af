//! Definition of a block format, and the [`Codec`] built from it.

use std::marker::PhantomData;

use super::Codec;
use super::dispatch::{self, Kernel};
use super::vector::Vector;
use crate::gguf::GgmlType;

/// Arithmetic of one format; its [`Codec`] is generic over it.
///
/// The functions must be `#[inline(always)]`, so that [`dispatch`] compiles them once per instruction set.
pub(super) trait Format: Send + Sync {
    const TYPE: GgmlType;

    /// [`Codec::encode`] for checked lengths.
    fn encode_blocks<V: Vector>(row: &[f32], out: &mut [u8]);

    /// [`Codec::decode`] for checked lengths.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;
    use super::dispatch::Isa;
    use super::*;

    fn assert_equal_on_every_isa<F: Format>(row: &[f32]) {
        let mut expected: Option<(Vec<u8>, Vec<u32>)> = None;
        for isa in Isa::ALL {
            let mut blocks = vec![0; F::TYPE.row_bytes(row.len() as u64) as usize];
            dispatch::run_on(*isa, Encode::<F> { row, out: &mut blocks, format: PhantomData });
            let mut decoded = vec![0.0; row.len()];
            dispatch::run_on(*isa, Decode::<F> { blocks: &blocks, out: &mut decoded, format: PhantomData });
            let bits = decoded.into_iter().map(f32::to_bits).collect();
            let found = (blocks, bits);
            assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "{} on {isa:?}", F::TYPE);
        }
    }

    fn assert_every_format_equal_on_every_isa(row: &[f32]) {
        assert_equal_on_every_isa::<F32>(row);
        assert_equal_on_every_isa::<F16>(row);
        assert_equal_on_every_isa::<Bf16>(row);
        assert_equal_on_every_isa::<Q4_0>(row);
        assert_equal_on_every_isa::<Q4_1>(row);
        assert_equal_on_every_isa::<Q5_0>(row);
        assert_equal_on_every_isa::<Q5_1>(row);
        assert_equal_on_every_isa::<Q8_0>(row);
        assert_equal_on_every_isa::<Q4K>(row);
        assert_equal_on_every_isa::<Q5K>(row);
        assert_equal_on_every_isa::<Q6K>(row);
    }

    proptest! {
        #[test]
        fn every_instruction_set_computes_the_same_bits(row in affine_k::rows()) {
            assert_every_format_equal_on_every_isa(&row);
        }

        #[test]
        fn every_instruction_set_computes_the_same_bits_of_any_finite_weights(
            bits in prop::collection::vec(any::<u32>(), 256),
        ) {
            let finite = |x: f32| if x.is_finite() { x } else { -0.0 };
            let row: Vec<f32> = bits.into_iter().map(|bits| finite(f32::from_bits(bits))).collect();
            assert_every_format_equal_on_every_isa(&row);
        }
    }

    #[test]
    fn many_super_blocks_at_once_are_the_blocks_of_each_alone() {
        let row: Vec<f32> = (0..5 * 256).map(|i| (i as f32 * 0.7).sin() * (i as f32 * 0.01)).collect();
        for codec in CODECS {
            let bytes = codec.ggml_type().row_bytes(256) as usize;
            let mut together = vec![0; 5 * bytes];
            codec.encode(&row, &mut together);
            for (x, blocks) in row.chunks(256).zip(together.chunks(bytes)) {
                let mut alone = vec![0; bytes];
                codec.encode(x, &mut alone);
                assert_eq!(alone, blocks, "{}", codec.ggml_type());
            }
        }
    }

    #[test]
    #[should_panic(expected = "33 weights of Q8_0 do not make 34 bytes")]
    fn lengths_that_do_not_fit_are_refused() {
        Q8_0.encode(&[0.0; 33], &mut [0; 34]);
    }
}
