//! Report on a checkpoint folder, and on the GGUF files that it could be converted to.

use super::{
    Run,
    file::{chat_template, facts, tokenizer},
    report::{ChatTemplate, Facts, Rope, TensorRow, Tokenizer, TypeRow},
};
use crate::{
    arch::{Config, RopeScaling},
    checkpoint::Checkpoint,
    convert::{FilePlan, FileType, Head, Plan, Recipe},
    display::chain,
    gguf::{FlashAttention, GgmlType, Gguf},
    machine::Machine,
    memory::{Estimate, Fit, Shape, Target, board, estimate},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Facts about a checkpoint, and the needs of the GGUF files that it could be converted to.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointReport {
    /// Path of the folder.
    pub path: PathBuf,
    /// Number of safetensors files.
    pub files: usize,
    /// Total size of these files, in bytes.
    pub file_bytes: u64,
    /// Facts about the model.
    pub model: Facts,
    /// Form of the stored output head; `None` if the checkpoint cannot be converted.
    pub head: Option<&'static str>,
    /// Tokenizer as it would be written; `None` if it cannot be converted.
    pub tokenizer: Option<Tokenizer>,
    /// Its chat template.
    pub chat_template: Option<ChatTemplate>,
    /// Reason why it cannot be converted; `None` if it can.
    pub obstacle: Option<String>,
    /// Tensors by dtype.
    pub types: Vec<TypeRow>,
    /// Context size that the sizes are for, in tokens.
    pub n_ctx: u64,
    /// Type of the KV cache that the sizes are for.
    pub kv_type: GgmlType,
    /// Name of the machine: `this machine`, a board, or an amount of memory.
    pub machine_name: String,
    /// Memory of the machine; `None` if unknown.
    pub machine: Option<Machine>,
    /// Sizes for each file type.
    pub sizes: Vec<SizeRow>,
    /// Tensors, by shard and name.
    pub tensors: Vec<TensorRow>,
    // The text leaves out what needs no word on this machine.
    #[serde(skip)]
    pub(super) is_elsewhere: bool,
}

/// Sizes of a checkpoint converted to one file type.
#[derive(Clone, Debug, Serialize)]
pub struct SizeRow {
    /// Name of the file type.
    #[serde(rename = "type")]
    pub file_type: &'static str,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Bits per weight.
    pub bits_per_weight: f64,
    /// Memory to run it; `None` if the blocks of the KV type do not divide a head, or if the model's shape is unknown.
    pub memory: Option<Estimate>,
    /// Fit of that memory on the machine.
    pub fit: Option<Fit>,
    /// Longest context that its available memory has room for, in tokens; `None` for none, or if unknown.
    pub longest_n_ctx: Option<u64>,
}

impl CheckpointReport {
    /// Report on `checkpoint`, without reading its weights.
    pub(super) fn new(checkpoint: &Checkpoint, run: Run) -> CheckpointReport {
        let shards = &checkpoint.shards;
        let recipe = Recipe { file_types: FileType::ALL.to_vec(), ..Recipe::default() };
        let planned = Plan::new(checkpoint, recipe);
        let mut report = CheckpointReport {
            path: checkpoint.dir.clone(),
            files: shards.files().len(),
            file_bytes: shards.files().iter().map(|file| file.file_bytes).sum(),
            model: stated(&checkpoint.config, shards.tensors().iter().map(|t| elements(&t.shape)).sum()),
            head: None,
            tokenizer: None,
            chat_template: None,
            obstacle: planned.as_ref().err().map(|error| chain(error)),
            types: types(checkpoint),
            n_ctx: run.n_ctx(Some(checkpoint.config.max_position_embeddings)),
            kv_type: run.kv_type,
            machine_name: run.target.label(),
            machine: run.target.machine(),
            is_elsewhere: run.target != Target::This,
            sizes: Vec::new(),
            tensors: shards.tensors().iter().map(row).collect(),
        };
        if let Ok(plan) = planned {
            report.add(&plan);
        }
        report
    }

    fn add(&mut self, plan: &Plan) {
        // Metadata and tensor names are the same in all files.
        let Some(first) = plan.files.first() else { return };
        let gguf = Gguf::from(&plan.header(first));
        self.model = facts(&gguf, first.element_count());
        self.head = Some(head(plan.head));
        self.tokenizer = tokenizer(&gguf);
        self.chat_template = chat_template(&gguf);
        let shape = Shape::from_header(&gguf);
        self.sizes = plan.files.iter().map(|file| self.size(file, shape.as_ref())).collect();
    }

    fn size(&self, file: &FilePlan, shape: Option<&Shape>) -> SizeRow {
        let weights_bytes = file.tensor_bytes();
        let memory = shape.and_then(|shape| {
            estimate::estimate(weights_bytes, shape, self.n_ctx, self.kv_type, FlashAttention::Auto)
        });
        let trained = self.model.context_length.unwrap_or(self.n_ctx);
        let longest = |(shape, machine): (&Shape, Machine)| {
            board::longest_context(weights_bytes, shape, self.kv_type, trained, machine)
        };
        SizeRow {
            file_type: file.file_type.name(),
            file_bytes: file.file_bytes(),
            bits_per_weight: weights_bytes as f64 * 8.0 / file.element_count() as f64,
            memory,
            longest_n_ctx: shape.zip(self.machine).and_then(longest),
            fit: memory.zip(self.machine).map(|(memory, machine)| Fit::new(memory.total_bytes, machine)),
        }
    }
}

/// Facts from `config.json`, for a checkpoint that cannot be converted.
fn stated(config: &Config, parameters: u64) -> Facts {
    let (scaling, factor, original_context_length) = match &config.rope.scaling {
        RopeScaling::None => (None, None, None),
        RopeScaling::Long { .. } => (Some("longrope"), None, None),
        &RopeScaling::Linear { factor } => (Some("linear"), Some(factor), None),
        &RopeScaling::Yarn { factor, original_context, .. } => {
            (Some("yarn"), Some(factor), Some(original_context))
        }
        &RopeScaling::Llama3 { factor, original_context, .. } => {
            (Some("llama3"), Some(factor), Some(original_context))
        }
    };
    Facts {
        architecture: Some(config.architecture.class.to_owned()),
        name: None,
        license: None,
        parameters,
        block_count: Some(config.num_hidden_layers),
        embedding_length: Some(config.hidden_size),
        feed_forward_length: Some(config.intermediate_size),
        head_count: Some(config.num_attention_heads),
        head_count_kv: Some(config.num_key_value_heads),
        key_length: Some(config.head_width()),
        value_length: Some(config.head_width()),
        context_length: Some(config.max_position_embeddings),
        rope: Some(Rope {
            freq_base: config.rope.theta,
            scaling: scaling.map(str::to_owned),
            factor,
            original_context_length,
        }),
        vocabulary: Some(config.vocab_size),
    }
}

fn head(head: Head) -> &'static str {
    match head {
        Head::Absent => "tied to the embedding",
        Head::Untied => "stored, untied",
        Head::TiedCopy => "stored, a copy of the embedding, which conversion can leave out",
        Head::TiedButDifferent => "stored, and not the embedding that config.json ties it to",
    }
}

fn types(checkpoint: &Checkpoint) -> Vec<TypeRow> {
    let mut rows = BTreeMap::new();
    for tensor in checkpoint.shards.tensors() {
        let type_name = tensor.dtype.name();
        let row = rows.entry(type_name).or_insert(TypeRow { type_name, tensors: 0, weights: 0, bytes: 0 });
        row.tensors += 1;
        row.weights += elements(&tensor.shape);
        row.bytes += tensor.range.end - tensor.range.start;
    }
    rows.into_values().collect()
}

fn row(tensor: &crate::checkpoint::SourceTensor) -> TensorRow {
    TensorRow {
        name: tensor.name.clone(),
        type_name: tensor.dtype.name(),
        shape: tensor.shape.clone(),
        bytes: tensor.range.end - tensor.range.start,
    }
}

fn elements(shape: &[u64]) -> u64 {
    shape.iter().product()
}
