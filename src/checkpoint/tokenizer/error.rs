//! Errors of a tokenizer, without the file that has them.

use crate::checkpoint;
use crate::kind::Kind;
use std::io;
use std::path::Path;

/// Reasons why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A required file is missing.
    #[error(
        "no such file; with transformers, `AutoTokenizer.from_pretrained(..).save_pretrained(..)` writes it"
    )]
    Missing,
    /// A file that cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// Not JSON, or JSON of another structure than expected.
    #[error("not the JSON that belongs here")]
    Json(#[source] serde_json::Error),
    /// The `tokenizers` crate refuses it.
    #[error("not a tokenizer that can be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The `tokenizers` crate panics.
    #[error("the tokenizers library fails on it ({message}); save the tokenizer again with transformers")]
    Panic {
        /// First line of the panic's message.
        message: String,
    },
    /// Steps that would make a text grow without a sensible bound.
    #[error("its `{part}` has more steps, or steps that lengthen a text more, than any tokenizer needs")]
    TooManySteps {
        /// The part of `tokenizer.json`.
        part: &'static str,
    },
    /// A SentencePiece normalizer, whose character map the crate reads without looking at its lengths.
    #[error(
        "a `Precompiled` normalizer is SentencePiece's, which is not supported; supported: byte-level BPE"
    )]
    Precompiled,
    /// A `tokenizer.model` of another structure than expected.
    #[error("not a SentencePiece model")]
    Protobuf,
    /// A SentencePiece model, which would have to be converted instead of `tokenizer.json`.
    #[error(
        "SentencePiece vocabularies are supported for Gemma 3 only; for this architecture: byte-level BPE in \
         tokenizer.json (Qwen2, Qwen3, Llama 3, SmolLM2)"
    )]
    SentencePiece,
    /// Not BPE.
    #[error("a {found} vocabulary is not supported; supported: byte-level BPE")]
    Model {
        /// The model's type, such as `Unigram`.
        found: String,
    },
    /// BPE over characters with a fallback to bytes: a converted SentencePiece model.
    #[error(
        "BPE with `byte_fallback` (a converted SentencePiece vocabulary) is supported for Gemma 3 only; for this \
         architecture: byte-level BPE"
    )]
    ByteFallback,
    /// BPE without merges.
    #[error("the BPE vocabulary has no merges")]
    NoMerges,
    /// Two tokens with one id.
    #[error("the tokens {first:?} and {second:?} have the same id {id}")]
    SharedId {
        /// The id.
        id: u32,
        /// One token.
        first: String,
        /// The other token.
        second: String,
    },
    /// A `chat_template` of another JSON type.
    #[error("`chat_template` is neither text nor a list of {{name, template}}")]
    ChatTemplate,
    /// A text that cannot be encoded.
    #[error("cannot encode {text:?}")]
    Encode {
        /// The text.
        text: String,
        /// The encoder's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Missing | Error::Read(_) => Kind::NoInput,
            _ => Kind::Data,
        }
    }

    pub(super) fn in_file(self, path: &Path) -> checkpoint::Error {
        checkpoint::Error::Tokenizer { path: path.to_path_buf(), source: self }
    }
}
