//! Names of temporary files and folders, by which a later process knows what a killed one left behind.

use std::path::Path;

/// Part of the names before the number of the process.
const MARK: &str = ".edgecall-";
/// Most bytes of the name of what they are for; names have an end at 255.
const MAX_NAME_BYTES: usize = 150;

/// Names of one kind: `.NAME.edgecall-PROCESS-RANDOM` and the ending.
#[derive(Clone, Copy, Debug)]
pub struct OwnedNames {
    /// Their ending, with its dot.
    pub ending: &'static str,
    /// The name where the path has none that is UTF-8.
    pub nameless: &'static str,
}

impl OwnedNames {
    /// Beginning of the names that this process gives to what is for `path`.
    pub fn prefix(&self, path: &Path) -> String {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(self.nameless);
        let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
        let short = &name[..ends.take_while(|end| *end <= MAX_NAME_BYTES).last().unwrap_or(0)];
        format!(".{short}{MARK}{}-", std::process::id())
    }

    /// True for such a name, of any process.
    pub fn matches(&self, name: &str) -> bool {
        let number = |rest: &str| rest.split_once('-').is_some_and(|(id, _)| id.parse::<u32>().is_ok());
        let front = name.strip_prefix('.').and_then(|name| name.strip_suffix(self.ending));
        front.and_then(|front| front.rsplit_once(MARK)).is_some_and(|(_, rest)| number(rest))
    }
}
