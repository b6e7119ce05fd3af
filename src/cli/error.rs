//! The class and the advice of an error from any module: the only place that knows all of the library's errors.

use edgecall::{
    Kind, adapter, agent, bench, bundle, chat, checkpoint, convert, convert::rewrite, dialect, display::mib,
    gguf, http, hub, inspect, memory::AddressSpaceError, profile, remedy::Remedy, schema, tools,
};
#[cfg(feature = "engine")]
use edgecall::{cache, call, mcp, runtime, serve, verify, witness};
use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// An input file that the command line itself cannot read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

impl ReadError {
    /// The error for `path`.
    pub fn new(path: &Path, source: io::Error) -> ReadError {
        ReadError { path: path.to_path_buf(), source }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}", self.path.display())
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Class of a cause, if it is an error of the library or a [`ReadError`].
pub fn kind(cause: &(dyn Error + 'static)) -> Option<Kind> {
    macro_rules! first_of {
        ($($module:ident),*) => {
            $(if let Some(error) = cause.downcast_ref::<$module::Error>() {
                return Some(error.kind());
            })*
        };
    }
    #[cfg(feature = "engine")]
    first_of!(cache, call, mcp, runtime, verify, witness);
    first_of!(
        adapter, agent, bench, bundle, chat, checkpoint, convert, dialect, gguf, http, hub, inspect, profile,
        rewrite, schema, tools
    );
    #[cfg(feature = "engine")]
    if let Some(error) = cause.downcast_ref::<serve::ListenError>() {
        return Some(error.kind());
    }
    #[cfg(feature = "engine")]
    if let Some(error) = cause.downcast_ref::<serve::client::ClientError>() {
        return Some(error.kind());
    }
    #[cfg(feature = "engine")]
    if let Some(error) = cause.downcast_ref::<serve::KeyError>() {
        return Some(error.kind());
    }
    if cause.is::<AddressSpaceError>() {
        return Some(Kind::Unavailable);
    }
    cause.is::<ReadError>().then_some(Kind::NoInput)
}

/// Remedies that a cause offers.
pub fn remedies(cause: &(dyn Error + 'static)) -> Vec<Remedy> {
    macro_rules! first_of {
        ($($module:ident),*) => {
            $(if let Some(error) = cause.downcast_ref::<$module::Error>() {
                return error.remedies();
            })*
        };
    }
    #[cfg(feature = "engine")]
    first_of!(call, runtime, verify, witness);
    first_of!(adapter, agent, bench, bundle, chat, checkpoint, convert, dialect, http, hub, inspect, rewrite);
    Vec::new()
}

/// `remedies` as the end of a message: advice after a semicolon, changes of a run in a table below it.
pub fn advice(remedies: &[Remedy]) -> String {
    let (changes, others): (Vec<&Remedy>, Vec<&Remedy>) =
        remedies.iter().partition(|remedy| change(remedy).is_some());
    let mut text = String::new();
    if !changes.is_empty() {
        text += "; any of these would fit:";
        text += &changes
            .into_iter()
            .filter_map(change)
            .map(|(flag, effect)| line(&flag, &effect))
            .collect::<String>();
    }
    for remedy in others {
        let begins_a_line =
            matches!(remedy, Remedy::FewerModels | Remedy::DownloadOne { .. }) || text.contains('\n');
        text += if begins_a_line {
            "\n"
        } else if text.is_empty() {
            "; "
        } else {
            ", or "
        };
        text += &sentence(remedy);
    }
    text
}

fn line(flag: &str, effect: &str) -> String {
    format!("\n  {flag:<48}{effect}")
}

/// The flag for a change of a run, and the effect of it.
fn change(remedy: &Remedy) -> Option<(String, String)> {
    Some(match remedy {
        Remedy::KvType(name, bytes) => {
            (format!("--kv-type {name}"), format!("{} MiB of KV cache", mib(*bytes)))
        }
        Remedy::FlashAttention(bytes) => {
            ("--flash-attn on".into(), format!("about {} MiB of buffers, slower", mib(*bytes)))
        }
        Remedy::ContextSize(n_ctx) => (format!("--ctx {n_ctx}"), "a shorter context".into()),
        Remedy::ShorterAnswer(most) => (format!("--max-tokens {most}"), "a shorter answer".into()),
        Remedy::NoRepack => ("--repack off".into(), "no copies, slower".into()),
        Remedy::FileType(name, bytes) => {
            let command = format!("edgecall convert CHECKPOINT_DIR --type {name}");
            (command, format!("{} MiB of weights", mib(*bytes)))
        }
        _ => return None,
    })
}

fn sentence(remedy: &Remedy) -> String {
    match remedy {
        Remedy::MoreTokens => "allow more with --max-tokens".into(),
        Remedy::AllowRepetition => "if it should go on, give --allow-repetition".into(),
        Remedy::MoreSteps => "allow more with --max-steps".into(),
        Remedy::ChatTemplate => "give a chat template with --chat-template FILE".into(),
        Remedy::PrintPrompt => "look at it with --print-prompt".into(),
        Remedy::GenericDialect => {
            "with --dialect generic the model is told of the tools and the format in plain text".into()
        }
        Remedy::Force => "--force tries all the same".into(),
        Remedy::TrustModel => "if you trust where the file comes from, load it with --trust-model".into(),
        Remedy::Overwrite => "give --force to replace it, or another -o".into(),
        Remedy::OtherOutput => "give another -o".into(),
        Remedy::CreateFolder => "create it".into(),
        Remedy::FreeSpace => "free some space".into(),
        Remedy::UnpackFolder => "unpack on another disk with --unpack-dir DIR".into(),
        Remedy::OwnProfile => {
            "correct it, or give a task and tools of your own with --task and --tools, or all settings with --profile".into()
        },
        Remedy::WholeProfile => {
            "correct it, or give all settings with --profile, and the bundle's are not read".into()
        }
        Remedy::KeepHead => "leave --drop-tied-head out".into(),
        Remedy::BaseModel => "give the folder of the base model with --base".into(),
        Remedy::PreTokenizer(Some(name)) => {
            format!("the checkpoint's pre-tokenizer is built like llama.cpp's `{name}`: try --pre {name}")
        }
        Remedy::PreTokenizer(None) => "name another pre-tokenizer with --pre NAME".into(),
        Remedy::TokenizerModel => {
            "put the tokenizer.model of the base model into the checkpoint's folder".into()
        }
        Remedy::SkipTokenCheck => "write the file as it is with --no-check".into(),
        Remedy::SkipWitness => "write the file as it is without --witness".into(),
        Remedy::Download { id } => format!("if it is on the Hugging Face hub, fetch it: edgecall pull {id}"),
        Remedy::DownloadOne { name } => format!("for example: edgecall pull {name}"),
        Remedy::Online => "leave --offline and HF_HUB_OFFLINE out to fetch it".into(),
        Remedy::Convert { id } => format!("convert it: edgecall convert {id}"),
        Remedy::LongerTimeout => "allow more time with --timeout".into(),
        Remedy::MoreRetries => "try again later, or allow more tries with --retries".into(),
        Remedy::ServerKey => "put the server's key into EDGECALL_API_KEY".into(),
        Remedy::FewerModels => {
            "compare fewer at a time, the others later with the same --out and --resume; leave \
                                --noise-floor out, or take a smaller --kv-type"
                .into()
        }
        // The others are lines of a table.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_one_sentence_or_a_table_and_then_a_line() {
        assert_eq!(advice(&[]), "");
        assert_eq!(advice(&[Remedy::MoreTokens]), "; allow more with --max-tokens");
        assert_eq!(
            advice(&[Remedy::PreTokenizer(Some("qwen2")), Remedy::SkipTokenCheck]),
            "; the checkpoint's pre-tokenizer is built like llama.cpp's `qwen2`: try --pre qwen2, or write the file \
             as it is with --no-check"
        );
        let shortage = [Remedy::KvType("q8_0", 3 << 20), Remedy::NoRepack, Remedy::Force];
        let expected = "; any of these would fit:\n  --kv-type q8_0                                  3 MiB of KV cache\n  \
                        --repack off                                    no copies, slower\n--force tries all the same";
        assert_eq!(advice(&shortage), expected);
    }
}
