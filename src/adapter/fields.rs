//! Typed reads of `adapter_config.json`, with errors that name the field.

use super::{
    pattern::{Pattern, PatternError},
    refused,
    targets::{Excluded, Layers, Target, TokenIndices},
};
use serde_json::{Map, Value};

/// Reasons why an `adapter_config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages print
pub enum Error {
    /// Not JSON.
    #[error("not JSON{}", if .0.is_eof() { "; was the download cut short?" } else { "" })]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Another kind of adapter.
    #[error(
        "the adapter is of kind {found} (`peft_type`), and only LORA is merged: {}",
        refused::kind_advice(found)
    )]
    Kind { found: String },
    /// No kind at all.
    #[error(
        "it has no `peft_type`, so it is not a config of peft; convert the adapter to peft's layout first"
    )]
    NoKind,
    /// An option that is not merged.
    #[error("`{field}` is {found}, which is not merged here; {}", refused::MERGE_WITH_PEFT)]
    Option { field: String, found: String },
    /// A field of the wrong type or out of its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Field { field: String, found: String, expected: &'static str },
    /// A string of target modules together with layers.
    #[error(
        "`target_modules` is one pattern, and peft allows no `{field}` beside it; put the layers into the pattern"
    )]
    LayersOfPattern { field: &'static str },
    /// LoRA without target modules.
    #[error("it has no `target_modules`, so peft would use none of the file's matrices")]
    NoTargets,
    /// A pattern that takes too many steps.
    #[error("a pattern takes too many steps on the names of the base's modules")]
    Slow(#[source] PatternError),
    /// A pattern that cannot be used.
    #[error("`{field}` has the pattern {pattern:?}, which cannot be used")]
    Pattern {
        field: &'static str,
        pattern: String,
        #[source]
        source: PatternError,
    },
}

/// Compiles the patterns of a field.
pub(super) fn patterns(
    field: &'static str,
    texts: &[String],
    pattern: fn(&str) -> Result<Pattern, PatternError>,
) -> Result<Vec<Pattern>, Error> {
    let compiled = texts.iter().map(|text| compiled(field, text, pattern));
    compiled.collect()
}

fn compiled(
    field: &'static str,
    text: &str,
    pattern: fn(&str) -> Result<Pattern, PatternError>,
) -> Result<Pattern, Error> {
    pattern(text).map_err(|source| Error::Pattern { field, pattern: text.to_owned(), source })
}

/// Typed access to the fields; a null field counts as absent.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl Fields<'_> {
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn wrong<T>(&self, field: &str, found: &Value, expected: &'static str) -> Result<T, Error> {
        Err(Error::Field { field: field.to_owned(), found: found.to_string(), expected })
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => self.wrong(field, other, "a string"),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, Error> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => self.wrong(field, other, "true or false"),
        }
    }

    pub(super) fn rank(&self, field: &str, value: Option<&Value>) -> Result<Option<u64>, Error> {
        match value.map(|value| (value, value.as_u64())) {
            None => Ok(None),
            Some((_, Some(rank))) if (1..=1 << 20).contains(&rank) => Ok(Some(rank)),
            Some((value, _)) => self.wrong(field, value, "a rank from 1 to 1048576"),
        }
    }

    pub(super) fn number(&self, field: &str, value: Option<&Value>) -> Result<Option<f64>, Error> {
        match value.map(|value| (value, value.as_f64())) {
            None => Ok(None),
            Some((_, Some(number))) if (number as f32).is_finite() => Ok(Some(number)),
            Some((value, _)) => self.wrong(field, value, "a number"),
        }
    }

    /// A list of names; a single string is a list of one.
    pub(super) fn names(&self, field: &str) -> Result<Vec<String>, Error> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::String(name)) => Ok(vec![name.clone()]),
            Some(value) => self.strings(field, value),
        }
    }

    fn strings(&self, field: &str, value: &Value) -> Result<Vec<String>, Error> {
        let strings = value.as_array().and_then(|list| {
            list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        strings.map_or_else(|| self.wrong(field, value, "a list of strings"), Ok)
    }

    pub(super) fn target(&self) -> Result<Option<Target>, Error> {
        let field = "target_modules";
        Ok(Some(match self.get(field) {
            None => return Ok(None),
            Some(Value::String(text)) if text.to_lowercase() == "all-linear" => Target::AllLinear,
            Some(Value::String(text)) => Target::Pattern(compiled(field, text, Pattern::whole)?),
            Some(value) => Target::Names(self.strings(field, value)?),
        }))
    }

    pub(super) fn excluded(&self) -> Result<Excluded, Error> {
        let field = "exclude_modules";
        match self.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {
                Ok(Excluded::Pattern(compiled(field, text, Pattern::whole)?))
            }
            Some(value @ Value::Array(_)) => Ok(Excluded::Names(self.strings(field, value)?)),
            None | Some(Value::String(_)) => Ok(Excluded::Names(Vec::new())),
            Some(other) => self.wrong(field, other, "a string or a list of strings"),
        }
    }

    pub(super) fn layers(&self, target: Option<&Target>) -> Result<Option<Layers>, Error> {
        let names = self.names("layers_pattern")?;
        let numbers = match self.get("layers_to_transform") {
            None => Vec::new(),
            Some(value) => self.whole_numbers("layers_to_transform", value)?,
        };
        if matches!(target, Some(Target::Pattern(_) | Target::AllLinear)) {
            if self.get("layers_to_transform").is_some() {
                return Err(Error::LayersOfPattern { field: "layers_to_transform" });
            }
            if self.get("layers_pattern").is_some() {
                return Err(Error::LayersOfPattern { field: "layers_pattern" });
            }
        }
        if numbers.is_empty() {
            return Ok(None);
        }
        let field = "layers_pattern";
        let patterns = match names.as_slice() {
            [] => vec![compiled(field, "", |_| Pattern::layer(None))?],
            names => patterns(field, names, |name| Pattern::layer(Some(name)))?,
        };
        Ok(Some(Layers { numbers, patterns }))
    }

    /// A whole number, or a list of them.
    fn whole_numbers(&self, field: &str, value: &Value) -> Result<Vec<u64>, Error> {
        let numbers = match value {
            Value::Array(list) => list.iter().map(Value::as_u64).collect(),
            value => value.as_u64().map(|number| vec![number]),
        };
        numbers.map_or_else(|| self.wrong(field, value, "whole numbers"), Ok)
    }

    pub(super) fn tokens(&self) -> Result<Option<TokenIndices>, Error> {
        let field = "trainable_token_indices";
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(modules)) => {
                let of_module = |(name, value)| -> Result<(String, Vec<u64>), Error> {
                    Ok((String::clone(name), self.whole_numbers(field, value)?))
                };
                let modules = modules.iter().map(of_module).collect::<Result<Vec<_>, _>>()?;
                Ok(Some(TokenIndices::Modules(modules)))
            }
            Some(value) => Ok(Some(TokenIndices::Embedding(self.whole_numbers(field, value)?))),
        }
    }

    /// The patterns of `field` in the file's order, with their values.
    pub(super) fn by_module<T>(
        &self,
        field: &'static str,
        value: impl Fn(&Self, &Value) -> Result<T, Error>,
    ) -> Result<Vec<(Pattern, T)>, Error> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Object(entries)) => entries
                .iter()
                .map(|(key, entry)| Ok((compiled(field, key, Pattern::ending)?, value(self, entry)?)))
                .collect(),
            Some(other) => self.wrong(field, other, "an object"),
        }
    }
}
