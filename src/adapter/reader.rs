//! The changed tensors of a merge, computed for blocks of rows.

use super::{
    folder::Adapter,
    lora::{Layer, Lora, read},
    rounding::Rounding,
    steps::{Computed, Start, Step},
};
use crate::checkpoint::{Error, OverlayReader, Shards};
use std::ops::Range;

/// A reader with the buffers of one thread.
pub(super) struct Reader<'a> {
    base: &'a Shards,
    adapters: &'a [Adapter],
    tensors: &'a [Computed],
    /// The tensor that `factors` belong to.
    current: Option<usize>,
    /// For each of its steps, the matrix that every row needs.
    factors: Vec<Vec<f32>>,
    raw: Vec<u8>,
    coefficients: Vec<f32>,
    change: Vec<f32>,
}

impl OverlayReader for Reader<'_> {
    fn read(&mut self, tensor: usize, weights: Range<u64>, out: &mut [f32]) -> Result<(), Error> {
        let tensors = self.tensors;
        let computed = &tensors[tensor];
        self.select(tensor)?;
        self.start(computed, weights.start, out)?;
        let width = computed.width as u64;
        let rows = weights.start / width..weights.end / width;
        for (number, step) in computed.steps.iter().enumerate() {
            self.apply(computed, number, step, &rows, out)?;
        }
        Ok(())
    }
}

impl<'a> Reader<'a> {
    /// The sums of squares of the change that a step makes in `rows` of a tensor, and of the weights before it.
    pub(super) fn squares(
        &mut self,
        tensor: usize,
        step: usize,
        rows: Range<u64>,
    ) -> Result<(f64, f64), Error> {
        let tensors = self.tensors;
        let computed = &tensors[tensor];
        self.select(tensor)?;
        let width = computed.width as u64;
        let mut weights = vec![0.0; ((rows.end - rows.start) * width) as usize];
        self.start(computed, rows.start * width, &mut weights)?;
        for (number, earlier) in computed.steps[..step].iter().enumerate() {
            self.apply(computed, number, earlier, &rows, &mut weights)?;
        }
        let mut after = weights.clone();
        self.apply(computed, step, &computed.steps[step], &rows, &mut after)?;
        let change = match &computed.steps[step] {
            Step::Dora(..) => {
                after.iter_mut().zip(&weights).for_each(|(after, before)| *after -= before);
                squares(&after)
            }
            _ => squares(&self.change),
        };
        Ok((change, squares(&weights)))
    }

    /// Loads what every row of the tensor needs.
    fn select(&mut self, tensor: usize) -> Result<(), Error> {
        if self.current != Some(tensor) {
            self.current = None;
            self.load_factors(&self.tensors[tensor])?;
            self.current = Some(tensor);
        }
        Ok(())
    }

