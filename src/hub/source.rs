//! Names of what can be fetched: `ORG/NAME`, with `@REVISION` and `:FILE`.

use super::Error;
use std::{fmt, str::FromStr};

/// Revision of a name without one.
const DEFAULT_REVISION: &str = "main";
/// Beginning of the name of a model's folder in the cache.
pub(super) const REPOSITORY_PREFIX: &str = "models--";
/// Longest part of a repository's name on the hub.
const MAX_PART_BYTES: usize = 96;
/// Longest component of a path in most file systems.
const MAX_COMPONENT_BYTES: usize = 255;

/// Name of a repository on the hub, `ORG/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoId(String);

impl RepoId {
    /// The name, with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Folder of the repository in the cache.
    pub(super) fn folder(&self) -> String {
        format!("{REPOSITORY_PREFIX}{}", self.0.replace('/', "--"))
    }
}

impl FromStr for RepoId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RepoId, &'static str> {
        let Some((org, name)) = text.split_once('/') else {
            return Err("has no slash: a model on the hub has the form ORG/NAME");
        };
        if text.contains("://") {
            return Err("is an address: give ORG/NAME, the last two parts of it");
        }
        let is_part = |part: &str| {
            let fits = (1..=MAX_PART_BYTES).contains(&part.len());
            let edges = ['-', '.'];
            fits && !part.starts_with(edges)
                && !part.ends_with(edges)
                && !part.contains("--")
                && !part.contains("..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match is_part(org) && is_part(name) {
            true => Ok(RepoId(text.to_owned())),
            false => Err(
                "is no name of a model on the hub: ORG/NAME has letters, digits, `-`, `_` and `.` on both sides of one \
                 slash, and neither `--` nor `..`",
            ),
        }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model to fetch or to find: a repository, its revision, and perhaps one GGUF file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub id: RepoId,
    /// Branch, tag, commit, or a ref such as `refs/pr/1`.
    pub revision: String,
    /// GGUF file, as a path in the repository.
    pub file: Option<String>,
    /// SHA-256 of files, if they are known in advance.
    pub(super) pinned: Vec<(String, String)>,
    /// The name as it was given.
    pub(super) text: String,
}

impl Source {
    /// A whole repository at its main branch.
    pub fn new(id: RepoId) -> Source {
        Source {
            text: id.to_string(),
            id,
            revision: DEFAULT_REVISION.to_owned(),
            file: None,
            pinned: Vec::new(),
        }
    }

    /// The same repository and revision, with this file.
    pub fn with_file(&self, file: &str) -> Source {
        let whole = self.text.strip_suffix(&self.suffix()).unwrap_or(&self.text);
        Source { file: Some(file.to_owned()), text: format!("{whole}:{file}"), ..self.clone() }
    }

    fn suffix(&self) -> String {
        self.file.as_ref().map(|file| format!(":{file}")).unwrap_or_default()
    }
}

impl Source {
    /// Parses `ORG/NAME[@REVISION][:FILE.gguf]`.
    pub(super) fn on_hub(text: &str) -> Result<Source, Error> {
        let wrong = |problem| Error::Name { text: text.to_owned(), problem };
        if text.contains("://") {
            return Err(wrong("is an address: give ORG/NAME, the last two parts of it"));
        }
        // Neither a repository's name nor a revision has a colon.
        let (front, file) = match text.split_once(':') {
            Some((front, file)) => (front, Some(file)),
            None => (text, None),
        };
        let (id, revision) = match front.split_once('@') {
            Some((id, revision)) => (id, revision),
            None => (front, DEFAULT_REVISION),
        };
        let id = id.parse().map_err(wrong)?;
        if !is_revision(revision) {
            return Err(wrong("names no revision: after `@` comes a branch, a tag or a commit"));
        }
        if let Some(file) = file {
            if !is_file_name(file) {
                return Err(wrong("names no file of a repository after the colon"));
            }
            if !is_gguf(file) {
                return Err(wrong(
                    "names a file that does not end with .gguf; leave it out for a checkpoint",
                ));
            }
        }
        Ok(Source {
            id,
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
            pinned: Vec::new(),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// True for a commit by its whole hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// True for a revision that git allows, and that stays inside of the folder `refs` of the cache.
pub(super) fn is_revision(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with(".lock")
            && !part.contains("..")
            && part.len() <= MAX_COMPONENT_BYTES
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "\\~^:?*[@{".contains(c))
    };
    text.split('/').all(is_part)
}

/// True for the name of a file that stays inside of its folder, wherever it came from.
pub(super) fn is_file_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= MAX_COMPONENT_BYTES
            && !part.contains(|c: char| c.is_control() || c == '\\')
    };
    text.split('/').all(is_part)
}

