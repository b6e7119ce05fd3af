//! Conversion of one slab, a run of rows of one tensor, into every file.

use super::{
    Error,
    output::Output,
    plan::Plan,
    tensors::{ModelTensor, Origin},
};
use crate::{
    arch::{Arithmetic, Transform},
    checkpoint::{Checkpoint, Dtype, OverlayReader},
    gguf::GgmlType,
    quant::{self, Codec, Loss},
};
use std::{ops::Range, time::Instant};

/// Weights of a slab, unless a row or a head is longer: 512 KiB of f32.
const SLAB_LEN: u64 = 1 << 17;
/// The first f32 that rounds to infinity in F16.
const F16_OVERFLOW: f32 = 65520.0;

/// A run of rows of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    /// Index of the tensor in the plan.
    pub(super) tensor: usize,
    /// Range of its weights: whole rows, and whole heads if rows are reordered.
    pub(super) weights: Range<u64>,
    /// The shard, and the end of the slab's bytes in it; `None` for computed tensors.
    pub(super) source_end: Option<(usize, u64)>,
    source_bytes: u64,
}

impl Slab {
    /// Number of bytes of the checkpoint that it covers.
    pub(super) fn source_bytes(&self) -> u64 {
        self.source_bytes
    }
}

/// Splits the tensors into slabs, in the order of the checkpoint's files.
pub(super) fn cut(tensors: &[ModelTensor]) -> Vec<Slab> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| match &tensors[i].origin {
        Origin::Computed(_) => None,
        Origin::Checkpoint(source) => Some((source.shard, source.range.start)),
    });
    let mut slabs = Vec::new();
    for tensor in order {
        let origin = &tensors[tensor].origin;
        let unit = tensors[tensor].unit_len();
        let step = (SLAB_LEN / unit).max(1) * unit;
        let total = tensors[tensor].element_count();
        let mut start = 0;
        while start < total {
            let weights = start..total.min(start + step);
            let (source_end, source_bytes) = match origin {
                Origin::Computed(_) => (None, 0),
                Origin::Checkpoint(source) => {
                    let size = source.dtype.bytes() as u64;
                    // A tensor of an overlay may be larger than the one at its place.
                    let end = (source.range.start + weights.end * size).min(source.range.end);
                    (Some((source.shard, end)), (weights.end - weights.start) * size)
                }
            };
            start = weights.end;
            slabs.push(Slab { tensor, weights, source_end, source_bytes });
        }
    }
    slabs
}

/// Results of one worker.
#[derive(Default)]
pub(super) struct Share {
    /// Slab, file and measured error.
    pub(super) losses: Vec<(usize, usize, Loss)>,
    /// Seconds by file.
    pub(super) busy_s: Vec<f64>,
}

