//! safetensors files and their index: name -> dtype, shape, byte range.
//!
//! The headers are read once, through a memory map that is then dropped. Tensor data are read by offset into
//! the caller's buffers: memory use is the caller's decision, and a file that shrinks is an error, not a
//! signal.

use super::{Error, MAX_JSON_BYTES, names};
use crate::{files, mmap::Map};
use safetensors::{SafeTensorError, SafeTensors, tensor::Metadata};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const INDEX: &str = "model.safetensors.index.json";
/// The file of a checkpoint in a single one.
const WHOLE: &str = "model.safetensors";
/// Start of a git-lfs pointer, which is in place of a file that was not fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Storage type of a source tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl Dtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::Bf16 | Dtype::F16 => 2,
            Dtype::F32 => 4,
        }
    }

    /// Its name in safetensors.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Bf16 => "BF16",
            Dtype::F16 => "F16",
            Dtype::F32 => "F32",
        }
    }
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct SourceTensor {
    /// Its Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Storage type of its numbers.
    pub dtype: Dtype,
    /// Its shape in Hugging Face's order, `[out, in]` for a matrix.
    pub shape: Vec<u64>,
    /// Index of its file in [`Shards::files`].
    pub shard: usize,
    /// Its bytes in that file.
    pub range: Range<u64>,
    /// Its number in the checkpoint's overlay; `None` if the file's numbers are its own. A tensor of an overlay may
    /// have another shape and dtype than the one in the file at its place.
    pub overlay: Option<usize>,
}

/// One safetensors file.
#[derive(Debug)]
pub struct ShardFile {
    /// The file's name in the checkpoint folder.
    pub name: String,
    /// Its size.
    pub file_bytes: u64,
    path: PathBuf,
    file: File,
}

impl ShardFile {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// The system's error, also if the file ends early.
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file
            .read_exact_at(out, offset)
            .map_err(|source| Error::ShardRead { path: self.path.clone(), source })
    }
}

/// The safetensors files of a checkpoint.
#[derive(Debug, Default)]
pub struct Shards {
    files: Vec<ShardFile>,
    tensors: Vec<SourceTensor>,
}

impl Shards {
    /// Opens the files that the index in `dir` names; without an index, all `model*.safetensors`. Returns warnings,
    /// too.
    ///
    /// A whole `model.safetensors` comes before an index of other files, as in transformers: the index is then that
    /// of an earlier save.
    pub(super) fn open(dir: &Path) -> Result<(Shards, Vec<String>), Error> {
        let mut warnings = Vec::new();
        let mut shards = match Index::open(dir)? {
            None => Shards::from_files(dir, model_files(dir)?)?,
            Some(index) => match Shards::beside_index(dir, &index)? {
                Some(shards) => {
                    warnings.push(format!(
                        "{} names other files than {WHOLE}, which is whole and is read; delete the index if it is \
                         that of an earlier save",
                        index.path.display()
                    ));
                    shards
                }
                None => {
                    let shards =
                        Shards::from_files(dir, index.files()).map_err(|error| index.beside(dir, error))?;
                    index.check(&shards)?;
                    shards
                }
            },
        };
        warnings.extend(shards.rename());
        Ok((shards, warnings))
    }

    fn from_files(dir: &Path, names: Vec<String>) -> Result<Shards, Error> {
        let mut shards = Shards { files: Vec::new(), tensors: Vec::new() };
        for name in names {
            shards.push(dir, name)?;
        }
        shards.refuse_duplicates()?;
        Ok(shards)
    }

