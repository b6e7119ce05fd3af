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
            vocabulary: self.vocab_size,
        }
    }
}

/// Sizes from which the shapes of all tensors follow: those of a checkpoint's [`Config`], or of a GGUF file's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Number of tokens.
    pub vocabulary: u64,
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
