//! Numbers of a model: what `config.json` says, with the defaults filled in, and the sizes of its tensors.

use super::Architecture;
use serde_json::{Map, Value};

/// The parts of `config.json` that a conversion reads, with transformers' defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The whole document.
    pub raw: Map<String, Value>,
    /// The architecture of the first class in `architectures`.
    pub architecture: &'static Architecture,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the feed-forward layer.
    pub intermediate_size: u64,
    /// Number of layers.
    pub num_hidden_layers: u64,
    /// Number of query heads.
    pub num_attention_heads: u64,
    /// Number of key and value heads.
    pub num_key_value_heads: u64,
    /// Width of a head, if the configuration class sets it. See [`Config::head_width`].
    pub head_dim: Option<u64>,
    /// Rows of the embedding matrix.
    pub vocab_size: u64,
    /// Context length that the model was made for, in tokens.
    pub max_position_embeddings: u64,
    /// The epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Rotary position embedding.
    pub rope: Rope,
    /// True if the output head is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// True if the attention projections have biases.
    pub attention_bias: bool,
    /// True if the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Kind of each layer; empty if all of them have attention.
    pub layer_kinds: Vec<LayerKind>,
    /// Number of layers that predict a later token; they follow the others.
    pub prediction_layers: u64,
    /// Sliding window of some layers, in tokens; 0 for none.
    pub sliding_window: u64,
    /// The number whose root divides the attention scores, where the runtime takes another.
    pub attention_scale: Option<f64>,
    /// Length of the convolution in recurrent layers, in tokens; 0 for none.
    pub convolution: u64,
    /// Heads of linear attention.
    pub linear: LinearAttention,
    /// Number of experts, and of those used for each token, where the file states them.
    pub experts: (Option<u64>, Option<u64>),
    /// True if the model is the language model of one that reads images, too.
    pub is_text_part: bool,
}

impl Config {
    /// Width of an attention head: `head_dim`, or `hidden_size / num_attention_heads`.
    pub fn head_width(&self) -> u64 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// The sizes of the model's tensors.
    pub fn sizes(&self) -> Sizes {
        let head = self.head_width();
        Sizes {
            embedding: self.hidden_size,
            feed_forward: self.intermediate_size,
            queries: self.num_attention_heads * head,
            keys: self.num_key_value_heads * head,
            head,
            rotated: self.rotated(),
            vocabulary: self.vocab_size,
            convolution: self.convolution,
            linear: self.linear,
        }
    }

    /// Numbers of a head that are rotated by the token's position.
    pub fn rotated(&self) -> u64 {
        let share = self.rope.rotated_share.unwrap_or(1.0);
        (self.head_width() as f64 * share) as u64
    }

    /// Kind of the layer with this index, from 0.
    pub fn layer_kind(&self, layer: u64) -> LayerKind {
        let kind = usize::try_from(layer).ok().and_then(|layer| self.layer_kinds.get(layer));
        kind.copied().unwrap_or(LayerKind::Attention)
    }

    /// Number of layers in the file.
    pub fn block_count(&self) -> u64 {
        self.num_hidden_layers + self.prediction_layers
    }
}

/// Kind of a layer, by what it remembers of earlier tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Keys and values of each token.
    Attention,
    /// A state of fixed size, which each token changes: it can be copied, but not cut after an earlier token.
    Recurrent,
    /// Attention in a layer that predicts a later token, which is not used here.
    Prediction,
}

/// Heads of linear attention; all 0 for models without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinearAttention {
    /// Number of key heads.
    pub key_heads: u64,
    /// Number of value heads, a multiple of that of key heads.
    pub value_heads: u64,
    /// Width of a key head.
    pub key_width: u64,
    /// Width of a value head.
    pub value_width: u64,
}

impl LinearAttention {
    /// Total width of all queries, which is also that of all keys.
    pub fn keys(&self) -> u64 {
        self.key_heads.saturating_mul(self.key_width)
    }

    /// Total width of all values.
    pub fn values(&self) -> u64 {
        self.value_heads.saturating_mul(self.value_width)
    }

