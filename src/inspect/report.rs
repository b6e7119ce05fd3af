//! Data of a report, for programs (`Serialize`) and for people (`Display`).

use super::{CheckpointReport, FileReport, Run};
use crate::{
    gguf::{FlashAttention, GgmlType, TensorInfo},
    machine::Machine,
    memory::{Estimate, Fit, Shape, Target, board, estimate},
};
use serde::{Serialize, Serializer};

/// A report.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Report {
    /// On a GGUF file.
    Gguf(FileReport),
    /// On a checkpoint folder.
    Checkpoint(CheckpointReport),
}

/// Facts about a model; `None` where the file does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// Architecture, such as `qwen3`.
    pub architecture: Option<String>,
    /// Name of the model.
    pub name: Option<String>,
    /// Licence of the model.
    pub license: Option<String>,
    /// Number of weights in all tensors.
    pub parameters: u64,
    /// Number of layers.
    pub block_count: Option<u64>,
    /// Length of a token's embedding.
    pub embedding_length: Option<u64>,
    /// Width of the feed-forward layer.
    pub feed_forward_length: Option<u64>,
    /// Number of query heads per layer.
    pub head_count: Option<u64>,
    /// Number of key-value heads per layer.
    pub head_count_kv: Option<u64>,
    /// Length of a head's key.
    pub key_length: Option<u64>,
    /// Length of a head's value.
    pub value_length: Option<u64>,
    /// Context length of the training, in tokens.
    pub context_length: Option<u64>,
    /// Rotary position embedding.
    pub rope: Option<Rope>,
    /// Number of tokens that have a logit.
    pub vocabulary: Option<u64>,
}

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rope {
    /// Base of the frequencies.
    pub freq_base: f64,
    /// Scaling method beyond the trained context, such as `yarn`; `None` without scaling.
    pub scaling: Option<String>,
    /// Scaling factor.
    pub factor: Option<f64>,
    /// Context length before scaling, in tokens.
    pub original_context_length: Option<u64>,
}

/// Position of a file in a split model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Number of the part, counted from 0.
    pub no: u64,
    /// Number of parts.
    pub count: u64,
}

/// A tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tokenizer {
    /// Type, such as `gpt2` (byte-level BPE).
    pub model: String,
    /// Pre-tokenizer, such as `qwen2`.
    pub pre: Option<String>,
    /// Number of tokens.
    pub tokens: u64,
    /// Its special tokens.
    pub special: Vec<Special>,
    /// True if a text gets a `bos` token in front.
    pub add_bos: Option<bool>,
    /// True if a text gets an `eos` token at its end.
    pub add_eos: Option<bool>,
}

/// A special token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Special {
    /// Role, such as `eos`.
    pub role: &'static str,
    /// Id of the token.
    pub id: u64,
    /// Text of the token; `None` if the vocabulary lacks the id.
    pub text: Option<String>,
}

/// A chat template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatTemplate {
    /// Size of the template in bytes; of the first named one if there is no default.
    pub bytes: u64,
    /// True if any of the templates uses tools.
    pub takes_tools: bool,
    /// Names of further templates, such as `tool_use`.
    pub named: Vec<String>,
}

impl ChatTemplate {
    /// The template `default` with further named ones; `None` if there are none.
    pub(super) fn from_texts<'t>(
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

/// True if `tools` is a name in the template's code, not only in its text.
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

/// Totals of the tensors of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TypeRow {
    /// Name of the type.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of weights.
    pub weights: u64,
    /// Size in bytes, without padding.
    pub bytes: u64,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorRow {
    /// Name of the tensor.
    pub name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// Dimensions, in the order of the file that has the tensor.
    pub shape: Vec<u64>,
    /// Size in bytes, without padding.
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

/// Memory needed to run a model, compared with a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Need {
    /// Context size in tokens.
    pub n_ctx: u64,
    /// Type of the KV cache.
    pub kv_type: GgmlType,
    /// Size of the tensors, in bytes.
    pub weights_bytes: u64,
    /// Bytes of KV cache per token.
    pub kv_bytes_per_token: Option<u64>,
    /// Memory need; `None` if the model's shape is unknown, or the blocks of the KV type do not divide a head.
    pub memory: Option<Estimate>,
    /// Name of the machine: `this machine`, a board, or an amount of memory.
    pub machine_name: String,
    /// Memory of the machine; `None` if unknown.
    pub machine: Option<Machine>,
    /// Fit of the need on the machine.
    pub fit: Option<Fit>,
    /// Longest context that its available memory has room for, in tokens; `None` for none, or if unknown.
    pub longest_n_ctx: Option<u64>,
    // The text leaves out what needs no word on this machine.
    #[serde(skip)]
    pub(super) is_elsewhere: bool,
}

impl Need {
    pub(super) fn new(
        weights_bytes: u64,
        shape: Option<&Shape>,
        context_length: Option<u64>,
        run: Run,
    ) -> Need {
        let n_ctx = run.n_ctx(context_length);
        let memory = shape.and_then(|shape| {
            estimate::estimate(weights_bytes, shape, n_ctx, run.kv_type, FlashAttention::Auto)
        });
        let machine = run.target.machine();
        let longest = |(shape, machine): (&Shape, Machine)| {
            let trained = context_length.unwrap_or(n_ctx);
            board::longest_context(weights_bytes, shape, run.kv_type, trained, machine)
        };
        Need {
            n_ctx,
            kv_type: run.kv_type,
            weights_bytes,
            kv_bytes_per_token: shape.and_then(|shape| estimate::kv_bytes_per_token(shape, run.kv_type)),
            memory,
            machine_name: run.target.label(),
            machine,
            longest_n_ctx: shape.zip(machine).and_then(longest),
            is_elsewhere: run.target != Target::This,
            fit: memory.zip(machine).map(|(memory, machine)| Fit::new(memory.total_bytes, machine)),
        }
    }
}

/// A report whose text also lists the tensors; its JSON always does.
pub struct WithTensors<'r>(pub &'r Report);

impl Serialize for WithTensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
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
        let template = ChatTemplate::from_texts(None, [("tool_use", "{{ tools }}")].into_iter()).unwrap();
        assert_eq!((template.bytes, template.takes_tools), (11, true));
        assert_eq!(ChatTemplate::from_texts(None, std::iter::empty()), None);
    }
}
