//! Rows of f32 -> blocks and back; pure arithmetic.
//!
//! Every encoder writes, byte for byte, what the x86-64 build of ggml writes, on every machine: the
//! same float operations in the same order, never contracted into fused multiply-adds. The kernels
//! are plain Rust over fixed-size arrays; [`dispatch`] compiles each of them for the baseline of the
//! target and for wider vectors, and picks one at run time. All of them compute the same bits.

mod affine_k;
mod bf16;
mod block32;
mod dispatch;
mod f16;
mod f32;
mod finite;
mod lanes;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod scale_min;

pub use bf16::Bf16;
pub use f16::F16;
pub use f32::F32;
pub use finite::first_non_finite;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

use crate::gguf::GgmlType;
use dispatch::Kernel;

/// One block format: encodes rows of `f32` and decodes them again.
pub trait Codec: Send + Sync {
    /// The type it implements, which also states the block's length and bytes.
    fn ggml_type(&self) -> GgmlType;

    /// Encodes `row` into `out`, byte for byte what ggml's `ggml_quantize_chunk` writes without an
    /// importance matrix.
    ///
    /// `row` is `[n]` with `n % block_len == 0`, all finite; it may be many rows of a tensor at once,
    /// for no format looks beyond a block. `out` is `[n / block_len * block_bytes]` bytes.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    fn encode(&self, row: &[f32], out: &mut [u8]);

    /// Decodes `blocks` into `out`: the weights that ggml computes with.
    ///
    /// `blocks` is `[n / block_len * block_bytes]` bytes; `out` is `[n]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    fn decode(&self, blocks: &[u8], out: &mut [f32]);
}

/// Every block format the converter writes, by type number.
pub static CODECS: &[&dyn Codec] = &[&F32, &F16, &Q4_0, &Q4_1, &Q5_0, &Q5_1, &Q8_0, &Q4K, &Q5K, &Q6K, &Bf16];

/// The codec of a type, if the converter writes it.
pub fn codec(ggml_type: GgmlType) -> Option<&'static dyn Codec> {
    CODECS.iter().copied().find(|codec| codec.ggml_type() == ggml_type)
}

/// The arithmetic of one format, from which its [`Codec`] follows.
///
/// The functions must be `#[inline(always)]`: that is how [`dispatch`] compiles them more than once.
trait Format: Send + Sync {
    const TYPE: GgmlType;

    /// [`Codec::encode`] with lengths that fit together.
    fn encode_blocks(row: &[f32], out: &mut [u8]);

    /// [`Codec::decode`] with lengths that fit together.
    fn decode_blocks(blocks: &[u8], out: &mut [f32]);
}

impl<F: Format> Codec for F {
    fn ggml_type(&self) -> GgmlType {
        F::TYPE
    }

    fn encode(&self, row: &[f32], out: &mut [u8]) {
        assert_fit(F::TYPE, row.len(), out.len());
        dispatch::run(Encode::<F> { row, out, format: std::marker::PhantomData });
    }

    fn decode(&self, blocks: &[u8], out: &mut [f32]) {
        assert_fit(F::TYPE, out.len(), blocks.len());
        dispatch::run(Decode::<F> { blocks, out, format: std::marker::PhantomData });
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
    format: std::marker::PhantomData<F>,
}

impl<F: Format> Kernel for Encode<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        F::encode_blocks(self.row, self.out);
    }
}

struct Decode<'a, F> {
    blocks: &'a [u8],
    out: &'a mut [f32],
    format: std::marker::PhantomData<F>,
}

impl<F: Format> Kernel for Decode<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        F::decode_blocks(self.blocks, self.out);
    }
}
