//! LoRA's matrices: read from the adapter's file, and multiplied for a block of rows.

use super::{product::product, rounding::Rounding};
use crate::{
    checkpoint::{Dtype, Error, Shards, SourceTensor},
    quant::{Bf16, Codec, F16, F32},
};
use std::ops::Range;

/// The matrices of a module.
#[derive(Clone, Debug)]
pub(super) struct Lora {
    /// Number of the adapter.
    pub(super) adapter: usize,
    /// `lora_A`: `[rank, in]`, or `[rank, vocabulary]`.
    pub(super) a: SourceTensor,
    /// `lora_B`: `[out, rank]`, or `[hidden, rank]`.
    pub(super) b: SourceTensor,
    /// Factor of the product.
    pub(super) scale: f32,
}

/// Kind of a module with LoRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// A row of the change is a row of B times A.
    Linear,
    /// A row of the change is a column of A times the transposed B.
    Embedding,
}

impl Lora {
    /// Number of rows of A.
    pub(super) fn rank(&self) -> usize {
        self.a.shape[0] as usize
    }

    /// True if B is zero, as before the training.
    pub(super) fn is_zero(&self, shards: &Shards) -> Result<bool, Error> {
        const CHUNK: u64 = 1 << 14;
        let (mut raw, mut values) = (Vec::new(), Vec::new());
        let total: u64 = self.b.shape.iter().product();
        let mut done = 0;
        while done < total {
            values.resize(CHUNK.min(total - done) as usize, 0.0);
            read(shards, &self.b, done, &mut raw, &mut values)?;
            if values.iter().any(|value| *value != 0.0) {
                return Ok(false);
            }
            done += values.len() as u64;
        }
        Ok(true)
    }

    /// The matrix that every row needs, `[rank, width]`.
    pub(super) fn factors(
        &self,
        shards: &Shards,
        layer: Layer,
        held: Rounding,
        raw: &mut Vec<u8>,
    ) -> Result<Vec<f32>, Error> {
        let tensor = match layer {
            Layer::Linear => &self.a,
            Layer::Embedding => &self.b,
        };
        let mut values = vec![0.0; tensor.shape.iter().product::<u64>() as usize];
        read(shards, tensor, 0, raw, &mut values)?;
        held.apply(&mut values);
        if layer == Layer::Linear {
            return Ok(values);
        }
        let (rank, width) = (self.rank(), values.len() / self.rank());
        let mut transposed = vec![0.0; values.len()];
        for (j, row) in values.chunks_exact(rank).enumerate() {
            for (k, value) in row.iter().enumerate() {
                transposed[k * width + j] = *value;
            }
        }
        Ok(transposed)
    }

    /// Fills `coefficients`, `[rows, rank]`, with what the rows `rows` need of the other matrix.
    pub(super) fn coefficients(
        &self,
        shards: &Shards,
        layer: Layer,
        held: Rounding,
        rows: Range<u64>,
        raw: &mut Vec<u8>,
        coefficients: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let (rank, count) = (self.rank(), (rows.end - rows.start) as usize);
        coefficients.resize(count * rank, 0.0);
        match layer {
            Layer::Linear => read(shards, &self.b, rows.start * rank as u64, raw, coefficients)?,
            Layer::Embedding => {
                let mut columns = vec![0.0; count];
                for k in 0..rank {
                    read(shards, &self.a, k as u64 * self.a.shape[1] + rows.start, raw, &mut columns)?;
                    for (i, value) in columns.iter().enumerate() {
                        coefficients[i * rank + k] = *value;
                    }
                }
            }
        }
        held.apply(coefficients);
        Ok(())
    }

    /// Fills `change`, `[rows, width]`, with the scaled product.
    pub(super) fn change(&self, coefficients: &[f32], factors: &[f32], change: &mut [f32]) {
        product(coefficients, factors, self.rank(), factors.len() / self.rank(), change);
        change.iter_mut().for_each(|value| *value *= self.scale);
    }
}

/// Fills `out` with the numbers of `tensor` from number `start` on.
pub(super) fn read(
    shards: &Shards,
    tensor: &SourceTensor,
    start: u64,
    raw: &mut Vec<u8>,
    out: &mut [f32],
) -> Result<(), Error> {
    let size = tensor.dtype.bytes();
    raw.resize(out.len() * size, 0);
    shards.files()[tensor.shard].read_at(raw, tensor.range.start + start * size as u64)?;
    let codec: &dyn Codec = match tensor.dtype {
        Dtype::Bf16 => &Bf16,
        Dtype::F16 => &F16,
        Dtype::F32 => &F32,
    };
    codec.decode(raw, out);
    Ok(())
}
