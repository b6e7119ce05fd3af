//! Contents of a list or dictionary, which a template may change.

use std::sync::OnceLock;

/// The contents of a container: what it was made with, or what the last change left.
///
/// Earlier contents stay where they are, so that references to them remain valid while a template changes what it reads.
/// Each change pays for the items that it leaves, which bounds the memory.
#[derive(Debug)]
pub(super) struct Contents<T> {
    first: T,
    // Few containers are ever changed.
    later: OnceLock<Box<boxcar::Vec<T>>>,
}

impl<T> Contents<T> {
    pub(super) fn new(first: T) -> Contents<T> {
        Contents { first, later: OnceLock::new() }
    }

    /// The present contents.
    pub(super) fn now(&self) -> &T {
        let newest = self.later.get().and_then(|later| later.get(later.count().checked_sub(1)?));
        newest.unwrap_or(&self.first)
    }

    /// Puts `contents` in the place of what it holds.
    pub(super) fn change(&self, contents: T) {
        self.later.get_or_init(Box::default).push(contents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_is_read_and_references_to_earlier_contents_hold() {
        let contents = Contents::new(vec![0]);
        let mut seen = vec![contents.now()];
        for n in 1..100 {
            contents.change(vec![n; n]);
            seen.push(contents.now());
        }
        assert_eq!(seen[0], &[0]);
        assert!((1..100).all(|n| *seen[n] == vec![n; n]));
    }
}
