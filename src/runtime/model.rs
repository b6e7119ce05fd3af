//! A GGUF file, checked, loaded by llama.cpp, with what a grammar needs to know of its vocabulary.

use super::{
    Error, Trust, Vocabulary, backend, complaints,
    constraint::Compiler,
    ffi,
    fingerprint::{self, ModelFile},
    guard::{self, Parts},
};
use crate::gguf::{Array, Gguf, Value};
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
    // Or why there is none.
    compiler: OnceLock<Result<Compiler, String>>,
    fingerprint: OnceLock<[u8; 32]>,
    options: LoadOptions,
}

/// How a model is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How far the file is trusted.
    pub trust: Trust,
    /// Whether llama.cpp may rearrange weights for this CPU's kernels. That is faster, takes memory beside the map,
    /// and other kernels add up in another order: the same file answers in other bits.
    pub repack: bool,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions { trust: Trust::Checked, repack: true }
    }
}

/// What the file says about itself and the runtime's users ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// The chat templates by name, in Jinja: `tokenizer.chat_template` as `default`, and each
    /// `tokenizer.chat_template.NAME`.
    pub chat_templates: Vec<(String, String)>,
    /// `tokenizer.ggml.pre`, the way text is cut before it is tokenized.
    pub pre_tokenizer: Option<String>,
    /// The longest context that the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// No token stands for more bytes of text than this.
    pub longest_token_bytes: usize,
}

impl Model {
    /// Loads the model at `path`, its weights mapped rather than read. Of a split model `path` is the
    /// first file.
    ///
    /// # Errors
    /// A file that is missing, no GGUF, cut short, at odds with itself, of an architecture that is not
    /// checked, or that llama.cpp does not load; a machine that cannot run this build.
    pub fn load(path: &Path) -> Result<Model, Error> {
        Model::load_with(path, LoadOptions::default())
    }

    /// Loads the model at `path` like [`Model::load`], as `options` say.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(path: &Path, options: LoadOptions) -> Result<Model, Error> {
        Model::load_as(path, options, |_| Ok(options))
    }

    /// Loads the model at `path` like [`Model::load_with`], but as `choose` says when it has seen the model's header: it
    /// was checked as far as `options` trust it.
    ///
    /// # Errors
    /// As [`Model::load`], and those of `choose`.
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
        let vocabulary = Vocabulary::of(weights.clone(), Metadata::of(&header));
        let is_kept = |value: &Value| value.as_array().is_none_or(|array| array.len() <= MAX_KEPT);
        let (kept, large) = header.metadata.into_iter().partition(|(_, value)| is_kept(value));
        header.metadata = kept;
        // Some hundred thousand strings, and nobody waits for their end.
        thread::spawn(move || drop::<Vec<(String, Value)>>(large));
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

    /// The header of the model at `path` as [`Model::header`] has it, without loading anything or checking more than
    /// that it is one.
    ///
    /// # Errors
    /// A file that is missing, no GGUF, cut short or at odds with itself.
    pub fn read_header(path: &Path) -> Result<Gguf, Error> {
        let parts = Parts::read(path)?;
        Ok(Gguf { tensors: parts.tensors, ..parts.first })
    }

    /// The tokenizer.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the file says about itself.
    pub fn metadata(&self) -> &Metadata {
        self.vocabulary.metadata()
    }

    /// The file's keys but for the tokenizer's arrays, and the tensors of all its parts; offsets are
    /// each part's own.
    pub fn header(&self) -> &Gguf {
        &self.header
    }

    /// The model's files as they were when they were checked, the first one first.
    pub fn files(&self) -> &[ModelFile] {
        &self.files
    }

    /// Stands for the model's files, computed at the first call: their size, inode and time of change, the header with
    /// the tensor table, and 64 blocks of 4 KiB of each.
    ///
    /// # Errors
    /// A file that cannot be read or is no longer the one that was loaded.
    pub fn fingerprint(&self) -> io::Result<[u8; 32]> {
        let computed = match self.fingerprint.get() {
            Some(&known) => known,
            None => fingerprint::fingerprint(&self.files)?,
        };
        // Asked last, and each time: what was read before was then of this file.
        fingerprint::check_unchanged(&self.files)?;
        Ok(*self.fingerprint.get_or_init(|| computed))
    }

    /// Whether what the model remembers is a state for each token, to be taken out and put back between any two: not
    /// so for a recurrent state, nor for a window that slides over the tokens.
    pub fn remembers_by_token(&self) -> bool {
        ffi::can_be_cut(&self.weights)
    }

    /// How llama.cpp holds the weights.
    pub fn load_options(&self) -> LoadOptions {
        self.options
    }

    /// The longest context that the model was trained for, in tokens.
    pub fn n_ctx_train(&self) -> usize {
        self.weights.n_ctx_train() as usize
    }

    /// How long it took to read and check the files' headers.
    pub fn check_time(&self) -> Duration {
        self.check_time
    }

    /// How long [`Model::load`] took, [`Model::check_time`] included.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// The compiler of grammars for this vocabulary, built at the first call. That takes a tenth of a
    /// second or more for a large vocabulary: call it early, on another thread, and whoever needs it
    /// later waits for that thread.
    ///
    /// # Errors
    /// [`Error::Grammar`] when llguidance cannot use the vocabulary.
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

/// Arrays up to this length are kept after loading: one value for each layer, not one for each token.
const MAX_KEPT: usize = 1024;

/// Reads the vocabulary of the file at `path` and nothing else of it.
pub(super) fn load_vocabulary(path: &Path, trust: Trust) -> Result<(LlamaModel, Metadata), Error> {
    let backend = backend()?;
    let parts = Parts::read_first(path)?;
    guard::check_vocabulary(&parts, trust).map_err(|flaw| Error::refused(path, flaw))?;
    let params = LlamaModelParams::default().with_vocab_only(true).with_use_mmap(parts.is_mappable());
    let model = load(path, |_| LlamaModel::load_from_file(backend, path, &params).ok())?;
    Ok((model, Metadata::of(&parts)))
}

/// Loads a file that was checked, by `load`, which gets its path as llama.cpp takes it: a C string in UTF-8.
fn load(path: &Path, load: impl FnOnce(&CStr) -> Option<LlamaModel>) -> Result<LlamaModel, Error> {
    let Some(text) = path.to_str().and_then(|path| CString::new(path).ok()) else {
        return Err(Error::Path { path: path.to_path_buf() });
    };
    let (model, complaints) = complaints::of(|| load(&text));
    model.ok_or_else(|| Error::Load {
        path: path.to_path_buf(),
        reason: complaints.unwrap_or_else(|| "it gives no reason".to_owned()),
    })
}

impl Metadata {
    fn of(gguf: &Gguf) -> Metadata {
        let tokens = gguf.array("tokenizer.ggml.tokens").and_then(Array::as_strings).unwrap_or_default();
        let context_length = gguf.architecture().map(|name| format!("{name}.context_length"));
        Metadata {
            architecture: gguf.architecture().map(str::to_owned),
            chat_templates: chat_templates(gguf),
            pre_tokenizer: gguf.str("tokenizer.ggml.pre").map(str::to_owned),
            context_length: context_length.and_then(|key| gguf.u64(&key)),
            // A token's text in the file is its bytes or, byte-level, longer.
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
