//! A GGUF file, checked, loaded by llama.cpp, with what a grammar needs to know of its vocabulary.

use super::{Error, Vocabulary, backend, constraint::Compiler};
use crate::{gguf::Gguf, mmap::Map};
use llama_cpp_2::model::{LlamaModel, params::LlamaModelParams};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// A loaded model: weights mapped, vocabulary read.
pub struct Model {
    pub(super) weights: Arc<LlamaModel>,
    vocabulary: Vocabulary,
    metadata: Metadata,
    load_time: Duration,
    compiler: OnceLock<Compiler>,
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
}

impl Model {
    /// Loads the model at `path`, its weights mapped rather than read.
    ///
    /// # Errors
    /// A file that is missing, no GGUF, cut short, or that llama.cpp does not load; a machine that
    /// cannot run this build.
    pub fn load(path: &Path) -> Result<Model, Error> {
        let started = Instant::now();
        let (weights, metadata) = load(path, LlamaModelParams::default())?;
        let weights = Arc::new(weights);
        let vocabulary = Vocabulary::of(weights.clone());
        let load_time = started.elapsed();
        Ok(Model { weights, vocabulary, metadata, load_time, compiler: OnceLock::new() })
    }

    /// The tokenizer.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the file says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The longest context that the model was trained for, in tokens.
    pub fn n_ctx_train(&self) -> usize {
        self.weights.n_ctx_train() as usize
    }

    /// How long [`Model::load`] took.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// The compiler of grammars for this vocabulary, built at the first call.
    ///
    /// # Errors
    /// [`Error::Grammar`] when llguidance cannot use the vocabulary.
    pub fn compiler(&self) -> Result<&Compiler, Error> {
        if let Some(compiler) = self.compiler.get() {
            return Ok(compiler);
        }
        let compiler = Compiler::for_vocabulary(self.vocabulary.clone())?;
        Ok(self.compiler.get_or_init(|| compiler))
    }
}

/// Loads the file at `path`, once our own reader has found nothing wrong with it.
pub(super) fn load(path: &Path, params: LlamaModelParams) -> Result<(LlamaModel, Metadata), Error> {
    let backend = backend()?;
    if path.is_dir() {
        return Err(Error::Folder { path: path.to_path_buf() });
    }
    let file = Map::open(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
    let gguf = Gguf::parse(&file).map_err(|source| Error::Gguf { path: path.to_path_buf(), source })?;
    let metadata = Metadata {
        architecture: gguf.architecture().map(str::to_owned),
        chat_templates: chat_templates(&gguf),
        pre_tokenizer: gguf.str("tokenizer.ggml.pre").map(str::to_owned),
    };
    let params = params.with_use_mmap(gguf.is_mappable());
    drop((gguf, file));
    // llama.cpp takes a C string in UTF-8.
    if path.to_str().is_none_or(|path| path.contains('\0')) {
        return Err(Error::Path { path: path.to_path_buf() });
    }
    let model = LlamaModel::load_from_file(backend, path, &params)
        .map_err(|_| Error::Load { path: path.to_path_buf() })?;
    Ok((model, metadata))
}

fn chat_templates(gguf: &Gguf) -> Vec<(String, String)> {
    let named = |key: &str| match key.strip_prefix("tokenizer.chat_template")? {
        "" => Some("default".to_owned()),
        name => name.strip_prefix('.').map(str::to_owned),
    };
    gguf.metadata.iter().filter_map(|(key, value)| Some((named(key)?, value.as_str()?.to_owned()))).collect()
}
