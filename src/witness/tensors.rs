//! The tensors of a GGUF file, decoded: marks of whole tensors, and single weights.

use super::{
    Error,
    mark::{BINS, Mark},
};
use crate::{
    gguf::{GgmlType, Gguf, TensorInfo},
    mmap::Map,
    quant::{self, Codec},
    runtime::ModelFile,
};
use std::{collections::BTreeMap, ops::Range};

/// Weights that are decoded together, at least.
const CHUNK: u64 = 1 << 16;

/// The tensors of all parts of a model.
pub(super) struct Tensors {
    files: Vec<Map>,
    table: BTreeMap<String, (usize, Range<usize>, TensorInfo)>,
}

/// A tensor with its bytes.
#[derive(Clone, Copy)]
pub(super) struct Tensor<'t> {
    info: &'t TensorInfo,
    bytes: &'t [u8],
    codec: &'static dyn Codec,
}

/// A weight that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotFinite {
    pub row: u64,
    pub column: u64,
}

/// Order of a matrix's rows in the file, beside transformers' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The same.
    Same,
    /// The two halves of each head's rows are interleaved, as for llama.cpp's Llama.
    Interleaved { head_width: u64 },
    /// Every other row of a head comes first: the inverse.
    Parted { head_width: u64 },
}

impl Order {
    /// True if so many rows are whole heads.
    pub fn fits(self, n_rows: u64) -> bool {
        match self {
            Order::Same => true,
            Order::Interleaved { head_width } | Order::Parted { head_width } => {
                n_rows.is_multiple_of(head_width)
            }
        }
    }

    /// Row of the file that holds transformers' row `row`.
    pub fn in_file(self, row: u64) -> u64 {
        match self {
            Order::Same => row,
            Order::Interleaved { head_width } => Order::Parted { head_width }.in_trainer(row),
            Order::Parted { head_width } => Order::Interleaved { head_width }.in_trainer(row),
        }
    }

    /// transformers' row that row `row` of the file holds.
    pub fn in_trainer(self, row: u64) -> u64 {
        match self {
            Order::Same => row,
            Order::Interleaved { head_width } => {
                let at = row % head_width;
                row - at + at % 2 * (head_width / 2) + at / 2
            }
            Order::Parted { head_width } => {
                let (at, half) = (row % head_width, head_width / 2);
                row - at + at % half * 2 + at / half
            }
        }
    }
}

impl Tensors {
    /// Maps the model's files.
    ///
    /// # Errors
    /// A file that has changed since it was loaded, so that it cannot be read.
    pub fn open(files: &[ModelFile]) -> Result<Tensors, Error> {
        let mut tensors = Tensors { files: Vec::new(), table: BTreeMap::new() };
        for (part, ModelFile { path, .. }) in files.iter().enumerate() {
            let map = Map::open(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let gguf = Gguf::parse(&map).map_err(|source| Error::Gguf { path: path.clone(), source })?;
            for info in &gguf.tensors {
                // The parser has checked that the range lies inside the file.
                let range = gguf.tensor_range(info);
                let range = range.start as usize..range.end as usize;
                tensors.table.insert(info.name.clone(), (part, range, info.clone()));
            }
            tensors.files.push(map);
        }
        Ok(tensors)
    }

    /// True if there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// The type of the tensor of this name.
    pub fn ggml_type(&self, name: &str) -> Option<GgmlType> {
        self.table.get(name).map(|(_, _, info)| info.ggml_type)
    }

    /// The tensor of this name; `None` if there is none, or if its type cannot be decoded.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let (part, range, info) = self.table.get(name)?;
        let codec = quant::codec(info.ggml_type)?;
        Some(Tensor { info, bytes: self.files[*part].get(range.clone())?, codec })
    }
}

impl Tensor<'_> {
    /// The shape in transformers' order: the reverse of GGUF's.
    pub fn shape(&self) -> Vec<u64> {
        self.info.dims.iter().rev().copied().collect()
    }

    /// The weight in transformers' `row` and column.
    pub fn value(&self, order: Order, row: u64, column: u64) -> f64 {
        let columns = if self.info.dims.len() == 1 { 1 } else { self.info.dims[0] };
        let at = order.in_file(row) * columns + column;
        let (length, bytes) = (self.codec.ggml_type().block_len(), self.codec.ggml_type().block_bytes());
        let start = (at / length * bytes) as usize;
        let mut block = vec![0.0; length as usize];
        self.codec.decode(&self.bytes[start..start + bytes as usize], &mut block);
        block[(at % length) as usize].into()
    }

    /// The marks of the tensor, of at most two dimensions.
    ///
    /// # Errors
    /// The first weight that is no number, in transformers' order of rows.
    pub fn mark(&self, order: Order) -> Result<Mark, NotFinite> {
        let is_vector = self.info.dims.len() == 1;
        let row_length = self.info.dims[0];
        let (n_rows, n_columns) = match is_vector {
            true => (row_length, 1),
            false => (self.info.dims[1], row_length),
        };
        let (mut rows, mut columns, mut squares) = ([0.0; BINS], vec![0.0; n_columns as usize], 0.0);
        // A vector is one row in the file.
        let lines = if is_vector { 1 } else { n_rows };
        let step = (CHUNK / row_length).max(1);
        let row_bytes = self.info.ggml_type.row_bytes(row_length) as usize;
        let mut decoded = Vec::new();
        for first in (0..lines).step_by(step as usize) {
            let count = step.min(lines - first) as usize;
            decoded.resize(count * row_length as usize, 0.0);
            let start = first as usize * row_bytes;
            self.codec.decode(&self.bytes[start..start + count * row_bytes], &mut decoded);
            for (i, weights) in decoded.chunks_exact(n_columns as usize).enumerate() {
                let row = order.in_trainer(first + i as u64);
                let mut sum = 0.0;
                for (total, &weight) in columns.iter_mut().zip(weights) {
                    let weight = f64::from(weight);
                    *total += weight;
                    sum += weight;
                    squares += weight * weight;
                }
                if !sum.is_finite() {
                    let column = weights.iter().position(|weight| !weight.is_finite()).unwrap_or(0);
                    return Err(NotFinite { row, column: column as u64 });
                }
                rows[(row % BINS as u64) as usize] += sum;
            }
        }
        let mut sums = [0.0; BINS];
        for (column, total) in columns.iter().enumerate() {
            sums[column % BINS] += total;
        }
        let mut mark = Mark {
            shape: self.shape(),
            rows: rows.to_vec(),
            columns: sums.to_vec(),
            squares,
            values: Vec::new(),
            file: None,
        };
        mark.values = mark.positions().map(|(row, column)| self.value(order, row, column)).collect();
        Ok(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_of_each_head_and_inverse_to_each_other() {
        let head_width = 8;
        for order in [Order::Same, Order::Interleaved { head_width }, Order::Parted { head_width }] {
            for row in 0..24 {
                assert_eq!(order.in_file(order.in_trainer(row)), row, "{order:?}");
                assert_eq!(order.in_trainer(row) / head_width, row / head_width);
            }
        }
        // llama.cpp's row 2i + p is transformers' row p * d/2 + i.
        let rows: Vec<u64> = (0..8).map(|row| Order::Interleaved { head_width }.in_trainer(row)).collect();
        assert_eq!(rows, [0, 4, 1, 5, 2, 6, 3, 7]);
    }
}