    /// The one file that is read instead of those of `index`; `None` if there is none, or if it lacks tensors that
    /// the files of `index` have.
    fn beside_index(dir: &Path, index: &Index) -> Result<Option<Shards>, Error> {
        let files = index.files();
        if files.iter().any(|name| name == WHOLE) || !dir.join(WHOLE).exists() {
            return Ok(None);
        }
        let has_its_files = files.iter().all(|name| dir.join(name).exists());
        match Shards::from_files(dir, vec![WHOLE.to_owned()]) {
            Err(error) if !has_its_files => Err(error),
            Err(_) => Ok(None),
            Ok(whole) => {
                let names: BTreeSet<&str> = whole.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
                let has_all = index.weight_map.keys().all(|name| names.contains(name.as_str()));
                Ok((has_all || !has_its_files).then_some(whole))
            }
        }
    }

    /// Gives the tensors the names of transformers where other savers write others; returns a warning then.
    fn rename(&mut self) -> Option<String> {
        let old: Vec<&str> = self.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let (new, change) = names::mapped(&old)?;
        for (tensor, name) in self.tensors.iter_mut().zip(new) {
            tensor.name = name;
        }
        self.tensors.sort_by(|a, b| (a.shard, &a.name).cmp(&(b.shard, &b.name)));
        Some(change)
    }

    /// The files, sorted by name.
    pub fn files(&self) -> &[ShardFile] {
        &self.files
    }

    /// The tensors, file by file, sorted by name within each: the order of llama.cpp's converter.
    pub fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&SourceTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Opens a single file of `dir`, under the names that it has in it.
    pub(crate) fn open_file(dir: &Path, name: &str) -> Result<Shards, Error> {
        Shards::from_files(dir, vec![name.to_owned()])
    }

    /// The same files with other tensors, which are put in order.
    pub(crate) fn with_tensors(mut self, tensors: Vec<SourceTensor>) -> Shards {
        self.tensors = tensors;
        self.tensors.sort_by(|a, b| (a.shard, &a.name).cmp(&(b.shard, &b.name)));
        self
    }

