//! A model file that takes part: loaded, hashed, named.

use crate::{
    Result,
    benchmark::{Error, dataset::hex, published},
    gguf::Gguf,
    runtime::Model,
};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 20;

/// A model that takes part.
pub struct Contender {
    /// Its file.
    pub path: PathBuf,
    /// The file's name without its ending.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The SHA-256 of the file, in hex.
    pub sha256: String,
    /// The size of the file.
    pub file_bytes: u64,
    /// Bits for each weight.
    pub bits_per_weight: Option<f64>,
}

impl Contender {
    /// Loads and hashes the model at `path`.
    ///
    /// # Errors
    /// What [`Model::load`] reports, [`Error::Split`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<Contender> {
        let model = Model::load(path)?;
        if let Some(parts) = model.header().u64("split.count").filter(|&parts| parts > 1) {
            return Err(Error::Split { path: path.to_path_buf(), parts }.into());
        }
        let (sha256, file_bytes) =
            hash(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let bits_per_weight = bits_per_weight(model.header());
        Ok(Contender { path: path.to_path_buf(), name, model, sha256, file_bytes, bits_per_weight })
    }

    /// The checkpoint with published scores that it was made of, if the names in its file say so.
    pub fn checkpoint(&self) -> Option<String> {
        let keys = ["general.name", "general.source.repo_url", "general.source.url", "general.repo_url"];
        keys.iter().filter_map(|key| self.model.header().str(key)).find_map(published::checkpoint)
    }

    /// `general.file_type`: what the file says most of its weights are.
    pub fn file_type(&self) -> Option<u64> {
        self.model.header().u64("general.file_type")
    }
}

/// Refuses a model that takes part twice.
///
/// # Errors
/// [`Error::SameModel`].
pub fn check_distinct(contenders: &[Contender]) -> Result<(), Error> {
    for (index, b) in contenders.iter().enumerate() {
        if let Some(a) = contenders[..index].iter().find(|a| a.sha256 == b.sha256) {
            return Err(Error::SameModel { a: a.path.clone(), b: b.path.clone() });
        }
    }
    Ok(())
}

/// The model that the others are compared with where none is named: the first F32 file, else the first F16 file, else
/// the first of all.
pub fn reference(file_types: &[Option<u64>]) -> usize {
    // llama.cpp's numbers: ALL_F32 and MOSTLY_F16.
    let first = |wanted| file_types.iter().position(|file_type| *file_type == Some(wanted));
    first(0).or_else(|| first(1)).unwrap_or(0)
}

fn hash(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&chunk[..n]);
        bytes += n as u64;
    }
}

fn bits_per_weight(header: &Gguf) -> Option<f64> {
    let sizes = header.tensors.iter().map(|tensor| {
        let range = header.tensor_range(tensor);
        (tensor.dims.iter().product::<u64>(), range.end - range.start)
    });
    let (weights, bytes) = sizes.fold((0, 0), |sum, tensor| (sum.0 + tensor.0, sum.1 + tensor.1));
    (weights > 0).then(|| bytes as f64 * 8.0 / weights as f64)
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn the_reference_is_f32_else_f16_else_the_first() {
        assert_eq!(reference(&[Some(15), Some(1), Some(0)]), 2);
        assert_eq!(reference(&[Some(15), Some(1), Some(7)]), 1);
        assert_eq!(reference(&[Some(15), None]), 0);
    }
}
