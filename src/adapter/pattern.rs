//! Python's regular expressions, as far as adapter configs use them.

use fancy_regex::Regex;

/// A pattern of a config.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

/// The reason why a pattern cannot be used.
pub(super) type PatternError = Box<fancy_regex::Error>;

impl Pattern {
    /// One that must match a whole name, as `re.fullmatch` does.
    pub(super) fn whole(pattern: &str) -> Result<Pattern, PatternError> {
        Pattern::new(&format!(r"\A(?:{pattern})\z"))
    }

    /// One that must match a name from some dot, or its start, to its end: a key of `rank_pattern`.
    pub(super) fn ending(pattern: &str) -> Result<Pattern, PatternError> {
        Pattern::new(&format!(r"\A(?:.*\.)?(?:{pattern})\z"))
    }

    /// One that must match a name from some dot, or its start, to a dot or its end: an entry of `modules_to_save`.
    pub(super) fn part(pattern: &str) -> Result<Pattern, PatternError> {
        Pattern::new(&format!(r"\A(?:|.*\.)(?:{pattern})(?:\z|\.)"))
    }

    /// One for the number of a layer, which is the first group; `None` stands for any name before it.
    pub(super) fn layer(name: Option<&str>) -> Result<Pattern, PatternError> {
        Pattern::new(&match name {
            None => r"\A.*?\.[^.]*\.(\d+)\.".to_owned(),
            // A group of the pattern's own would be the first one, as in Python.
            Some(name) => format!(r"\A(?:|.*?\.){name}\.(\d+)\."),
        })
    }

    fn new(pattern: &str) -> Result<Pattern, PatternError> {
        Regex::new(pattern).map(Pattern).map_err(Box::new)
    }

    /// True if it matches `name`.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn matches(&self, name: &str) -> Result<bool, PatternError> {
        self.0.is_match(name).map_err(Box::new)
    }

    /// The number in the first group, if it matches.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, PatternError> {
        let groups = self.0.captures(name).map_err(Box::new)?;
        Ok(groups.and_then(|groups| groups.get(1)?.as_str().parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_a_look_ahead_matches_as_in_python() {
        let pattern = Pattern::whole(r"(?!.*visual).*layers\.\d+\.(q|v)_proj").unwrap();
        assert!(pattern.matches("model.layers.10.q_proj").unwrap());
        assert!(!pattern.matches("model.visual.layers.10.q_proj").unwrap());
        assert!(!pattern.matches("model.layers.10.q_proj.base").unwrap());
    }

    #[test]
    fn a_key_of_a_rank_pattern_begins_at_a_dot() {
        let pattern = Pattern::ending("layers.1.q_proj|v_proj").unwrap();
        for (name, is_match) in [("model.layers.1.q_proj", true), ("v_proj", true), ("x.kv_proj", false)] {
            assert_eq!(pattern.matches(name).unwrap(), is_match, "{name}");
        }
        assert!(!Pattern::ending("^layers").unwrap().matches("model.layers").unwrap());
        assert!(Pattern::ending("^model.layers").unwrap().matches("model.layers").unwrap());
    }

    #[test]
    fn the_number_of_a_layer_follows_its_name() {
        let number = |name: Option<&str>, text| Pattern::layer(name).unwrap().number(text).unwrap();
        assert_eq!(number(None, "model.layers.12.mlp.up_proj"), Some(12));
        assert_eq!(number(Some("layers"), "model.layers.3.mlp.4.up_proj"), Some(3));
        assert_eq!(number(Some("h"), "model.layers.3.up_proj"), None);
        assert_eq!(number(None, "lm_head"), None);
    }
}
