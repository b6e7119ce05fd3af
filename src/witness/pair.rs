//! A tensor as the witness and as the file have it.

use super::{
    mark::{Distance, Mark},
    tensors::{NotFinite, Order},
};

/// A tensor on both sides.
pub(super) struct Pair<'w> {
    /// GGUF's name.
    pub name: String,
    /// transformers' name.
    pub source: String,
    /// transformers' name without the layer.
    pub part: &'static str,
    /// The layer; `None` outside the layers.
    pub layer: Option<u64>,
    /// Order of the rows that the file should have.
    pub order: Order,
    /// The witness's marks.
    pub expected: &'w Mark,
    /// The file's marks.
    pub found: Result<Mark, NotFinite>,
    /// Difference of the two; `None` if they cannot be compared.
    pub distance: Option<Distance>,
    /// The largest distance of a good tensor of this type.
    pub allowed: f64,
}

impl Pair<'_> {
    /// True if the weights are others.
    pub fn differs(&self) -> bool {
        self.distance.is_none_or(|distance| distance.largest() > self.allowed)
    }

    /// True if the file's weights could be those of `mark`.
    pub fn fits(&self, mark: &Mark) -> bool {
        let distance = self.found.as_ref().ok().and_then(|found| Distance::between(mark, found));
        distance.is_some_and(|distance| distance.largest() <= self.allowed)
    }
}
