//! Rows of f32 -> blocks and back; pure arithmetic.
//!
//! Every encoder writes, byte for byte, what the x86-64 build of ggml writes, on every machine: the same float
//! operations in the same order, never contracted into fused multiply-adds. A format is a type that implements
//! `Format`; its [`Codec`] follows. The kernels are compiled for the baseline of the target and for AVX2, and
//! `dispatch` picks one at run time; both compute the same bits.
//!
//! Blocks are independent of rows, so whole slabs of a tensor can be encoded at once, on any number of threads.

mod affine_k;
mod bf16;
mod block32;
mod dispatch;
mod f16;
mod f32;
mod finite;
mod format;
mod lanes;
mod loss;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod scale_min;
mod vector;

pub use bf16::Bf16;
pub use f16::F16;
pub use f32::F32;
pub use finite::first_non_finite;
pub use loss::Loss;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;

use crate::gguf::GgmlType;

/// One block format: encodes rows of `f32` and decodes them again.
pub trait Codec: Send + Sync {
    /// The type it implements, which has the block's length and bytes.
    fn ggml_type(&self) -> GgmlType;

    /// Encodes `row` into `out`, byte for byte like ggml's `ggml_quantize_chunk` without an importance matrix.
    ///
    /// `row` is `[n]` with `n % block_len == 0`, all finite. It may be many rows of a tensor at once, since no
    /// format crosses block borders. `out` is `[n / block_len * block_bytes]` bytes.
    ///
    /// # Panics
    /// If the lengths do not match.
    fn encode(&self, row: &[f32], out: &mut [u8]);

    /// Decodes `blocks` into `out`, the weights that ggml computes with.
    ///
    /// `blocks` is `[n / block_len * block_bytes]` bytes; `out` is `[n]`.
    ///
    /// # Panics
    /// If the lengths do not match.
    fn decode(&self, blocks: &[u8], out: &mut [f32]);
}

/// Every block format that the converter writes, by type number.
pub static CODECS: &[&dyn Codec] = &[&F32, &F16, &Q4_0, &Q4_1, &Q5_0, &Q5_1, &Q8_0, &Q4K, &Q5K, &Q6K, &Bf16];

/// The codec of a type; `None` if the converter does not write it.
pub fn codec(ggml_type: GgmlType) -> Option<&'static dyn Codec> {
    CODECS.iter().copied().find(|codec| codec.ggml_type() == ggml_type)
}
