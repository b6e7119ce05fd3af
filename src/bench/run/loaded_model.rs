//! A loaded model file with its hash and name.

use crate::{
    bench::{Error, Result, data::published},
    files,
    gguf::Gguf,
    hash::{self, hex},
    runtime::{LoadOptions, Model, ModelFile},
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A model that takes part in the comparison.
pub struct LoadedModel {
    /// Path of the file.
    pub path: PathBuf,
    /// File name without extension, and without the part numbers of a split model.
    pub name: String,
    /// The model.
    pub model: Model,
    /// Options that it was loaded with.
    pub load_options: LoadOptions,
    /// SHA-256 in hex: of the file, or of all parts of a split model in order.
    pub sha256: String,
    /// Size in bytes of the file, or of all parts.
    pub file_bytes: u64,
    /// Bits per weight.
    pub bits_per_weight: Option<f64>,
}

impl LoadedModel {
    /// Loads and hashes the model at `path`.
    ///
    /// # Errors
    /// Errors of [`Model::load`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<LoadedModel> {
        LoadedModel::load_with(path, LoadOptions::default())
    }

    /// Loads the model at `path` with `options`, and hashes it.
    ///
    /// # Errors
    /// As for [`LoadedModel::load`].
    pub fn load_with(path: &Path, options: LoadOptions) -> Result<LoadedModel> {
        let loaded = LoadedModel::unhashed(path, options)?;
        Ok(LoadedModel { sha256: hash(loaded.model.files())?, ..loaded })
    }

    /// Loads the model at `path` without computing its hash, which reads the whole file; for measuring calls.
    ///
    /// # Errors
    /// As for [`LoadedModel::load`].
    pub fn unhashed(path: &Path, options: LoadOptions) -> Result<LoadedModel> {
        let model = Model::load_with(path, options)?;
        let bits_per_weight = bits_per_weight(model.header());
        Ok(LoadedModel {
            path: path.to_path_buf(),
            name: name(path),
            file_bytes: model.files().iter().map(|file| file.stat.bytes).sum(),
            model,
            load_options: options,
            sha256: String::new(),
            bits_per_weight,
        })
    }

    /// Loads the same file again, with or without repacked weights.
    ///
    /// # Errors
    /// Errors of [`Model::load`].
    pub fn with_repack(&self, repack: bool) -> Result<LoadedModel> {
        let load_options = LoadOptions { repack, ..self.load_options };
        Ok(LoadedModel {
            model: Model::load_with(&self.path, load_options)?,
            load_options,
            path: self.path.clone(),
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            ..*self
        })
    }

    /// Checkpoint with published scores that the file was converted from, if a name in its metadata tells.
    pub fn checkpoint(&self) -> Option<String> {
        let keys = ["general.name", "general.source.repo_url", "general.source.url", "general.repo_url"];
        keys.iter().filter_map(|key| self.model.header().str(key)).find_map(published::checkpoint)
    }

    /// `general.file_type`: the quantisation of most weights, as a number of llama.cpp's `llama_ftype`.
    pub fn file_type(&self) -> Option<u64> {
        self.model.header().u64("general.file_type")
    }
}

/// Returns an error if the same file takes part twice.
///
/// # Errors
/// [`Error::SameModel`].
pub fn check_distinct(loaded_models: &[LoadedModel]) -> Result<(), Error> {
    for (index, b) in loaded_models.iter().enumerate() {
        if let Some(a) = loaded_models[..index].iter().find(|a| a.sha256 == b.sha256) {
            return Err(Error::SameModel { a: a.path.clone(), b: b.path.clone() });
        }
    }
    Ok(())
}

/// Index of the default reference: the first F32 file, else the first F16 file, else the first of all.
pub fn reference(file_types: &[Option<u64>]) -> usize {
    // `LLAMA_FTYPE_ALL_F32` is 0 and `LLAMA_FTYPE_MOSTLY_F16` is 1.
    let first = |wanted| file_types.iter().position(|file_type| *file_type == Some(wanted));
    first(0).or_else(|| first(1)).unwrap_or(0)
}

/// File name without extension and without the part numbers of a split model (`-00001-of-00003`).
fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = stem.rsplit_once("-of-").filter(|(_, count)| digits(count));
    match whole.and_then(|(front, _)| front.rsplit_once('-')) {
        Some((name, number)) if digits(number) && !name.is_empty() => name.to_owned(),
        _ => stem,
    }
}

/// SHA-256 over the bytes of all files in order, in hex.
fn hash(files: &[ModelFile]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for ModelFile { path, .. } in files {
        files::open(path)
            .and_then(|file| hash::add_all(&mut hash, file, || true))
            .map_err(unreadable(path))?;
    }
    Ok(hex(&hash.finalize()))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    |source| Error::Read { path: path.to_path_buf(), source }
}

fn bits_per_weight(header: &Gguf) -> Option<f64> {
    let sizes = header.tensors.iter().map(|tensor| (tensor.dims.iter().product::<u64>(), tensor.byte_len()));
    let (weights, bytes) = sizes.fold((0, 0), |sum, tensor| (sum.0 + tensor.0, sum.1 + tensor.1));
    (weights > 0).then(|| bytes as f64 * 8.0 / weights as f64)
}

#[cfg(test)]
mod tests {
    use super::{name, reference};
    use std::path::Path;

    #[test]
    fn a_split_model_is_called_by_the_name_of_the_whole() {
        let name = |path: &str| name(Path::new(path));
        assert_eq!(name("m/pocket-Q8_0-00001-of-00003.gguf"), "pocket-Q8_0");
        assert_eq!(name("pocket-Q8_0.gguf"), "pocket-Q8_0");
        assert_eq!(name("best-of-00003.gguf"), "best-of-00003");
    }

    #[test]
    fn the_reference_is_f32_else_f16_else_the_first() {
        assert_eq!(reference(&[Some(15), Some(1), Some(0)]), 2);
        assert_eq!(reference(&[Some(15), Some(1), Some(7)]), 1);
        assert_eq!(reference(&[Some(15), None]), 0);
    }
}
