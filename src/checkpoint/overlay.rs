//! Tensors that are computed while they are read, in place of those in the files.

use super::{Error, Shards};
use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// A change of a checkpoint's tensors between its files and their readers, such as an adapter that is merged.
pub trait Overlay: fmt::Debug + Send + Sync {
    /// A reader of the changed tensors, for one thread.
    fn reader<'a>(&'a self, shards: &'a Shards) -> Box<dyn OverlayReader + 'a>;

    /// Folders that the change comes from.
    fn sources(&self) -> &[OverlaySource];

    /// Name of the arithmetic, which manifests record.
    fn method(&self) -> &'static str;
}

/// A reader of an overlay's tensors, with its buffers.
pub trait OverlayReader {
    /// Fills `out` with the weights `weights` of the tensor whose [`SourceTensor::overlay`] is `tensor`.
    ///
    /// The weights of a matrix are whole rows.
    ///
    /// # Errors
    /// A file that cannot be read.
    ///
    /// [`SourceTensor::overlay`]: super::SourceTensor::overlay
    fn read(&mut self, tensor: usize, weights: Range<u64>, out: &mut [f32]) -> Result<(), Error>;
}

/// A folder that an overlay comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlaySource {
    /// The folder.
    pub dir: PathBuf,
    /// Names of its files that influence the result.
    pub files: Vec<String>,
}

impl OverlaySource {
    /// Paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().map(|name| self.dir.join(name))
    }
}

/// Folders that name and describe a model, which need not be that of its weights.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Folder with the tokenizer's files.
    pub tokenizer: PathBuf,
    /// Folder with the model card.
    pub card: PathBuf,
    /// Folders after which the model is named.
    pub named_after: Vec<PathBuf>,
}

impl Identity {
    /// That of a checkpoint without changes.
    pub fn plain(dir: &Path) -> Identity {
        let dir = dir.to_path_buf();
        Identity { tokenizer: dir.clone(), card: dir.clone(), named_after: vec![dir] }
    }
}
