//! Writer of everything before the tensor data: metadata, tensor table and padding.

use super::{DEFAULT_ALIGNMENT, GgmlType, TensorInfo, Value, value};

/// Metadata and tensor table of a GGUF file to be written, in file order.
///
/// The caller writes the data: each tensor at the length of [`Header::encode`] plus its offset, with zeros in
/// the gaps.
#[derive(Clone, Debug, Default)]
pub struct Header {
    metadata: Vec<(String, Value)>,
    tensors: Vec<TensorInfo>,
    data_bytes: u64,
}

impl Header {
    /// A header with this metadata and no tensors yet.
    pub fn new(metadata: Vec<(String, Value)>) -> Header {
        Header { metadata, ..Header::default() }
    }

    /// Appends a tensor after the others. `dims[0]` is the length of a row, a multiple of the type's block
    /// length.
    pub fn push_tensor(&mut self, name: String, dims: Vec<u64>, ggml_type: GgmlType) {
        let tensor = TensorInfo { name, dims, ggml_type, offset: self.data_bytes };
        self.data_bytes += tensor.byte_len().next_multiple_of(DEFAULT_ALIGNMENT);
        self.tensors.push(tensor);
    }

    /// The metadata, in file order.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// The tensor table, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The header's bytes, padded up to the start of the data section.
    pub fn encode(&self) -> Vec<u8> {
        encode(3, &self.metadata, &self.tensors, DEFAULT_ALIGNMENT)
    }

    /// Size of the data section in bytes, with the padding after the last tensor.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }
}

/// The bytes of a header, padded to `alignment`.
pub(super) fn encode(
    version: u32,
    metadata: &[(String, Value)],
    tensors: &[TensorInfo],
    alignment: u64,
) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(b"GGUF");
    out.extend(version.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        value::encode_string(key, &mut out);
        out.extend(value.type_id().to_le_bytes());
        value.encode(&mut out);
    }
    for tensor in tensors {
        value::encode_string(&tensor.name, &mut out);
        out.extend((tensor.dims.len() as u32).to_le_bytes());
        tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
        out.extend(tensor.ggml_type.id().to_le_bytes());
        out.extend(tensor.offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
    out
}