/// True for the name of a GGUF file.
pub(super) fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.get(name.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case(".gguf"))
}

/// Names of all files of the split model that `name` is a part of, such as `a-00001-of-00003.gguf`; `name` alone if it
/// is whole.
pub(super) fn parts(name: &str) -> Vec<String> {
    const DIGITS: usize = 5;
    let split = || {
        let (front, ending) = (name.get(..name.len() - 5)?, name.get(name.len() - 5..)?);
        let (front, count) = front.rsplit_once("-of-")?;
        let (front, number) = front.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let counted: usize = Some(count).filter(|text| is_number(text))?.parse().ok()?;
        let numbered: usize = Some(number).filter(|text| is_number(text))?.parse().ok()?;
        let name = |i| format!("{front}-{i:05}-of-{count}{ending}");
        (1..=counted).contains(&numbered).then(|| (1..=counted).map(name).collect())
    };
    if !is_gguf(name) {
        return vec![name.to_owned()];
    }
    split().unwrap_or_else(|| vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String, Option<String>) {
        let source = Source::on_hub(text).unwrap();
        assert_eq!(source.to_string(), text);
        (source.id.to_string(), source.revision, source.file)
    }

    #[test]
    fn a_name_has_a_revision_and_a_file_if_it_says_so() {
        let part = |id: &str, revision: &str, file: Option<&str>| {
            (id.to_owned(), revision.to_owned(), file.map(str::to_owned))
        };
        for (text, expected) in [
            ("Qwen/Qwen3-1.7B", part("Qwen/Qwen3-1.7B", "main", None)),
            ("a/b@refs/pr/1", part("a/b", "refs/pr/1", None)),
            ("a/b:c-Q4_0.gguf", part("a/b", "main", Some("c-Q4_0.gguf"))),
            ("a/b@v1.0:d/c.GGUF", part("a/b", "v1.0", Some("d/c.GGUF"))),
        ] {
            assert_eq!(parsed(text), expected);
        }
        let source = Source::on_hub("a/b@v1:x.gguf").unwrap();
        assert_eq!(source.with_file("y.gguf").to_string(), "a/b@v1:y.gguf");
        assert_eq!(Source::new("a/b".parse().unwrap()).with_file("y.gguf").to_string(), "a/b:y.gguf");
    }

    #[test]
    fn a_name_that_could_leave_the_cache_is_none() {
        for text in [
            "",
            "a",
            "gpt2",
            "/a/b",
            "a/",
            "/b",
            "a//b",
            "a/b/c",
            "../b",
            "a/..",
            "a/.b",
            "a--b/c",
            "a/b--c",
            "-a/b",
            "a/b@",
            "a/b@..",
            "a/b@../x",
            "a/b@refs//x",
            "a/b@/x",
            "a/b@x y",
            "a/b@x.lock",
            "a/b@.x",
            "a/b@a@{1}",
            "a/b:",
            "a/b:../x.gguf",
            "a/b:/x.gguf",
            "a/b:x//y.gguf",
            "a/b:x\\y.gguf",
            "a/b:x.bin",
            "a/b:.gguf",
            "https://huggingface.co/a/b",
            "a b/c",
            "ä/b",
        ] {
            assert!(Source::on_hub(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_split_model_stands_for_all_of_them() {
        let names = ["q/a-00001-of-00002.gguf", "q/a-00002-of-00002.gguf"];
        assert_eq!(parts(names[0]), names);
        assert_eq!(parts(names[1]), names);
        for whole in
            ["a.gguf", "a-1-of-2.gguf", "a-00003-of-00002.gguf", "a-00000-of-00002.gguf", "-of-.gguf"]
        {
            assert_eq!(parts(whole), [whole]);
        }
    }
}