    pub(super) fn new(base: &'a Shards, adapters: &'a [Adapter], tensors: &'a [Computed]) -> Reader<'a> {
        Reader {
            base,
            adapters,
            tensors,
            current: None,
            factors: Vec::new(),
            raw: Vec::new(),
            coefficients: Vec::new(),
            change: Vec::new(),
        }
    }

    fn load_factors(&mut self, computed: &Computed) -> Result<(), Error> {
        self.factors.clear();
        for step in &computed.steps {
            let (lora, layer) = match step {
                Step::Matrix(lora) | Step::Dora(lora, _) => (lora, Layer::Linear),
                Step::Embedding(lora) => (lora, Layer::Embedding),
                Step::Bias { .. } | Step::Rows { .. } => {
                    self.factors.push(Vec::new());
                    continue;
                }
            };
            let shards = &self.adapters[lora.adapter].shards;
            let factors = lora.factors(shards, layer, computed.roundings.adapter, &mut self.raw)?;
            self.factors.push(factors);
        }
        Ok(())
    }

    /// Fills `out` with the numbers before the first step.
    fn start(&mut self, computed: &Computed, start: u64, out: &mut [f32]) -> Result<(), Error> {
        match &computed.start {
            Start::Base(tensor) => read(self.base, tensor, start, &mut self.raw, out),
            Start::Adapter { adapter, tensor } => {
                read(&self.adapters[*adapter].shards, tensor, start, &mut self.raw, out)?;
                computed.roundings.result.apply(out);
                Ok(())
            }
        }
    }

    fn apply(
        &mut self,
        computed: &Computed,
        number: usize,
        step: &Step,
        rows: &Range<u64>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let roundings = computed.roundings;
        match step {
            Step::Matrix(lora) => {
                self.compute_change(lora, Layer::Linear, roundings.adapter, number, rows, out.len())?;
                self.add(roundings.change, roundings.result, out);
            }
            Step::Embedding(lora) => {
                self.compute_change(lora, Layer::Embedding, roundings.adapter, number, rows, out.len())?;
                self.add(roundings.embedding_change, roundings.result, out);
            }
            Step::Dora(lora, magnitude) => {
                self.compute_change(lora, Layer::Linear, roundings.adapter, number, rows, out.len())?;
                self.add(roundings.adapter, roundings.adapter, out);
                let mut magnitudes = vec![0.0; (rows.end - rows.start) as usize];
                let shards = &self.adapters[lora.adapter].shards;
                read(shards, magnitude, rows.start, &mut self.raw, &mut magnitudes)?;
                roundings.adapter.apply(&mut magnitudes);
                scale_rows(out, &magnitudes, computed.width, roundings.adapter);
                roundings.result.apply(out);
            }
            Step::Bias { adapter, tensor, scale } => {
                self.change.resize(out.len(), 0.0);
                read(&self.adapters[*adapter].shards, tensor, rows.start, &mut self.raw, &mut self.change)?;
                roundings.adapter.apply(&mut self.change);
                self.change.iter_mut().for_each(|value| *value *= scale);
                self.add(roundings.adapter, roundings.result, out);
            }
            Step::Rows { adapter, tensor, rows: replaced } => {
                let width = computed.width;
                for (&row, &from) in replaced.range(rows.clone()) {
                    let out = &mut out[(row - rows.start) as usize * width..][..width];
                    read(&self.adapters[*adapter].shards, tensor, from * width as u64, &mut self.raw, out)?;
                    roundings.result.apply(out);
                }
            }
        }
        Ok(())
    }

    fn compute_change(
        &mut self,
        lora: &Lora,
        layer: Layer,
        held: Rounding,
        number: usize,
        rows: &Range<u64>,
        len: usize,
    ) -> Result<(), Error> {
        let shards = &self.adapters[lora.adapter].shards;
        lora.coefficients(shards, layer, held, rows.clone(), &mut self.raw, &mut self.coefficients)?;
        self.change.resize(len, 0.0);
        lora.change(&self.coefficients, &self.factors[number], &mut self.change);
        Ok(())
    }

    /// Adds the change to `out`, with a rounding before and after.
    fn add(&mut self, before: Rounding, after: Rounding, out: &mut [f32]) {
        before.apply(&mut self.change);
        out.iter_mut().zip(&self.change).for_each(|(value, change)| *value += change);
        after.apply(out);
    }
}

fn squares(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum()
}

/// Scales each row of `values` to its magnitude.
fn scale_rows(values: &mut [f32], magnitudes: &[f32], width: usize, rounding: Rounding) {
    for (row, magnitude) in values.chunks_exact_mut(width).zip(magnitudes) {
        let factor = rounding.one(magnitude / rounding.one(norm(row)));
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

/// The Euclidean norm of a row as the reference computes it: eight sums, each of every eighth square, then the sums in
/// order, then the squares that are left. Products are rounded, not fused.
fn norm(row: &[f32]) -> f32 {
    let (blocks, rest) = row.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value * value);
    }
    let sum = sums[1..].iter().fold(sums[0], |sum, part| sum + part);
    rest.iter().fold(sum, |sum, value| sum + value * value).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_has_eight_sums_that_are_added_in_order() {
        // 1 is lost beside 2^24 in the same sum, and not in another one.
        let mut row = [0.0_f32; 17];
        (row[0], row[8]) = (4096.0, 1.0);
        assert_eq!(norm(&row), 4096.0);
        (row[8], row[1], row[16]) = (0.0, 2.0, 2.0);
        assert_eq!(norm(&row), (16_777_216.0_f32 + 4.0 + 4.0).sqrt());
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
    }
}
