//! Names of an archive's entries: which may be written, and where.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};
use unicode_normalization::UnicodeNormalization;

/// Most folders above an entry.
const MAX_DEPTH: usize = 16;
/// Most bytes of one component, as of most file systems.
const MAX_COMPONENT_BYTES: usize = 255;
/// Most characters of a name in a message.
const MAX_SHOWN: usize = 200;

/// A name as messages show it: on one line, without control characters, not endless.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

/// The components of an entry's name, all of them plain; empty for the folder itself.
///
/// # Errors
/// The reason why a name is refused, as the end of a sentence.
pub(super) fn components(name: &[u8]) -> Result<Vec<&str>, String> {
    let name = std::str::from_utf8(name).map_err(|_| "has a name that is not UTF-8".to_owned())?;
    if name.chars().any(char::is_control) {
        return Err("has a control character in its name".into());
    }
    let mut components = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => components.push(part.to_str().unwrap_or_default()),
            Component::ParentDir => return Err("leaves the folder by `..`".into()),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute path".into()),
        }
    }
    if components.iter().any(|part| part.len() > MAX_COMPONENT_BYTES) {
        return Err(format!("has a name of more than {MAX_COMPONENT_BYTES} bytes"));
    }
    if components.len() > MAX_DEPTH + 1 {
        return Err(format!("lies more than {MAX_DEPTH} folders deep"));
    }
    Ok(components)
}

/// True for what desktop systems and other archivers add beside the files: `._x` and `__MACOSX` of macOS, `.DS_Store`,
/// headers of pax that an older tar unpacked as files.
pub(super) fn is_clutter(components: &[&str]) -> bool {
    components.iter().any(|part| {
        part.starts_with("._")
            || ["__MACOSX", ".DS_Store", "Thumbs.db"].contains(part)
            || part.starts_with("PaxHeaders")
    })
}

/// The names that were seen so far, with their folders.
#[derive(Default)]
pub(super) struct Names {
    /// By the form in which file systems without case compare names.
    seen: BTreeMap<String, Seen>,
}

struct Seen {
    name: String,
    is_folder: bool,
}

impl Names {
    /// Adds the folder of these components and all folders above it.
    ///
    /// # Errors
    /// The reason why the name is refused.
    pub(super) fn add_folder(&mut self, components: &[&str]) -> Result<(), String> {
        for end in 1..=components.len() {
            let name = components[..end].join("/");
            match self.seen.get(&folded(&name)) {
                None => drop(self.seen.insert(folded(&name), Seen { name, is_folder: true })),
                Some(seen) if seen.name != name => return Err(by_case(&seen.name)),
                Some(seen) if !seen.is_folder => {
                    return Err(format!("needs `{}` as a folder, and it is a file", seen.name));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Adds the file of these components and the folders above it.
    ///
    /// # Errors
    /// The reason why the name is refused.
    pub(super) fn add_file(&mut self, components: &[&str]) -> Result<(), String> {
        let Some((_, folders)) = components.split_last() else {
            return Err("is a file without a name".into());
        };
        self.add_folder(folders)?;
        let name = components.join("/");
        match self.seen.get(&folded(&name)) {
            None => drop(self.seen.insert(folded(&name), Seen { name, is_folder: false })),
            Some(seen) if seen.name != name => return Err(by_case(&seen.name)),
            Some(seen) if seen.is_folder => return Err("is a file with the name of a folder".into()),
            Some(_) => return Err("is there twice".into()),
        }
        Ok(())
    }
}

fn by_case(name: &str) -> String {
    format!("differs from `{name}` only in the case or the form of its letters")
}

/// A form that is equal for names which some file system takes as one.
fn folded(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

/// The path of `components` in `folder`.
pub(super) fn join(folder: &Path, components: &[&str]) -> PathBuf {
    components.iter().fold(folder.to_path_buf(), |path, part| path.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leaves_the_folder_is_refused_and_dots_are_dropped() {
        assert_eq!(components(b"./model//./config.json"), Ok(vec!["model", "config.json"]));
        assert_eq!(components(b"./"), Ok(vec![]));
        for name in [&b"../x"[..], b"a/../x", b"a/b/..", b".."] {
            assert!(components(name).unwrap_err().contains("leaves the folder"));
        }
        assert!(components(b"/etc/passwd").unwrap_err().contains("absolute"));
        assert!(components(b"a\xffb").unwrap_err().contains("UTF-8"));
        assert!(components(b"a\x1b[2J").unwrap_err().contains("control"));
        assert!(components("a/".repeat(18).as_bytes()).unwrap_err().contains("deep"));
        assert!(components("a".repeat(256).as_bytes()).unwrap_err().contains("255"));
        assert_eq!(components(b"...").unwrap(), ["..."]);
    }

    #[test]
    fn names_that_repeat_or_differ_only_in_case_are_refused() {
        let mut names = Names::default();
        names.add_folder(&["model"]).unwrap();
        names.add_folder(&["model"]).unwrap();
        names.add_file(&["model", "a"]).unwrap();
        assert_eq!(names.add_file(&["model", "a"]).unwrap_err(), "is there twice");
        assert!(names.add_file(&["model", "A"]).unwrap_err().contains("`model/a` only in the case"));
        assert!(names.add_file(&["Model", "b"]).unwrap_err().contains("`model` only in the case"));
        assert!(names.add_file(&["model", "a", "b"]).unwrap_err().contains("as a folder"));
        assert!(names.add_file(&["model"]).unwrap_err().contains("name of a folder"));
        names.add_file(&["caf\u{e9}"]).unwrap();
        assert!(names.add_file(&["cafe\u{301}"]).unwrap_err().contains("form of its letters"));
    }

    #[test]
    fn what_macos_adds_is_clutter() {
        let is = |path: &str| is_clutter(&path.split('/').collect::<Vec<_>>());
        assert!(
            ["model/._config.json", "__MACOSX/model/x", ".DS_Store", "PaxHeaders.12/x"].into_iter().all(is)
        );
        assert!(!["model/config.json", ".hidden", "_x"].into_iter().any(is));
    }
}
