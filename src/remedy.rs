//! Remedies for errors, as data: the command line names the flag, a server the field of a request.

use crate::display::mib;
use serde::Serialize;
use std::fmt;

/// A change that would help after an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// A larger token budget for the answer.
    MoreTokens,
    /// Letting a model repeat itself.
    AllowRepetition,
    /// More steps of a run.
    MoreSteps,
    /// A chat template in place of the model's.
    ChatTemplate,
    /// Inspection of the rendered prompt.
    PrintPrompt,
    /// The generic tool-call format, which the model is told of in plain text.
    GenericDialect,
    /// Skipping the memory check.
    Force,
    /// Skipping the checks of a model file from a trusted source.
    TrustModel,
    /// Overwriting the output that exists.
    Overwrite,
    /// Another output path.
    OtherOutput,
    /// The output's folder.
    CreateFolder,
    /// Free space on the disk.
    FreeSpace,
    /// Another folder to unpack a bundle into.
    UnpackFolder,
    /// Settings from a file of the user's own, in place of those of a bundle.
    OwnProfile,
    /// A whole profile from a file of the user's own, so that the settings of a bundle are not read.
    WholeProfile,
    /// A stored head that stays in the file.
    KeepHead,
    /// The folder of an adapter's base model.
    BaseModel,
    /// Another pre-tokenizer: this one of llama.cpp's, or any.
    PreTokenizer(Option<&'static str>),
    /// The SentencePiece model that a checkpoint's vocabulary comes from.
    TokenizerModel,
    /// Skipping the token check.
    SkipTokenCheck,
    /// Skipping the comparison with a witness.
    SkipWitness,
    /// A download from the hub.
    Download {
        /// Name of a repository on the hub, perhaps with a revision and a file.
        id: String,
    },
    /// A download of one of several files.
    DownloadOne {
        /// One of them, as an example.
        name: String,
    },
    /// Leave to use the network.
    Online,
    /// Conversion of a checkpoint.
    Convert {
        /// Its name on the hub.
        id: String,
    },
    /// A longer time limit of a request.
    LongerTimeout,
    /// Later tries, or more of them.
    MoreRetries,
    /// The server's key.
    ServerKey,
    /// Fewer models in a run, the others in a later one.
    FewerModels,
    /// Another type of KV cache, with its size in bytes.
    KvType(&'static str, u64),
    /// Flash attention, with the size of the buffers in bytes.
    FlashAttention(u64),
    /// A context of this many tokens.
    ContextSize(u64),
    /// An answer of at most this many tokens.
    ShorterAnswer(u64),
    /// Weights that are not repacked for the CPU.
    NoRepack,
    /// The model converted to another type, with the size of its weights in bytes.
    FileType(&'static str, u64),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::MoreTokens => write!(f, "a larger token budget"),
            Remedy::AllowRepetition => write!(f, "letting the model repeat itself"),
            Remedy::MoreSteps => write!(f, "more steps"),
            Remedy::ChatTemplate => write!(f, "another chat template"),
            Remedy::PrintPrompt => write!(f, "a look at the rendered prompt"),
            Remedy::GenericDialect => write!(f, "the generic tool-call format"),
            Remedy::Force => write!(f, "no memory check"),
            Remedy::TrustModel => write!(f, "no checks, if the file's source is trusted"),
            Remedy::Overwrite => write!(f, "replacing the file"),
            Remedy::OtherOutput => write!(f, "another output path"),
            Remedy::CreateFolder => write!(f, "the output's folder"),
            Remedy::FreeSpace => write!(f, "free space on the disk"),
            Remedy::UnpackFolder => write!(f, "another folder to unpack into"),
            Remedy::OwnProfile => write!(f, "settings from a file of one's own"),
            Remedy::WholeProfile => write!(f, "a whole profile of one's own"),
            Remedy::KeepHead => write!(f, "keeping the stored head"),
            Remedy::BaseModel => write!(f, "the folder of the base model"),
            Remedy::PreTokenizer(Some(name)) => write!(f, "the pre-tokenizer `{name}`"),
            Remedy::PreTokenizer(None) => write!(f, "another pre-tokenizer"),
            Remedy::TokenizerModel => write!(f, "the tokenizer.model of the base model"),
            Remedy::SkipTokenCheck => write!(f, "no token check"),
            Remedy::SkipWitness => write!(f, "no comparison with a witness"),
            Remedy::Download { id } => write!(f, "a download of {id}"),
            Remedy::DownloadOne { name } => write!(f, "a download of one of them, such as {name}"),
            Remedy::Online => write!(f, "a download with the network"),
            Remedy::Convert { id } => write!(f, "a conversion of {id}"),
            Remedy::LongerTimeout => write!(f, "a longer time limit"),
            Remedy::MoreRetries => write!(f, "more retries, or another try later"),
            Remedy::ServerKey => write!(f, "the server's key"),
            Remedy::FewerModels => write!(f, "fewer models at a time"),
            Remedy::KvType(name, bytes) => write!(f, "a KV cache in {name}: {} MiB", mib(*bytes)),
            Remedy::FlashAttention(bytes) => {
                write!(f, "flash attention: about {} MiB of buffers, slower", mib(*bytes))
            }
            Remedy::ContextSize(n_ctx) => write!(f, "a context of {n_ctx} tokens"),
            Remedy::ShorterAnswer(most) => write!(f, "an answer of at most {most} tokens"),
            Remedy::NoRepack => write!(f, "weights that are not repacked: no copies, slower"),
            Remedy::FileType(name, bytes) => write!(f, "the model in {name}: {} MiB of weights", mib(*bytes)),
        }
    }
}