/// A worker's view of the conversion, and its buffers.
pub(super) struct Worker<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a Plan,
    outputs: &'a [Output],
    /// Reader of the tensors that are computed.
    overlay: Option<Box<dyn OverlayReader + 'a>>,
    /// The slab's bytes in the checkpoint.
    raw: Vec<u8>,
    /// The slab's weights, in the file's row order.
    weights: Vec<f32>,
    /// The weights in the checkpoint's row order, or rounded to F16.
    scratch: Vec<f32>,
    encoded: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, plan: &'a Plan, outputs: &'a [Output]) -> Worker<'a> {
        Worker {
            checkpoint,
            plan,
            outputs,
            overlay: checkpoint.overlay.as_ref().map(|overlay| overlay.reader(&checkpoint.shards)),
            raw: Vec::new(),
            weights: Vec::new(),
            scratch: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Converts slab number `i` for every file and writes it.
    pub(super) fn process(&mut self, i: usize, slab: &Slab, share: &mut Share) -> Result<(), Error> {
        share.busy_s.resize(self.plan.files.len(), 0.0);
        let tensor = &self.plan.tensors[slab.tensor];
        let started = Instant::now();
        self.load(tensor, slab)?;
        let is_rounded =
            self.plan.recipe.via_f16 && tensor.dims.len() > 1 && !is_stored_as(tensor, GgmlType::F16);
        if is_rounded {
            self.round_to_f16();
        }
        let load_s = started.elapsed().as_secs_f64() / self.plan.files.len() as f64;
        share.busy_s.iter_mut().for_each(|seconds| *seconds += load_s);
        for file in 0..self.plan.files.len() {
            let ggml_type = self.ggml_type(file, slab.tensor);
            // Files with the same type for the tensor share the work; the first of them does it.
            if (0..file).any(|earlier| self.ggml_type(earlier, slab.tensor) == ggml_type) {
                continue;
            }
            let started = Instant::now();
            let loss = self.encode(tensor, slab, ggml_type, is_rounded)?;
            for same in file..self.plan.files.len() {
                if self.ggml_type(same, slab.tensor) != ggml_type {
                    continue;
                }
                let place = self.plan.files[same].places[slab.tensor];
                let offset =
                    self.plan.files[same].tensors[place].offset + ggml_type.row_bytes(slab.weights.start);
                self.outputs[same].write_data(&self.encoded, offset)?;
                share.losses.extend(loss.map(|loss| (i, same, loss)));
            }
            share.busy_s[file] += started.elapsed().as_secs_f64();
        }
        Ok(())
    }

    fn ggml_type(&self, file: usize, tensor: usize) -> GgmlType {
        let file = &self.plan.files[file];
        file.tensors[file.places[tensor]].ggml_type
    }

    /// Reads the slab's weights, permuted heads in the checkpoint's row order.
    fn read(&mut self, tensor: &ModelTensor, slab: &Slab) -> Result<(), Error> {
        let len = (slab.weights.end - slab.weights.start) as usize;
        self.weights.resize(len, 0.0);
        let mut filled = 0;
        for run in tensor.runs(slab.weights.clone()) {
            let end = filled + (run.end - run.start) as usize;
            self.read_run(tensor, run, filled..end)?;
            filled = end;
        }
        Ok(())
    }

    /// Reads a run of weights of the source into the range `out` of the slab's.
    fn read_run(&mut self, tensor: &ModelTensor, run: Range<u64>, out: Range<usize>) -> Result<(), Error> {
        let weights = &mut self.weights[out];
        match &tensor.origin {
            Origin::Computed(values) => {
                weights.copy_from_slice(&values[run.start as usize..run.end as usize]);
            }
            Origin::Checkpoint(source) => match (&mut self.overlay, source.overlay) {
                (Some(overlay), Some(number)) => overlay.read(number, run, weights)?,
                _ => {
                    let size = source.dtype.bytes();
                    self.raw.resize(weights.len() * size, 0);
                    let start = source.range.start + run.start * size as u64;
                    self.checkpoint.shards.files()[source.shard].read_at(&mut self.raw, start)?;
                    let codec = quant::codec(source_type(source.dtype)).expect("plain floats have a codec");
                    codec.decode(&self.raw, weights);
                }
            },
        }
        Ok(())
    }

    /// Reads the slab's weights, refuses values that are not finite, and brings order and numbers into the file's form.
    fn load(&mut self, tensor: &ModelTensor, slab: &Slab) -> Result<(), Error> {
        self.read(tensor, slab)?;
        if let Some(i) = quant::first_non_finite(&self.weights) {
            return Err(Error::NotFinite {
                tensor: tensor.source_name().to_owned(),
                index: slab.weights.start + i as u64,
                value: self.weights[i],
            });
        }
        if self.goes_through_f16(slab.tensor) {
            self.refuse_beyond_f16(tensor, slab)?;
        }
        match tensor.transform {
            Transform::None | Transform::TileRows(_) => {}
            Transform::Permute { head_width } => {
                self.scratch.resize(self.weights.len(), 0.0);
                permute(&self.weights, &mut self.scratch, head_width as usize, tensor.row_len() as usize);
                std::mem::swap(&mut self.weights, &mut self.scratch);
            }
            Transform::TileColumns(tile) => {
                self.scratch.resize(self.weights.len(), 0.0);
                let row_len = tensor.row_len() as usize;
                let rows = self.weights.chunks_exact(row_len).zip(self.scratch.chunks_exact_mut(row_len));
                for (row, out) in rows {
                    (0..).zip(out).for_each(|(i, number)| *number = row[tile.source(i) as usize]);
                }
                std::mem::swap(&mut self.weights, &mut self.scratch);
            }
        }
        self.compute(tensor);
        match quant::first_non_finite(&self.weights) {
            None => Ok(()),
            Some(i) => Err(Error::NotFinite {
                tensor: tensor.source_name().to_owned(),
                index: slab.weights.start + i as u64,
                value: self.weights[i],
            }),
        }
    }

    /// Computes the file's numbers from those of the checkpoint, in the checkpoint's type if that is F16, as the
    /// reference does. A sum in F32 is exact where it would be rounded twice.
    fn compute(&mut self, tensor: &ModelTensor) {
        let compute: fn(f32) -> f32 = match tensor.arithmetic {
            Arithmetic::None => return,
            Arithmetic::AddOne => |weight| weight + 1.0,
            Arithmetic::NegativeExponential => |weight| -f64::from(weight).exp() as f32,
        };
        self.weights.iter_mut().for_each(|weight| *weight = compute(*weight));
        if is_stored_as(tensor, GgmlType::F16) {
            self.round_to_f16();
            std::mem::swap(&mut self.weights, &mut self.scratch);
        }
    }

    /// Stores the weights rounded to F16 in the scratch buffer.
    fn round_to_f16(&mut self) {
        let codec = quant::codec(GgmlType::F16).expect("plain floats have a codec");
        self.raw.resize(self.weights.len() * 2, 0);
        self.scratch.resize(self.weights.len(), 0.0);
        codec.encode(&self.weights, &mut self.raw);
        codec.decode(&self.raw, &mut self.scratch);
    }

    /// Encodes the slab and measures the error; `None` if it is lossless by construction.
    fn encode(
        &mut self,
        tensor: &ModelTensor,
        slab: &Slab,
        ggml_type: GgmlType,
        is_rounded: bool,
    ) -> Result<Option<Loss>, Error> {
        let codec = quant::codec(ggml_type).expect("the recipe names only types with an encoder");
        let rows = if is_rounded { &self.scratch } else { &self.weights };
        self.encoded.resize(ggml_type.row_bytes(rows.len() as u64) as usize, 0);
        codec.encode(rows, &mut self.encoded);
        let is_lossless = !is_rounded
            && tensor.arithmetic == Arithmetic::None
            && (ggml_type == GgmlType::F32 || is_stored_as(tensor, ggml_type));
        if is_lossless || tensor.dims.len() < 2 {
            return Ok(None);
        }
        let loss = Loss::measure(codec, &self.weights, &self.encoded);
        if !loss.is_finite() {
            return Err(Error::ScaleOverflow {
                tensor: tensor.source_name().to_owned(),
                ggml_type: ggml_type.name(),
                index: slab.weights.start + self.first_overflow(codec) as u64,
            });
        }
        Ok(Some(loss))
    }

    /// Index of the first weight of the encoded slab that decodes to a value that is not finite.
    fn first_overflow(&mut self, codec: &dyn Codec) -> usize {
        self.scratch.resize(self.weights.len(), 0.0);
        codec.decode(&self.encoded, &mut self.scratch);
        quant::first_non_finite(&self.scratch).unwrap_or_default()
    }

    /// True if some file stores the tensor as F16, or encodes it from F16 values.
    fn goes_through_f16(&self, tensor: usize) -> bool {
        let is_matrix = self.plan.tensors[tensor].dims.len() > 1;
        (self.plan.recipe.via_f16 && is_matrix)
            || (0..self.plan.files.len()).any(|file| self.ggml_type(file, tensor) == GgmlType::F16)
    }

    fn refuse_beyond_f16(&self, tensor: &ModelTensor, slab: &Slab) -> Result<(), Error> {
        match self.weights.iter().position(|weight| weight.abs() >= F16_OVERFLOW) {
            None => Ok(()),
            Some(i) => Err(Error::BeyondF16 {
                tensor: tensor.source_name().to_owned(),
                index: slab.weights.start + i as u64,
                value: self.weights[i],
            }),
        }
    }
}

