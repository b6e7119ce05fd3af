//! What an inspection found, for programs (`Serialize`) and for people (`Display`).

use super::{
    CheckpointReport, FileReport, Run,
    memory::{self, Memory, Shape},
    table,
};
use crate::{
    gguf::{FlashAttention, GgmlType, TensorInfo},
    machine::Machine,
};
use serde::{Serialize, Serializer};
use std::fmt;

/// What an inspection found.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Report {
    /// Of a GGUF file.
    Gguf(FileReport),
    /// Of a checkpoint folder.
    Checkpoint(CheckpointReport),
}

/// What a model is. `None` is what its file does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The architecture, such as `qwen3`.
    pub architecture: Option<String>,
    /// The model's name.
    pub name: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// How many weights all tensors have together.
    pub parameters: u64,
    /// How many layers it has.
    pub block_count: Option<u64>,
    /// The length of a token's embedding.
    pub embedding_length: Option<u64>,
    /// The width of the feed-forward layer.
    pub feed_forward_length: Option<u64>,
    /// How many query heads a layer has.
    pub head_count: Option<u64>,
    /// How many key-value heads a layer has.
    pub head_count_kv: Option<u64>,
    /// The length of a head's key.
    pub key_length: Option<u64>,
    /// The length of a head's value.
    pub value_length: Option<u64>,
    /// How many tokens it was trained to look back on.
    pub context_length: Option<u64>,
    /// How it tells positions apart.
    pub rope: Option<Rope>,
    /// How many tokens it has a logit for.
    pub vocabulary: Option<u64>,
}

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rope {
    /// The base of its frequencies.
    pub freq_base: f64,
    /// How it is stretched beyond the trained context, such as `yarn`; `None` where it is not.
    pub scaling: Option<String>,
    /// How far it is stretched.
    pub factor: Option<f64>,
    /// The context before stretching.
    pub original_context_length: Option<u64>,
}

/// A file of a model in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Which one, counted from 0.
    pub no: u64,
    /// Of how many.
    pub count: u64,
}

/// A tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// Its kind, such as `gpt2` (byte-level BPE).
    pub model: String,
    /// How text is cut before it, such as `qwen2`.
    pub pre: Option<String>,
    /// How many tokens it has.
    pub tokens: u64,
    /// Its special tokens.
    pub special: Vec<Special>,
    /// Whether a text begins with the `bos` token.
    pub add_bos: Option<bool>,
    /// Whether a text ends with the `eos` token.
    pub add_eos: Option<bool>,
}

/// A special token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Special {
    /// What it is for, such as `eos`.
    pub role: &'static str,
    /// Its number.
    pub id: u64,
    /// Its text; `None` where no token has the number.
    pub text: Option<String>,
}

/// A chat template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatTemplate {
    /// The length of the template in bytes, of the first named one where there is no default.
    pub bytes: u64,
    /// Whether it, or one of the named ones, makes use of tools.
    pub takes_tools: bool,
    /// The names of further templates, such as `tool_use`.
    pub named: Vec<String>,
}

impl ChatTemplate {
    /// The template `default` with the named ones beside it; `None` where there is none at all.
    pub(super) fn of<'t>(
        default: Option<&'t str>,
        named: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Option<ChatTemplate> {
        let named: Vec<_> = named.collect();
        let first = default.or_else(|| named.first().map(|(_, template)| *template))?;
        let mut all = default.into_iter().chain(named.iter().map(|(_, template)| *template));
        Some(ChatTemplate {
            bytes: first.len() as u64,
            takes_tools: all.any(mentions_tools),
            named: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
        })
    }
}

/// Whether `tools` is a name in the template's code, rather than in its text.
fn mentions_tools(template: &str) -> bool {
    let code = |open: &str, close: &str| {
        let mut after = template.split(open).skip(1);
        after.any(|rest| {
            let code = rest.split_once(close).map_or(rest, |(code, _)| code);
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|name| name == "tools")
        })
    };
    code("{%", "%}") || code("{{", "}}")
}

/// The tensors of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TypeRow {
    /// The type's name.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// How many tensors have it.
    pub tensors: u64,
    /// How many weights they have together.
    pub weights: u64,
    /// How many bytes they take together, without padding.
    pub bytes: u64,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorRow {
    /// Its name.
    pub name: String,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// Its dimensions, in the order of the file that it is in.
    pub shape: Vec<u64>,
    /// The bytes that it takes, without padding.
    pub bytes: u64,
}

