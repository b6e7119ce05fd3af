//! The manifest beside a model file, as far as it can be read: of a damaged one the parts that are whole still count.

use super::{
    finding::{Finding, Topic},
    words::shown,
};
use crate::{
    convert::{
        manifest::{self, Answers, Recorded, RecordedFile},
        manifest_path,
    },
    display::visible,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// The parts of a manifest that are compared.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// Length and hash of the model file.
    pub file: Option<RecordedFile>,
    /// Answers to the fixed prompts; `None` also if none were computed.
    pub answers: Option<Answers>,
    /// The reason why the manifest as a whole cannot be used.
    pub problem: Option<String>,
}

impl Manifest {
    /// Reads the manifest of the model at `path`; `None` if there is none.
    pub fn read(path: &Path) -> Option<Manifest> {
        let broken = |problem: String| Manifest { problem: Some(problem), ..Manifest::default() };
        let json = match manifest::read(&manifest_path(path)) {
            Ok(json) => json?,
            Err(error) => return Some(broken(error.to_string())),
        };
        Some(match serde_json::from_slice(&json) {
            Ok(Recorded { file, answers }) => Manifest { file: Some(file), answers, problem: None },
            Err(error) => {
                let parts: Value = serde_json::from_slice(&json).unwrap_or_default();
                Manifest {
                    file: part(&parts, "file"),
                    answers: part(&parts, "answers"),
                    ..broken(error.to_string())
                }
            }
        })
    }

    /// True if the file at `path` has the recorded length, or if none is recorded.
    pub fn has_length_of(&self, path: &Path) -> bool {
        let bytes = || path.metadata().map_or(0, |metadata| metadata.len());
        self.file.as_ref().is_none_or(|file| file.file_bytes == bytes())
    }

    /// Finding on the manifest of the model at `path`.
    pub fn finding(&self, path: &Path) -> Option<Finding> {
        let problem = visible(self.problem.as_deref()?);
        Some(Finding::wrong(
            Topic::File,
            format!("the manifest {} cannot be used: {problem}", shown(&manifest_path(path))),
            "copy it again from where the model was converted, or convert the model again",
        ))
    }
}

/// The part of a manifest with this name, if it is whole.
fn part<T: DeserializeOwned>(parts: &Value, name: &str) -> Option<T> {
    serde_json::from_value(parts.get(name)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use std::fs;

    fn read(json: &str) -> Option<Manifest> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(manifest_path(&path), json).unwrap();
        Manifest::read(&path)
    }

    #[test]
    fn a_missing_manifest_is_none_and_a_damaged_one_is_wrong() {
        assert!(Manifest::read(Path::new("nowhere/m.gguf")).is_none());
        for damaged in [
            "",
            "{}",
            "[]",
            "\u{1}",
            r#"{"file": {"file_bytes": 7, "sha256": "0"}, "answers": "\u001b[31m"}"#,
        ] {
            let found = read(damaged).unwrap().finding(Path::new("m.gguf")).unwrap();
            assert_eq!((found.topic, found.severity), (Topic::File, Severity::Wrong), "{damaged}");
            assert!(found.what.starts_with("the manifest m.gguf.json cannot be used: "), "{}", found.what);
            assert!(!found.what.contains('\u{1b}'), "{}", found.what);
        }
    }

    #[test]
    fn of_a_damaged_manifest_the_whole_parts_count() {
        let file = r#""file": {"file_bytes": 7, "sha256": "0"}"#;
        let whole = read(&format!("{{{file}}}")).unwrap();
        assert!(whole.problem.is_none() && whole.finding(Path::new("m.gguf")).is_none());
        let damaged = read(&format!("{{{file}, \"answers\": \"x\"}}")).unwrap();
        assert!(damaged.problem.is_some() && damaged.answers.is_none());
        assert_eq!(damaged.file.unwrap().file_bytes, 7);
        let answers = r#""answers": {"engine": "llama.cpp", "kernels": "avx2", "prompts": []}"#;
        assert_eq!(read(&format!("{{{answers}}}")).unwrap().answers.unwrap().kernels, "avx2");
    }
}
