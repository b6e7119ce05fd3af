//! The model card: the YAML front matter of README.md.

use crate::{checkpoint::MAX_JSON_BYTES, files};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A file with metadata that exists and cannot be used. It is worth a warning, not a failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read as text.
    #[error("{}: the model card cannot be read, so its licence and tags are left out", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The front matter is not YAML.
    #[error("{}: the front matter is not valid YAML, so licence and tags are left out", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// The front matter is YAML but not a mapping.
    #[error("{}: the front matter is not a mapping, so licence and tags are left out", path.display())]
    NotAMapping {
        /// The file.
        path: PathBuf,
    },
    /// generation_config.json cannot be read.
    #[error("{}: cannot be read, so the sampling parameters are left out", path.display())]
    UnreadableConfig {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// generation_config.json is not a JSON object.
    #[error("{}: not a JSON object, so the sampling parameters are left out", path.display())]
    GenerationConfig {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the front matter of `dir`'s README.md; empty if there is none.
///
/// # Errors
/// The reason why it cannot be used.
pub(super) fn read(dir: &Path) -> Result<Map<String, Value>, Error> {
    let path = dir.join("README.md");
    let text = |bytes| String::from_utf8(bytes).map_err(std::io::Error::other);
    let read = files::if_present(files::read(&path, MAX_JSON_BYTES).and_then(text));
    let readme = read.map_err(|source| Error::Read { path: path.clone(), source })?;
    let Some(yaml) = readme.as_deref().and_then(front_matter) else { return Ok(Map::new()) };
    // `no` is Norwegian, not false. Of two equal keys the last one counts, as in PyYAML.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options(&yaml, options) {
        Ok(Value::Object(card)) => Ok(card),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::NotAMapping { path }),
        Err(source) => Err(Error::Yaml { path, source: Box::new(source) }),
    }
}

/// The lines between a first line `---` and the next such line.
fn front_matter(readme: &str) -> Option<String> {
    let mut lines = readme.lines();
    if lines.next() != Some("---") {
        return None;
    }
    let mut yaml = String::new();
    for line in lines.take_while(|line| *line != "---") {
        // Tabs are not allowed in YAML, but real cards have them.
        yaml.push_str(&line.replace('\t', "  "));
        yaml.push('\n');
    }
    Some(yaml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(readme: &str) -> Result<Map<String, Value>, Error> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("README.md"), readme).unwrap();
        read(dir.path())
    }

    #[test]
    fn the_front_matter_ends_at_the_second_rule() {
        let card = card("---\nlicense: mit\ntags:\n\t- a\n---\nlicense: no\n---\n").unwrap();
        assert_eq!(Value::Object(card), serde_json::json!({"license": "mit", "tags": ["a"]}));
    }

    #[test]
    fn norwegian_is_not_false() {
        let card = card("---\nlanguage: [en, no]\nversion: 1.0\n---\n").unwrap();
        assert_eq!(card["language"], serde_json::json!(["en", "no"]));
    }

    #[test]
    fn a_card_without_front_matter_says_nothing() {
        assert_eq!(card("# A model\n---\nlicense: mit\n---\n").unwrap(), Map::new());
        assert_eq!(card("").unwrap(), Map::new());
        assert_eq!(read(tempfile::tempdir().unwrap().path()).unwrap(), Map::new());
    }

    #[test]
    fn broken_yaml_is_refused_by_name() {
        let error = card("---\nlicense: [mit\n---\n").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("README.md: the front matter is not valid YAML, so licence and tags are left out")
        );
        assert!(matches!(card("---\n- a\n---\n"), Err(Error::NotAMapping { .. })));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut yaml = String::from("---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            yaml.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")));
        }
        yaml.push_str("---\n");
        assert!(matches!(card(&yaml), Err(Error::Yaml { .. })));
    }
}
