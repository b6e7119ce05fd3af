//! A checked GGUF file, loaded by llama.cpp, with the compiler of grammars for its vocabulary.

use super::{
    Error, Trust, Vocabulary, backend,
    compiler::Compiler,
    ffi,
    fingerprint::{self, ModelFile},
    guard, kernels, log_capture,
    parts::Parts,
};
use crate::gguf::{Array, Gguf, TensorInfo, Value};
use llama_cpp_2::model::{LlamaModel, params::LlamaModelParams};
use std::{
    ffi::{CStr, CString},
    io,
    path::Path,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// A loaded model: weights mapped, vocabulary read.
pub struct Model {
    pub(super) weights: Arc<LlamaModel>,
    vocabulary: Vocabulary,
    header: Gguf,
    files: Vec<ModelFile>,
    check_time: Duration,
    load_time: Duration,
    // The error's text if it cannot be built.
    compiler: OnceLock<Result<Compiler, String>>,
    fingerprint: OnceLock<[u8; 32]>,
    options: LoadOptions,
}

/// Options for loading a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Trust in the file.
    pub trust: Trust,
    /// True if llama.cpp may repack weights for this CPU's kernels. That is faster, but takes memory beside the
    /// mapped file, and the kernels sum in another order, so the logits have other bits.
    pub repack: bool,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { trust: Trust::Checked, repack: true }
    }
}

impl LoadOptions {
    /// Test for tensors that are repacked when a model is loaded so.
    pub fn is_repacked(self) -> fn(&TensorInfo) -> bool {
        if self.repack { kernels::is_repacked } else { |_| false }
    }
}

/// The parts of the file's metadata that other modules use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// The chat templates by name, in Jinja: `tokenizer.chat_template` as `default`, and each
    /// `tokenizer.chat_template.NAME`.
    pub chat_templates: Vec<(String, String)>,
    /// `tokenizer.ggml.pre`, the name of the pre-tokenizer.
    pub pre_tokenizer: Option<String>,
    /// Context length that the model was trained with, in tokens.
    pub context_length: Option<u64>,
    /// Upper bound of the bytes of text in a token.
    pub longest_token_bytes: usize,
}

impl Model {
    /// Loads the model at `path`; the weights are mapped, not read. For a split model, `path` is the first
    /// file.
    ///
    /// # Errors
    /// A file that is missing, not GGUF, truncated, inconsistent, of an architecture that is not checked, or
    /// refused by llama.cpp; a CPU that cannot run this build.
    pub fn load(path: &Path) -> Result<Model, Error> {
        Model::load_with(path, LoadOptions::default())
    }

