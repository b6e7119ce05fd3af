//! What a GGUF file can say that no model of its architecture can be.

use crate::gguf::GgmlType;

/// Why the metadata or the tensors of a GGUF file are refused.
///
/// Names and values from the file are shown escaped: they may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key that the model cannot be without.
    #[error("key `{}` is missing; expected {expected}", key.escape_debug())]
    MissingKey {
        /// The key.
        key: String,
        /// What it should hold.
        expected: String,
    },
    /// A key with another type or value than the model can have.
    #[error("key `{}` is {found}; expected {expected}", key.escape_debug())]
    Key {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// An element of an array that cannot be.
    #[error("key `{}`, element {index}: {found}; expected {expected}", key.escape_debug())]
    Element {
        /// The key.
        key: String,
        /// Which element, from 0.
        index: usize,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// Two tokens of one text, on which llama.cpp ends the process.
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
    /// A tensor that the model cannot be without.
    #[error("tensor `{name}` is missing; expected one of the shape {expected:?}")]
    MissingTensor {
        /// Its name.
        name: String,
        /// The shape that the model's keys ask for, row length first.
        expected: Vec<u64>,
    },
    /// A tensor whose shape is not what the keys say.
    #[error("tensor `{name}` has the shape {found:?}; expected {expected:?} by the model's keys")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape, row length first.
        found: Vec<u64>,
        /// The shape that the model's keys ask for.
        expected: Vec<u64>,
    },
    /// A tensor whose type llama.cpp cannot compute with in this place.
    #[error("tensor `{name}` is {found}; expected {expected}")]
    TensorType {
        /// Its name.
        name: String,
        /// Its type.
        found: GgmlType,
        /// The types that can stand there.
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
        /// How many layers the file's key says it has.
        block_count: u64,
    },
    /// An architecture whose files are not checked.
    #[error(
        "architecture `{}` is none whose files are checked before they are loaded ({}); a damaged one can end \
         the program. If you trust where the file comes from, load it with --trust-model",
        found.escape_debug(), checked.join(", ")
    )]
    Architecture {
        /// The architecture.
        found: String,
        /// Those that are checked.
        checked: Vec<&'static str>,
    },
    /// A tokenizer whose files are not checked.
    #[error(
        "key `tokenizer.ggml.model` is `{}`; expected {}, the tokenizers that are checked before they are \
         loaded. If you trust where the file comes from, load it with --trust-model",
        found.escape_debug(), checked.join(" or ")
    )]
    Tokenizer {
        /// The tokenizer's name.
        found: String,
        /// Those that are checked.
        checked: Vec<&'static str>,
    },
    /// A model without a tokenizer.
    #[error(
        "key `tokenizer.ggml.model` is `{found}`: the model has no tokenizer, so no text can be given to it; \
         convert it with its tokenizer"
    )]
    NoTokenizer {
        /// What stands there.
        found: String,
    },
    /// A split model whose files are not named as llama.cpp looks for them.
    #[error(
        "the file is part {no} of {count}, and its name does not end in `{expected}`; rename the parts back"
    )]
    PartName {
        /// Which part, from 1.
        no: u64,
        /// How many there are.
        count: u64,
        /// The ending that it should have.
        expected: String,
    },
    /// Another part than the first.
    #[error("the file is part {no} of {count} of a model; name its first part, {first}")]
    NotFirstPart {
        /// Which part, from 1.
        no: u64,
        /// How many there are.
        count: u64,
        /// The first one's file name.
        first: String,
    },
    /// Parts that are not of one model.
    #[error(
        "the parts hold {found} tensors, and key `split.tensors.count` says {expected}; are they of one model?"
    )]
    PartTensors {
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// A tensor that stands in two parts.
    #[error("tensor `{}` stands in two parts; are they of one model?", name.escape_debug())]
    TensorInTwoParts {
        /// Its name.
        name: String,
    },
}