    /// True if two tensors have the same dtype, shape and bytes in the files, and neither is changed by an overlay.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn same_bytes(&self, a: &SourceTensor, b: &SourceTensor) -> Result<bool, Error> {
        const CHUNK: u64 = 1 << 20;
        if a.dtype != b.dtype || a.shape != b.shape || a.overlay.is_some() || b.overlay.is_some() {
            return Ok(false);
        }
        let (mut left, mut right) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
        let total = a.range.end - a.range.start;
        let mut done = 0;
        while done < total {
            let len = CHUNK.min(total - done) as usize;
            self.files[a.shard].read_at(&mut left[..len], a.range.start + done)?;
            self.files[b.shard].read_at(&mut right[..len], b.range.start + done)?;
            if left[..len] != right[..len] {
                return Ok(false);
            }
            done += len as u64;
        }
        Ok(true)
    }

    fn push(&mut self, dir: &Path, name: String) -> Result<(), Error> {
        let path = dir.join(&name);
        let (header_bytes, metadata, file_bytes) = read_header(&path)?;
        let file = files::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let data_start = 8 + header_bytes as u64;
        let mut tensors = Vec::with_capacity(metadata.tensors().len());
        for (tensor, info) in metadata.tensors() {
            let dtype = match info.dtype {
                safetensors::Dtype::BF16 => Dtype::Bf16,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::F32 => Dtype::F32,
                other => return Err(Error::Dtype { path, tensor, found: format!("{other:?}") }),
            };
            tensors.push(SourceTensor {
                name: tensor,
                dtype,
                shape: info.shape.iter().map(|&length| length as u64).collect(),
                shard: self.files.len(),
                range: data_start + info.data_offsets.0 as u64..data_start + info.data_offsets.1 as u64,
                overlay: None,
            });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        self.tensors.extend(tensors);
        self.files.push(ShardFile { name, file_bytes, path, file });
        Ok(())
    }

    fn refuse_duplicates(&self) -> Result<(), Error> {
        let mut seen = BTreeMap::new();
        for tensor in &self.tensors {
            if let Some(first) = seen.insert(&tensor.name, tensor.shard) {
                return Err(Error::DuplicateTensor {
                    name: tensor.name.clone(),
                    first: self.files[first].name.clone(),
                    second: self.files[tensor.shard].name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Reads a file's header. Returns the header's length, its contents, and the file's length.
fn read_header(path: &Path) -> Result<(usize, Metadata, u64), Error> {
    let map = Map::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::MissingShard { path: path.to_path_buf(), others: Vec::new() },
        _ => Error::Read { path: path.to_path_buf(), source },
    })?;
    let bytes = map.bytes();
    if bytes.starts_with(LFS_POINTER) {
        return Err(Error::LfsPointer { path: path.to_path_buf() });
    }
    let file_bytes = bytes.len() as u64;
    match SafeTensors::read_metadata(bytes) {
        Ok((header_bytes, metadata)) => Ok((header_bytes, metadata, file_bytes)),
        Err(source) => Err(match source {
            SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength
            | SafeTensorError::MetadataIncompleteBuffer
                if promised_bytes(bytes).is_none_or(|promised| promised > file_bytes) =>
            {
                let promised = promised_bytes(bytes);
                Error::CutShort { path: path.to_path_buf(), file_bytes, promised }
            }
            source => Error::Shard { path: path.to_path_buf(), source },
        }),
    }
}

/// Size that the file should have according to its header; `None` if the header itself is truncated.
fn promised_bytes(bytes: &[u8]) -> Option<u64> {
    let header_bytes = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let end = usize::try_from(header_bytes).ok()?.checked_add(8)?;
    let header: Metadata = serde_json::from_slice(bytes.get(8..end)?).ok()?;
    (end as u64).checked_add(header.data_len() as u64)
}

/// The `model*.safetensors` files of a folder without an index.
fn model_files(dir: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::Read { path: dir.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        if let Ok(name) = entry.map_err(unreadable)?.file_name().into_string()
            && name.starts_with("model")
            && name.ends_with(".safetensors")
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// `model.safetensors.index.json`: a map from tensor to file.
struct Index {
    path: PathBuf,
    weight_map: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct IndexFile {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    fn open(dir: &Path) -> Result<Option<Index>, Error> {
        let path = dir.join(INDEX);
        let read = files::if_present(files::read(&path, MAX_JSON_BYTES));
        let Some(bytes) = read.map_err(|source| Error::Read { path: path.clone(), source })? else {
            return Ok(None);
        };
        let IndexFile { weight_map } =
            serde_json::from_slice(&bytes).map_err(|source| Error::Index { path: path.clone(), source })?;
        // A name with a separator could point outside the folder.
        if let Some(name) = weight_map.values().find(|name| name.contains(['/', '\\']) || *name == "..") {
            return Err(Error::IndexOutside { path, name: name.clone() });
        }
        Ok(Some(Index { path, weight_map }))
    }

    fn files(&self) -> Vec<String> {
        self.weight_map.values().collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// Adds to the error for a missing file the names of those that the index does not have: perhaps it is of another
    /// save.
    fn beside(&self, dir: &Path, error: Error) -> Error {
        match error {
            Error::MissingShard { path, .. } => {
                let files = self.files();
                let mut others = model_files(dir).unwrap_or_default();
                others.retain(|name| !files.contains(name));
                Error::MissingShard { path, others }
            }
            error => error,
        }
    }

    /// Checks that the index and the files name the same tensors.
    fn check(&self, shards: &Shards) -> Result<(), Error> {
        let present: BTreeSet<&String> = shards.tensors.iter().map(|tensor| &tensor.name).collect();
        let missing: Vec<String> =
            self.weight_map.keys().filter(|name| !present.contains(name)).cloned().collect();
        let extra: Vec<String> =
            present.into_iter().filter(|name| !self.weight_map.contains_key(*name)).cloned().collect();
        if missing.is_empty() && extra.is_empty() {
            return Ok(());
        }
        Err(Error::IndexMismatch { path: self.path.clone(), missing, extra })
    }
}
