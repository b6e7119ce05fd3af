//! Violations in a GGUF file: contents that no model of its architecture can have.

use crate::{gguf::GgmlType, remedy::Remedy};

/// Reasons why the metadata or the tensors of a GGUF file are refused.
///
/// Names and values from the file are escaped in messages, since they may contain anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A required key is missing.
    #[error("key `{}` is missing; expected {expected}", key.escape_debug())]
    MissingKey {
        /// The key.
        key: String,
        /// The expected value, in words.
        expected: String,
    },
    /// A key with a type or value that the model cannot have.
    #[error("key `{}` is {found}; expected {expected}", key.escape_debug())]
    Key {
        /// The key.
        key: String,
        /// Its value, in words.
        found: String,
        /// The expected value, in words.
        expected: String,
    },
    /// An invalid element of an array.
    #[error("key `{}`, element {index}: {found}; expected {expected}", key.escape_debug())]
    Element {
        /// The key.
        key: String,
        /// Index of the element, from 0.
        index: usize,
        /// Its value, in words.
        found: String,
        /// The expected value, in words.
        expected: String,
    },
    /// Two tokens with the same text, on which llama.cpp aborts.
    #[error(
        "key `tokenizer.ggml.tokens`: tokens {first} and {second} are both `{}`; expected each text once",
        text.escape_debug()
    )]
    DuplicateToken {
        /// The first of them.
        first: usize,
        /// The other.
        second: usize,
        /// Their text.
        text: String,
    },
    /// A required tensor is missing.
    #[error("tensor `{name}` is missing; expected one of the shape {expected:?}")]
    MissingTensor {
        /// Its name.
        name: String,
        /// The shape that follows from the keys, row length first.
        expected: Vec<u64>,
    },
    /// A tensor whose shape does not follow from the keys.
    #[error("tensor `{name}` has the shape {found:?}; expected {expected:?} by the model's keys")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape, row length first.
        found: Vec<u64>,
        /// The shape that follows from the keys.
        expected: Vec<u64>,
    },
    /// A tensor whose type llama.cpp cannot compute with in its role.
    #[error("tensor `{name}` is {found}; expected {expected}")]
    TensorType {
        /// Its name.
        name: String,
        /// Its type.
        found: GgmlType,
        /// The types that it may have.
        expected: &'static str,
    },
    /// A tensor that the architecture does not have.
    #[error(
        "tensor `{}` has no place in a `{architecture}` model of {block_count} layers; expected only tensors \
         that are used", name.escape_debug()
    )]
    StrayTensor {
        /// Its name.
        name: String,
        /// The architecture.
        architecture: &'static str,
        /// Number of layers according to the file's key.
        block_count: u64,
    },
    /// An architecture whose files are not checked completely.
    #[error(
        "architecture `{}` is none whose files are checked before they are loaded ({}); a damaged one can end \
         the program",
        found.escape_debug(), checked.join(", ")
    )]
    Architecture {
        /// The architecture.
        found: String,
        /// The architectures that are checked.
        checked: Vec<&'static str>,
    },
    /// A tokenizer whose files are not checked completely.
    #[error(
        "key `tokenizer.ggml.model` is `{}`; expected {}, the tokenizers that are checked before they are \
         loaded",
        found.escape_debug(), checked.join(" or ")
    )]
    Tokenizer {
        /// The tokenizer's name.
        found: String,
        /// The tokenizers that are checked.
        checked: Vec<&'static str>,
    },
    /// A model without a tokenizer.
    #[error(
        "key `tokenizer.ggml.model` is `{found}`: the model has no tokenizer, so no text can be given to it; \
         convert it with its tokenizer"
    )]
    NoTokenizer {
        /// The value of the key.
        found: String,
    },
    /// A split model whose file name does not have the form that llama.cpp expects.
    #[error(
        "the file is part {no} of {count}, and its name does not end in `{expected}`; rename the parts back"
    )]
    PartName {
        /// Number of the part, from 1.
        no: u64,
        /// Number of parts.
        count: u64,
        /// The ending that its name should have.
        expected: String,
    },
    /// A part other than the first.
    #[error("the file is part {no} of {count} of a model; name its first part, {first}")]
    NotFirstPart {
        /// Number of the part, from 1.
        no: u64,
        /// Number of parts.
        count: u64,
        /// File name of the first part.
        first: String,
    },
    /// Parts of different models.
    #[error(
        "the parts hold {found} tensors, and key `split.tensors.count` says {expected}; are they of one model?"
    )]
    PartTensors {
        /// Number of tensors in the parts.
        found: u64,
        /// Number of tensors according to the key.
        expected: u64,
    },
    /// A tensor that two parts have.
    #[error("tensor `{}` stands in two parts; are they of one model?", name.escape_debug())]
    TensorInTwoParts {
        /// Its name.
        name: String,
    },
}

impl Error {
    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Architecture { .. } | Error::Tokenizer { .. } => vec![Remedy::TrustModel],
            _ => Vec::new(),
        }
    }
}
