//! LoRA adapters for tiny checkpoints, made from a seed.

use crate::fixture::{Fixture, Random, write_json, write_safetensors};
use edgecall::checkpoint::{Checkpoint, SourceTensor};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An adapter of rank 4 on queries and values.
#[derive(Clone)]
pub struct Lora {
    pub seed: u64,
    /// The base that it fits.
    pub base: Fixture,
    /// Layers that the file has matrices for.
    pub layers: u64,
    /// Deviation of B.
    pub b: f32,
    /// Fields of the config to add or replace.
    pub config: Value,
}

/// Rank of the adapters.
pub const RANK: u64 = 4;

impl Default for Lora {
    fn default() -> Lora {
        let base = Fixture::default();
        Lora { seed: 7, layers: base.layers, base, b: 0.05, config: json!({}) }
    }
}

impl Lora {
    /// Writes the adapter into `dir`, which is created.
    pub fn write(&self, dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        let mut config = json!({
            "peft_type": "LORA", "base_model_name_or_path": "../model", "r": RANK, "lora_alpha": 8,
            "target_modules": ["q_proj", "v_proj"], "modules_to_save": null, "bias": "none",
        });
        config.as_object_mut().unwrap().extend(self.config.as_object().unwrap().clone());
        write_json(dir, "adapter_config.json", &config);
        let mut random = Random(self.seed);
        let mut tensors = Vec::new();
        let (hidden, q, kv) =
            (self.base.hidden, self.base.heads * self.base.head_dim, self.base.kv_heads * self.base.head_dim);
        for layer in 0..self.layers {
            for (name, out) in [("q_proj", q), ("v_proj", kv)] {
                let module = format!("base_model.model.model.layers.{layer}.self_attn.{name}");
                for (part, shape, scale) in
                    [("lora_A", vec![RANK, hidden], 0.05), ("lora_B", vec![out, RANK], self.b)]
                {
                    let count: u64 = shape.iter().product();
                    let bytes = (0..count).flat_map(|_| (scale * random.normal()).to_le_bytes()).collect();
                    tensors.push((format!("{module}.{part}.weight"), "F32", shape, bytes));
                }
            }
        }
        write_safetensors(&dir.join("adapter_model.safetensors"), &tensors);
        dir.to_path_buf()
    }
}

/// The weights of a tensor of a checkpoint, merged or not.
pub fn weights(checkpoint: &Checkpoint, tensor: &SourceTensor) -> Vec<f32> {
    let total = tensor.shape.iter().product::<u64>();
    let Some(number) = tensor.overlay else {
        let mut bytes = vec![0; total as usize * tensor.dtype.bytes()];
        checkpoint.shards.files()[tensor.shard].read_at(&mut bytes, tensor.range.start).unwrap();
        return match tensor.dtype.name() {
            "F32" => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            "F16" => {
                bytes.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            _ => bytes.as_chunks().0.iter().map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect(),
        };
    };
    let mut reader = checkpoint.overlay.as_ref().unwrap().reader(&checkpoint.shards);
    // Blocks of an odd number of rows, so that borders lie anywhere in the tiles of the product.
    let step = 37 * tensor.shape.get(1).copied().unwrap_or(1);
    let mut weights = Vec::new();
    for start in (0..total).step_by(step as usize) {
        let range = start..total.min(start + step);
        let mut block = vec![f32::NAN; (range.end - range.start) as usize];
        reader.read(number, range, &mut block).unwrap();
        weights.extend(block);
    }
    weights
}
