//! `adapter_config.json` of a LoRA adapter.

use super::{
    pattern::{Pattern, PatternError},
    refused,
    targets::{Excluded, Layers, Target, Targets, has_ending},
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

/// A LoRA config.
#[derive(Clone, Debug)]
pub(super) struct LoraConfig {
    /// `base_model_name_or_path`.
    pub(super) base: Option<String>,
    /// `revision` of the base.
    pub(super) revision: Option<String>,
    pub(super) use_dora: bool,
    pub(super) lora_bias: bool,
    pub(super) ensure_weight_tying: bool,
    pub(super) fan_in_fan_out: bool,
    /// `modules_to_save`.
    pub(super) saved: Vec<String>,
    pub(super) targets: Targets,
    /// False if the config names no target modules.
    pub(super) has_targets: bool,
    pub(super) tokens: Option<TokenIndices>,
    use_rslora: bool,
    r: u64,
    alpha: f64,
    ranks: Vec<(Pattern, u64)>,
    alphas: Vec<(Pattern, f64)>,
}

/// `trainable_token_indices`.
#[derive(Clone, Debug)]
pub(super) enum TokenIndices {
    /// Of the embedding.
    Embedding(Vec<u64>),
    /// By module, or the end of its name.
    Modules(Vec<(String, Vec<u64>)>),
}

impl TokenIndices {
    /// The indices of `module`.
    pub(super) fn of_module(&self, module: &str) -> Option<&[u64]> {
        match self {
            TokenIndices::Embedding(indices) => {
                has_ending(&["embed_tokens".to_owned()], module).then_some(indices)
            }
            TokenIndices::Modules(modules) => modules
                .iter()
                .find(|(name, _)| has_ending(std::slice::from_ref(name), module))
                .map(|(_, indices)| indices.as_slice()),
        }
    }
}

impl LoraConfig {
    /// Parses `adapter_config.json`.
    ///
    /// # Errors
    /// Another kind of adapter, an option that is not merged, a malformed field.
    pub(super) fn parse(json: &[u8]) -> Result<LoraConfig, Error> {
        let raw = match serde_json::from_slice(json).map_err(Error::Json)? {
            Value::Object(raw) => raw,
            _ => return Err(Error::NotAnObject),
        };
        match raw.get("peft_type").and_then(Value::as_str) {
            Some("LORA") => {}
            Some(found) => return Err(Error::Kind { found: found.to_owned() }),
            None => return Err(Error::NoKind),
        }
        if let Some((field, found)) = refused::option(&raw) {
            return Err(Error::Option { field, found });
        }
        let fields = Fields(&raw);
        let target = fields.target()?;
        Ok(LoraConfig {
            base: fields.text("base_model_name_or_path")?,
            revision: fields.text("revision")?,
            use_dora: fields.flag("use_dora")?,
            lora_bias: fields.flag("lora_bias")?,
            ensure_weight_tying: fields.flag("ensure_weight_tying")?,
            fan_in_fan_out: fields.flag("fan_in_fan_out")?,
            saved: fields.names("modules_to_save")?,
            has_targets: target.is_some(),
            targets: Targets {
                layers: fields.layers(target.as_ref())?,
                target: target.unwrap_or(Target::Names(Vec::new())),
                excluded: fields.excluded()?,
                saved: patterns("modules_to_save", &fields.names("modules_to_save")?, Pattern::part)?,
            },
            tokens: fields.tokens()?,
            use_rslora: fields.flag("use_rslora")?,
            r: fields.rank("r", fields.get("r"))?.unwrap_or(8),
            alpha: fields.number("lora_alpha", fields.get("lora_alpha"))?.unwrap_or(8.0),
            ranks: fields.by_module("rank_pattern", |fields, value| {
                Ok(fields.rank("rank_pattern", Some(value))?.unwrap_or_default())
            })?,
            alphas: fields.by_module("alpha_pattern", |fields, value| {
                Ok(fields.number("alpha_pattern", Some(value))?.unwrap_or_default())
            })?,
        })
    }

    /// The rank of `module`.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn rank(&self, module: &str) -> Result<u64, PatternError> {
        first(&self.ranks, module, self.r)
    }

    /// The factor of `module`'s product: alpha divided by the rank, or by its root, as f64 and then rounded.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn scale(&self, module: &str) -> Result<f32, PatternError> {
        let rank = self.rank(module)? as f64;
        let alpha = first(&self.alphas, module, self.alpha)?;
        Ok((alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32)
    }
}

/// The value of the first pattern that matches `module`.
fn first<T: Copy>(patterns: &[(Pattern, T)], module: &str, otherwise: T) -> Result<T, PatternError> {
    for (pattern, value) in patterns {
        if pattern.matches(module)? {
            return Ok(*value);
        }
    }
    Ok(otherwise)
}