    /// Total width of what the convolution reads: queries, keys and values.
    pub fn convolved(&self) -> u64 {
        self.keys().saturating_mul(2).saturating_add(self.values())
    }
}

/// Sizes from which the shapes of all tensors follow: those of a checkpoint's [`Config`], or of a GGUF file's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Length of a token's embedding.
    pub embedding: u64,
    /// Width of the feed-forward layer.
    pub feed_forward: u64,
    /// Total width of all heads' queries.
    pub queries: u64,
    /// Total width of all heads' keys, and of all heads' values.
    pub keys: u64,
    /// Width of a head.
    pub head: u64,
    /// Numbers of a head that are rotated by the token's position.
    pub rotated: u64,
    /// Number of tokens.
    pub vocabulary: u64,
    /// Length of the convolution in recurrent layers, in tokens.
    pub convolution: u64,
    /// Heads of linear attention.
    pub linear: LinearAttention,
}

impl Sizes {
    /// Numbers in the state of a recurrent layer: what its convolution remembers, and the matrices of linear attention.
    pub fn state_len(&self) -> u64 {
        let convolved = match self.linear.convolved() {
            0 => self.embedding,
            width => width,
        };
        let remembered = self.convolution.saturating_sub(1).saturating_mul(convolved);
        remembered.saturating_add(self.linear.key_width.saturating_mul(self.linear.values()))
    }
}

/// Values of transformers' configuration class for fields that `config.json` omits.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields of `config.json`
pub struct Defaults {
    pub vocab_size: u64,
    pub hidden_size: u64,
    pub intermediate_size: u64,
    pub num_hidden_layers: u64,
    pub num_attention_heads: u64,
    /// `None`: the number of query heads.
    pub num_key_value_heads: Option<u64>,
    pub head_dim: HeadDim,
    pub max_position_embeddings: u64,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub tie_word_embeddings: bool,
}

/// Default of `head_dim` in the configuration class.
#[derive(Clone, Copy, Debug)]
pub enum HeadDim {
    /// This number.
    Fixed(u64),
    /// `hidden_size / num_attention_heads`.
    Derived,
    /// None: the model computes the width without a `head_dim` in its configuration.
    Unset,
}

/// The rotary position embedding of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// `rope_theta`, the base of the frequencies.
    pub theta: f64,
    /// The base of the frequencies in layers with a sliding window.
    pub sliding_theta: Option<f64>,
    /// `mrope_section`: pairs of numbers that are rotated by time, height and width.
    pub sections: Option<Vec<u64>>,
    /// `partial_rotary_factor`: the share of a head that is rotated; `None` for all of it.
    pub rotated_share: Option<f64>,
    /// Change of the frequencies for contexts longer than in the original training.
    pub scaling: RopeScaling,
}

/// transformers' `rope_type`.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Unchanged frequencies.
    None,
    /// All frequencies divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// YaRN (<https://arxiv.org/abs/2309.00071>); `None` leaves the value to the runtime's default.
    Yarn {
        /// Ratio of the new context length to the original one.
        factor: f64,
        /// The original context length in tokens.
        original_context: u64,
        /// `extrapolation_factor`.
        extrapolation_factor: Option<f64>,
        /// `attention_factor`.
        attention_factor: Option<f64>,
        /// `beta_fast`.
        beta_fast: Option<f64>,
        /// `beta_slow`.
        beta_slow: Option<f64>,
    },
    /// Divisors of the frequencies for contexts up to the original length, and for longer ones.
    Long {
        /// Divisors for longer contexts.
        long: Vec<f64>,
        /// Divisors for contexts up to the original length.
        short: Vec<f64>,
    },
    /// Llama 3.1's: frequencies with long wavelengths divided by `factor`, those with short ones kept, a ramp
    /// in between.
    Llama3 {
        /// The divisor of the low frequencies.
        factor: f64,
        /// Frequencies with wavelengths above `original_context / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Frequencies with wavelengths below `original_context / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The original context length in tokens.
        original_context: u64,
    },
}
