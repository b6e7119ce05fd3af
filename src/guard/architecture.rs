//! Complete checks for the architectures of [`arch`](crate::arch): every hyperparameter, and every tensor against them.
//!
//! llama.cpp asserts some of this and divides by some of it. For what it refuses, it gives the reason only in
//! its log.

use super::{Error, hyperparameters, keys::Keys};
use crate::{
    arch::{ARCHITECTURES, Architecture, LayerKind, Presence, TOKEN_EMBEDDING, Tensor},
    gguf::{GgmlType, Gguf, TensorInfo},
};
use std::collections::BTreeMap;

/// The names of the architectures that are checked.
pub(super) fn checked() -> Vec<&'static str> {
    let mut names: Vec<&str> = ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
    names.dedup();
    names
}

/// Checks the hyperparameters of a model of a checked architecture for consistency, and `tensors` (of all its
/// files) against them. `n_vocab` is the number of its tokens.
pub(super) fn check(
    gguf: &Gguf,
    tensors: &[TensorInfo],
    architecture: &Architecture,
    n_vocab: u64,
) -> Result<(), Error> {
    let keys = Keys::new(gguf, architecture.name);
    let (sizes, kinds) = hyperparameters::check(&keys, architecture, n_vocab)?;
    let mut table = Table {
        tensors: tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
        architecture: architecture.name,
        block_count: kinds.len() as u64,
    };
    for tensor in (architecture.outer_tensors)(&sizes) {
        table.check(&tensor, tensor.name)?;
    }
    for factors in architecture.rope_factors {
        table.optional_row(factors.name, sizes.rotated / 2)?;
    }
    let layer = |kind| (architecture.layer_tensors)(&sizes, kind);
    let (attention, recurrent) = (layer(LayerKind::Attention), layer(LayerKind::Recurrent));
    let prediction = architecture.prediction.as_ref().map_or(Vec::new(), |layer| (layer.tensors)(&sizes));
    for (block, kind) in (0..).zip(kinds) {
        let layer = match kind {
            LayerKind::Attention => &attention,
            LayerKind::Recurrent => &recurrent,
            LayerKind::Prediction => &prediction,
        };
        check_block(&mut table, layer, block)?;
    }
    table.finish()
}

/// The tensors that are not yet checked.
struct Table<'t> {
    tensors: BTreeMap<&'t str, &'t TensorInfo>,
    architecture: &'static str,
    block_count: u64,
}

impl<'t> Table<'t> {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Checks `tensor` under its full name.
    fn check(&mut self, tensor: &Tensor, name: &str) -> Result<(), Error> {
        if matches!(tensor.presence, Presence::Optional(_)) && !self.has(name) {
            return Ok(());
        }
        match *tensor.dims() {
            ref dims if tensor.is_kernel() => self.in_f32(name, dims),
            [len] => self.row(name, len),
            [row_len, rows] => {
                self.matrix(name, [row_len, rows])?;
                // llama.cpp looks up rows of the embedding as they are.
                if tensor.name == TOKEN_EMBEDDING { Ok(()) } else { self.scales(name) }
            }
            ref dims => self.required(name, dims).map(drop),
        }
    }

    /// Checks a required matrix; `dims` is row length, then rows.
    fn matrix(&mut self, name: &str, dims: [u64; 2]) -> Result<(), Error> {
        let tensor = self.required(name, &dims)?;
        if !is_multiplied(tensor.ggml_type) {
            return Err(Error::TensorType {
                name: name.to_owned(),
                found: tensor.ggml_type,
                expected: "a type that llama.cpp multiplies with (F32, F16, BF16, or a quantized one)",
            });
        }
        Ok(())
    }

    /// Checks a required row of numbers.
    fn row(&mut self, name: &str, len: u64) -> Result<(), Error> {
        self.in_f32(name, &[len])
    }

    /// Checks a required tensor that llama.cpp takes in F32 only.
    fn in_f32(&mut self, name: &str, dims: &[u64]) -> Result<(), Error> {
        let tensor = self.required(name, dims)?;
        if tensor.ggml_type != GgmlType::F32 {
            // llama.cpp aborts when it adds or multiplies with any other type.
            let expected = "F32, as llama.cpp takes norms, biases, scales and kernels";
            return Err(Error::TensorType { name: name.to_owned(), found: tensor.ggml_type, expected });
        }
        Ok(())
    }

    fn optional_row(&mut self, name: &str, len: u64) -> Result<(), Error> {
        if self.has(name) { self.row(name, len) } else { Ok(()) }
    }

    /// Checks the two optional scales beside a matrix, as NVFP4 files have them. If the output is tied, llama.cpp
    /// asserts that it has none.
    fn scales(&mut self, matrix: &str) -> Result<(), Error> {
        let name = matrix.strip_suffix(".weight").unwrap_or(matrix);
        self.optional_row(&format!("{name}.scale"), 1)?;
        self.optional_row(&format!("{name}.input_scale"), 1)
    }

    fn required(&mut self, name: &str, dims: &[u64]) -> Result<&'t TensorInfo, Error> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(Error::MissingTensor { name: name.to_owned(), expected: dims.to_vec() });
        };
        let used = tensor.dims.iter().rposition(|&dim| dim != 1).map_or(1, |last| last + 1);
        let wanted = dims.iter().rposition(|&dim| dim != 1).map_or(1, |last| last + 1);
        if tensor.dims[..used] != dims[..wanted] {
            return Err(Error::Shape {
                name: name.to_owned(),
                found: tensor.dims.clone(),
                expected: dims.to_vec(),
            });
        }
        Ok(tensor)
    }

    /// Checks that no tensors are left.
    fn finish(self) -> Result<(), Error> {
        match self.tensors.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::StrayTensor {
                name: name.to_owned(),
                architecture: self.architecture,
                block_count: self.block_count,
            }),
        }
    }
}

/// Checks the tensors of a layer. llama.cpp takes queries, keys and values in a single matrix, too.
fn check_block(table: &mut Table<'_>, layer: &[Tensor], block: u64) -> Result<(), Error> {
    let name = |tensor: &str| format!("blk.{block}.{tensor}");
    let fused = name("attn_qkv.weight");
    let is_fused = table.has(&fused);
    for tensor in layer {
        match tensor.name {
            "attn_q.weight" if is_fused => {
                let [row_len, rows] = fused_dims(layer);
                table.matrix(&fused, [row_len, rows])?;
                table.optional_row(&name("attn_qkv.bias"), rows)?;
                table.scales(&fused)?;
            }
            "attn_k.weight" | "attn_v.weight" if is_fused => {}
            _ => table.check(tensor, &name(tensor.name))?,
        }
    }
    Ok(())
}

/// Dimensions of the matrix that stands for those of queries, keys and values.
fn fused_dims(layer: &[Tensor]) -> [u64; 2] {
    let is_part =
        |tensor: &&Tensor| ["attn_q.weight", "attn_k.weight", "attn_v.weight"].contains(&tensor.name);
    let parts = layer.iter().filter(is_part).map(Tensor::dims);
    parts.fold([0, 0], |[_, rows], part| [part[0], rows + part[1]])
}

/// True if ggml's CPU backend has a dot product for the type; for others it calls a null pointer.
pub(super) fn is_multiplied(ggml_type: GgmlType) -> bool {
    use GgmlType as T;
    !matches!(ggml_type, T::Q8_1 | T::Q8K | T::I8 | T::I16 | T::I32 | T::I64 | T::F64)
}