fn patterns(
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
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn wrong<T>(&self, field: &str, found: &Value, expected: &'static str) -> Result<T, Error> {
        Err(Error::Field { field: field.to_owned(), found: found.to_string(), expected })
    }

    fn text(&self, field: &str) -> Result<Option<String>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => self.wrong(field, other, "a string"),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, Error> {
        match self.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => self.wrong(field, other, "true or false"),
        }
    }

    fn rank(&self, field: &str, value: Option<&Value>) -> Result<Option<u64>, Error> {
        match value.map(|value| (value, value.as_u64())) {
            None => Ok(None),
            Some((_, Some(rank))) if (1..=1 << 20).contains(&rank) => Ok(Some(rank)),
            Some((value, _)) => self.wrong(field, value, "a rank from 1 to 1048576"),
        }
    }

    fn number(&self, field: &str, value: Option<&Value>) -> Result<Option<f64>, Error> {
        match value.map(|value| (value, value.as_f64())) {
            None => Ok(None),
            Some((_, Some(number))) if (number as f32).is_finite() => Ok(Some(number)),
            Some((value, _)) => self.wrong(field, value, "a number"),
        }
    }

    /// A list of names; a single string is a list of one.
    fn names(&self, field: &str) -> Result<Vec<String>, Error> {
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

    fn target(&self) -> Result<Option<Target>, Error> {
        let field = "target_modules";
        Ok(Some(match self.get(field) {
            None => return Ok(None),
            Some(Value::String(text)) if text.to_lowercase() == "all-linear" => Target::AllLinear,
            Some(Value::String(text)) => Target::Pattern(compiled(field, text, Pattern::whole)?),
            Some(value) => Target::Names(self.strings(field, value)?),
        }))
    }

    fn excluded(&self) -> Result<Excluded, Error> {
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

    fn layers(&self, target: Option<&Target>) -> Result<Option<Layers>, Error> {
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

    fn tokens(&self) -> Result<Option<TokenIndices>, Error> {
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
    fn by_module<T>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(extra: Value) -> Result<LoraConfig, Error> {
        let mut config = json!({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        LoraConfig::parse(config.to_string().as_bytes())
    }

    #[test]
    fn the_first_pattern_in_the_file_decides_rank_and_alpha() {
        let config = parse(json!({
            "rank_pattern": {".*layers.0.mlp.(gate|up)_proj": 2, "layers.0.mlp.gate_proj": 32},
            "alpha_pattern": {"gate_proj": 5},
        }));
        let config = config.unwrap();
        assert_eq!(config.rank("model.layers.0.mlp.gate_proj").unwrap(), 2);
        assert_eq!(config.scale("model.layers.0.mlp.gate_proj").unwrap(), 2.5);
        assert_eq!(config.scale("model.layers.1.mlp.up_proj").unwrap(), 2.0);
    }

    #[test]
    fn rslora_divides_by_the_root_of_the_modules_own_rank_and_rounds_once() {
        let config = parse(json!({"use_rslora": true, "rank_pattern": {"v_proj": 3}})).unwrap();
        assert_eq!(config.scale("v_proj").unwrap(), (16.0_f64 / 3.0_f64.sqrt()) as f32);
    }

    #[test]
    fn other_kinds_and_malformed_fields_are_refused_by_name() {
        let message = |extra: Value| parse(extra).unwrap_err().to_string();
        assert!(message(json!({"peft_type": "IA3"})).starts_with("the adapter is of kind IA3"));
        assert!(message(json!({"peft_type": null})).contains("no `peft_type`"));
        assert_eq!(message(json!({"r": 0})), "`r` is 0, expected a rank from 1 to 1048576");
        assert!(message(json!({"rank_pattern": {"(": 2}})).contains("`rank_pattern` has the pattern \"(\""));
        assert!(message(json!({"target_modules": ".*", "layers_to_transform": 1})).contains("one pattern"));
        assert!(message(json!({"use_dora": 1})).contains("true or false"));
        assert!(message(json!({"use_qalora": true})).contains("`use_qalora` is true"));
    }

    #[test]
    fn a_list_of_token_indices_is_that_of_the_embedding() {
        let indices = |value: Value, module: &str| {
            let config = parse(json!({"trainable_token_indices": value})).unwrap();
            config.tokens.unwrap().of_module(module).map(<[u64]>::to_vec)
        };
        assert_eq!(indices(json!([3, 5]), "model.embed_tokens"), Some(vec![3, 5]));
        assert_eq!(indices(json!([3, 5]), "lm_head"), None);
        assert_eq!(indices(json!({"lm_head": [7]}), "lm_head"), Some(vec![7]));
    }
}
