//! Models with a name of their own: those of `models/MODELS.toml`.

use super::{Error, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, str::FromStr, sync::OnceLock};

/// Beginning of the name of a known model, such as `edgecall:tft-s4-direct`.
pub const KNOWN_PREFIX: &str = "edgecall:";

/// The file, which is part of the program.
const MODELS: &str = include_str!("../../models/MODELS.toml");

#[derive(Deserialize)]
struct Models {
    model: Vec<Model>,
}

/// A model of the file; what is not known is missing.
#[derive(Deserialize)]
struct Model {
    id: String,
    name: Option<String>,
    /// Commit to fetch, in place of the main branch.
    revision: Option<String>,
    /// SHA-256 of files.
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

fn models() -> &'static [Model] {
    static READ: OnceLock<Vec<Model>> = OnceLock::new();
    READ.get_or_init(|| read(MODELS))
}

fn read(text: &str) -> Vec<Model> {
    let models: Models = toml::from_str(text).expect("models/MODELS.toml is a constant, and tests read it");
    models.model
}

/// Names of the known models, without the prefix.
pub fn known_names() -> Vec<&'static str> {
    models().iter().filter_map(|model| model.name.as_deref()).collect()
}

impl FromStr for Source {
    type Err = Error;

    /// Parses `ORG/NAME[@REVISION][:FILE.gguf]`, or `edgecall:NAME` for a model of `models/MODELS.toml`.
    fn from_str(text: &str) -> Result<Source, Error> {
        match text.strip_prefix(KNOWN_PREFIX) {
            Some(name) => Ok(Source { text: text.to_owned(), ..source(name)? }),
            None => Source::on_hub(text),
        }
    }
}

/// The model that `name` stands for.
fn source(name: &str) -> Result<Source, Error> {
    let model = models().iter().find(|model| model.name.as_deref() == Some(name));
    let unknown = || Error::Known { name: name.to_owned(), known: known_names() };
    Ok(model.ok_or_else(unknown)?.source())
}

impl Model {
    fn source(&self) -> Source {
        let mut source = Source::new(self.id.parse().expect("tests parse every name"));
        if let Some(revision) = &self.revision {
            source.revision.clone_from(revision);
        }
        source.pinned = self.sha256.iter().map(|(name, hash)| (name.clone(), hash.clone())).collect();
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::source::is_revision;

    #[test]
    fn every_known_model_is_a_repository_at_a_revision() {
        assert!(known_names().contains(&"tft-s4-direct"));
        for model in models() {
            let source = model.source();
            assert!(is_revision(&source.revision), "{}", model.id);
            assert!(source.pinned.iter().all(|(_, hash)| hash.len() == 64), "{}", model.id);
        }
        let source: Source = "edgecall:tft-s4-direct".parse().unwrap();
        assert_eq!(source.id.as_str(), "distillabs/tft-benchmark-s4-direct-Qwen3-1.7B");
        assert_eq!(source.to_string(), "edgecall:tft-s4-direct");
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_those_that_are() {
        let error = "edgecall:nothing".parse::<Source>().unwrap_err();
        assert!(error.to_string().contains("edgecall:tft-s4-direct"), "{error}");
    }

    #[test]
    fn a_commit_and_hashes_of_the_file_are_part_of_the_source() {
        let text = "[[model]]\nid = \"a/b\"\nname = \"x\"\nrevision = \"v1\"\n[model.sha256]\n\"model.safetensors\" = \"00\"\n";
        let source = read(text)[0].source();
        assert_eq!(source.revision, "v1");
        assert_eq!(source.pinned, [("model.safetensors".to_owned(), "00".to_owned())]);
    }
}