    /// Loads the model at `path` like [`Model::load`], with `options`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(path: &Path, options: LoadOptions) -> Result<Model, Error> {
        Model::load_as(path, options, |_| Ok(options))
    }

    /// Loads the model at `path` like [`Model::load_with`]. `choose` gets the header, which was checked as
    /// `options` say, and returns the final options.
    ///
    /// # Errors
    /// As [`Model::load`], and errors of `choose`.
    pub fn load_as<E: From<Error>>(
        path: &Path,
        options: LoadOptions,
        choose: impl FnOnce(&Gguf) -> Result<LoadOptions, E>,
    ) -> Result<Model, E> {
        let started = Instant::now();
        let backend = backend()?;
        let parts = Parts::read(path)?;
        parts.check(path, options.trust)?;
        let mut header = Gguf { tensors: parts.tensors, ..parts.first };
        let options = choose(&header)?;
        let check_time = started.elapsed();
        let weights = Arc::new(load(path, |text| match options.repack {
            true => {
                let params = LlamaModelParams::default().with_use_mmap(parts.is_mappable);
                LlamaModel::load_from_file(backend, path, &params).ok()
            }
            false => ffi::load_as_stored(backend, text, parts.is_mappable),
        })?);
        let vocabulary = Vocabulary::from_model(weights.clone(), Metadata::from_header(&header));
        let is_kept = |value: &Value| value.as_array().is_none_or(|array| array.len() <= MAX_KEPT);
        let (kept, large) = header.metadata.into_iter().partition(|(_, value)| is_kept(value));
        header.metadata = kept;
        // Dropping some hundred thousand strings takes time, so it is done in the background.
        // Without a thread they are dropped here.
        let _ = thread::Builder::new().spawn(move || drop::<Vec<(String, Value)>>(large));
        let (files, load_time) = (parts.files, started.elapsed());
        let (compiler, fingerprint) = (OnceLock::new(), OnceLock::new());
        Ok(Model {
            weights,
            vocabulary,
            header,
            files,
            check_time,
            load_time,
            compiler,
            fingerprint,
            options,
        })
    }

    /// Reads the header of the model at `path` as in [`Model::header`], without loading the model or checking
    /// its metadata.
    ///
    /// # Errors
    /// A file that is missing, not GGUF, truncated or inconsistent.
    pub fn read_header(path: &Path) -> Result<Gguf, Error> {
        let parts = Parts::read(path)?;
        Ok(Gguf { tensors: parts.tensors, ..parts.first })
    }

    /// The tokenizer.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The file's metadata.
    pub fn metadata(&self) -> &Metadata {
        self.vocabulary.metadata()
    }

    /// Metadata without large arrays such as the vocabulary, and the tensors of all parts; offsets are relative
    /// to each part.
    pub fn header(&self) -> &Gguf {
        &self.header
    }

    /// The model's files with their metadata at the time of the check, in order.
    pub fn files(&self) -> &[ModelFile] {
        &self.files
    }

    /// Fingerprint of the model's files, computed at the first call: a hash of their size, inode and time of
    /// change, the header with the tensor table, and 64 blocks of 4 KiB of each.
    ///
    /// # Errors
    /// A file that cannot be read, or that was replaced since it was loaded.
    pub fn fingerprint(&self) -> io::Result<[u8; 32]> {
        let computed = match self.fingerprint.get() {
            Some(&known) => known,
            None => fingerprint::fingerprint(&self.files)?,
        };
        // Checked last and on each call, so that everything read before was from this file.
        fingerprint::check_unchanged(&self.files)?;
        Ok(*self.fingerprint.get_or_init(|| computed))
    }

    /// True if the model's memory has one state per token, so that it can be cut after any of them. Others have a
    /// recurrent state, which can be copied, and not be cut.
    pub fn remembers_by_token(&self) -> bool {
        ffi::can_be_cut(&self.weights)
    }

    /// The options that the model was loaded with.
    pub fn load_options(&self) -> LoadOptions {
        self.options
    }

    /// Context length that the model was trained with, in tokens.
    pub fn n_ctx_train(&self) -> usize {
        self.weights.n_ctx_train() as usize
    }

    /// Time for reading and checking the files' headers.
    pub fn check_time(&self) -> Duration {
        self.check_time
    }

    /// Time for [`Model::load`], [`Model::check_time`] included.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// The compiler of grammars for this vocabulary, built at the first call. That takes a tenth of a second or
    /// more for a large vocabulary. Call it early on another thread; later callers wait for that thread.
    ///
    /// # Errors
    /// [`Error::Grammar`] if llguidance cannot use the vocabulary.
    pub fn compiler(&self) -> Result<&Compiler, Error> {
        let built = self.compiler.get_or_init(|| {
            Compiler::for_vocabulary(self.vocabulary.clone()).map_err(|error| match error {
                Error::Grammar { reason } => reason,
                other => other.to_string(),
            })
        });
        built.as_ref().map_err(|reason| Error::Grammar { reason: reason.clone() })
    }
}

/// Longest array that is kept after loading: one value per layer, but not one per token.
const MAX_KEPT: usize = 1024;

/// Loads only the vocabulary of the file at `path`.
pub(super) fn load_vocabulary(path: &Path, trust: Trust) -> Result<(LlamaModel, Metadata), Error> {
    let backend = backend()?;
    let parts = Parts::read_first(path)?;
    guard::check_vocabulary(&parts, trust).map_err(|flaw| Error::refused(path, flaw))?;
    let params = LlamaModelParams::default().with_vocab_only(true).with_use_mmap(parts.is_mappable());
    let model = load(path, |_| LlamaModel::load_from_file(backend, path, &params).ok())?;
    Ok((model, Metadata::from_header(&parts)))
}

/// Loads a checked file by calling `load` with its path as a C string in UTF-8.
fn load(path: &Path, load: impl FnOnce(&CStr) -> Option<LlamaModel>) -> Result<LlamaModel, Error> {
    let Some(text) = path.to_str().and_then(|path| CString::new(path).ok()) else {
        return Err(Error::Path { path: path.to_path_buf() });
    };
    let (model, reason) = log_capture::capture(|| load(&text));
    model.ok_or_else(|| Error::Load {
        path: path.to_path_buf(),
        reason: reason.unwrap_or_else(|| "it gives no reason".to_owned()),
    })
}

impl Metadata {
    fn from_header(gguf: &Gguf) -> Metadata {
        let tokens = gguf.array("tokenizer.ggml.tokens").and_then(Array::as_strings).unwrap_or_default();
        let context_length = gguf.architecture().map(|name| format!("{name}.context_length"));
        Metadata {
            architecture: gguf.architecture().map(str::to_owned),
            chat_templates: chat_templates(gguf),
            pre_tokenizer: gguf.str("tokenizer.ggml.pre").map(str::to_owned),
            context_length: context_length.and_then(|key| gguf.u64(&key)),
            // A token's text in the file is its bytes, or longer in the byte-level alphabet.
            longest_token_bytes: tokens.iter().map(String::len).max().unwrap_or(0).max(1),
        }
    }
}

fn chat_templates(gguf: &Gguf) -> Vec<(String, String)> {
    let named = |key: &str| match key.strip_prefix("tokenizer.chat_template")? {
        "" => Some("default".to_owned()),
        name => name.strip_prefix('.').map(str::to_owned),
    };
    gguf.metadata.iter().filter_map(|(key, value)| Some((named(key)?, value.as_str()?.to_owned()))).collect()
}