fn source_type(dtype: Dtype) -> GgmlType {
    match dtype {
        Dtype::Bf16 => GgmlType::Bf16,
        Dtype::F16 => GgmlType::F16,
        Dtype::F32 => GgmlType::F32,
    }
}

/// True if the checkpoint stores the tensor in this type.
fn is_stored_as(tensor: &ModelTensor, ggml_type: GgmlType) -> bool {
    matches!(&tensor.origin, Origin::Checkpoint(source) if source_type(source.dtype) == ggml_type)
}

/// Reorders the rows of each head: row `2i + p` of `out` is row `p * d/2 + i` of `rows`.
fn permute(rows: &[f32], out: &mut [f32], head_width: usize, row_len: usize) {
    let half = head_width / 2;
    let heads = rows.chunks_exact(head_width * row_len).zip(out.chunks_exact_mut(head_width * row_len));
    for (head, out) in heads {
        for (i, pair) in out.chunks_exact_mut(2 * row_len).enumerate() {
            let (even, odd) = pair.split_at_mut(row_len);
            even.copy_from_slice(&head[i * row_len..][..row_len]);
            odd.copy_from_slice(&head[(half + i) * row_len..][..row_len]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_halves_of_each_head_are_interleaved() {
        let rows: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let mut out = vec![0.0; 16];
        permute(&rows, &mut out, 4, 2);
        // Rows 0 1 2 3 of a head become 0 2 1 3.
        assert_eq!(out, [0., 1., 4., 5., 2., 3., 6., 7., 8., 9., 12., 13., 10., 11., 14., 15.]);
    }
}
