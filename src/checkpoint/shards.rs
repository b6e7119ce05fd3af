//! safetensors files and their index: name -> dtype, shape, bytes.

/// How a source tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct SourceTensor {
    /// Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Its shape in Hugging Face's order, `[out, in]` for a matrix.
    pub shape: Vec<u64>,
    /// Which of the shards holds it.
    pub shard: usize,
    /// Where its bytes stand in that shard.
    pub range: std::ops::Range<usize>,
}

/// The safetensors files of a checkpoint, mapped.
pub struct Shards {}