impl From<&TensorInfo> for TensorRow {
    fn from(tensor: &TensorInfo) -> TensorRow {
        TensorRow {
            name: tensor.name.clone(),
            type_name: tensor.ggml_type.name(),
            shape: tensor.dims.clone(),
            bytes: tensor.byte_len(),
        }
    }
}

/// What a model needs to run, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Need {
    /// The context, in tokens.
    pub n_ctx: u64,
    /// The type of the KV cache.
    pub kv_type: GgmlType,
    /// The tensors' bytes.
    pub weights_bytes: u64,
    /// The KV cache's bytes for each token.
    pub kv_bytes_per_token: Option<u64>,
    /// The memory; `None` where the formula does not fit the model.
    pub memory: Option<Memory>,
    /// This machine's memory; `None` where it cannot be told.
    pub machine: Option<Machine>,
    /// Whether the one fits the other.
    pub fit: Option<Fit>,
}

/// Whether a model fits a machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Beside what runs now.
    Yes,
    /// Only where other programs give memory back.
    IfFreed,
    /// Not at all.
    No,
}

impl Fit {
    /// Whether `bytes` fit.
    pub fn of(bytes: u64, machine: Machine) -> Fit {
        if bytes <= machine.available_bytes {
            Fit::Yes
        } else if bytes <= machine.total_bytes {
            Fit::IfFreed
        } else {
            Fit::No
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Fit::Yes => "yes",
            Fit::IfFreed => "if memory is freed",
            Fit::No => "no",
        }
    }
}

impl Need {
    pub(super) fn of(
        weights_bytes: u64,
        shape: Option<&Shape>,
        context_length: Option<u64>,
        run: Run,
    ) -> Need {
        let n_ctx = run.n_ctx(context_length);
        let memory = shape
            .and_then(|shape| memory::memory(weights_bytes, shape, n_ctx, run.kv_type, FlashAttention::Auto));
        let machine = Machine::this();
        Need {
            n_ctx,
            kv_type: run.kv_type,
            weights_bytes,
            kv_bytes_per_token: shape.and_then(|shape| memory::kv_bytes_per_token(shape, run.kv_type)),
            memory,
            machine,
            fit: memory.zip(machine).map(|(memory, machine)| Fit::of(memory.total_bytes, machine)),
        }
    }
}

/// A report that shows its tensors to people too; programs get them either way.
pub struct WithTensors<'r>(pub &'r Report);

impl Serialize for WithTensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for WithTensors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = match self.0 {
            Report::Gguf(file) => &file.tensors,
            Report::Checkpoint(checkpoint) => &checkpoint.tensors,
        };
        write!(f, "{}\n\n{}", self.0, table::tensors(tensors))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Gguf(file) => table::file(f, file),
            Report::Checkpoint(checkpoint) => table::checkpoint(f, checkpoint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_tools_when_its_code_names_them() {
        assert!(mentions_tools("{%- if tools %}\n{{ tools | tojson }}{% endif %}"));
        assert!(mentions_tools("{{- '# Tools' }}{% for tool in tools %}{% endfor %}"));
        assert!(mentions_tools("{%- if strict is defined and tools is not none -%}"));
        assert!(!mentions_tools(
            "Here are the tools: {% for message in messages %}{{ message }}{% endfor %}"
        ));
        assert!(!mentions_tools("tools {{ my_tools }}{{ message.content }} tools {% if x %}"));
    }

    #[test]
    fn a_named_template_counts_where_there_is_no_default() {
        let template = ChatTemplate::of(None, [("tool_use", "{{ tools }}")].into_iter()).unwrap();
        assert_eq!((template.bytes, template.takes_tools), (11, true));
        assert_eq!(ChatTemplate::of(None, std::iter::empty()), None);
    }

    #[test]
    fn a_model_fits_what_is_available_or_what_there_is_or_not() {
        let machine = Machine { total_bytes: 8, available_bytes: 4 };
        assert_eq!([4, 8, 9].map(|bytes| Fit::of(bytes, machine)), [Fit::Yes, Fit::IfFreed, Fit::No]);
    }
}
