//! `adapter_config.json` of a LoRA adapter.

use super::{
    fields::{Error, Fields, patterns},
    pattern::{Pattern, PatternError},
    refused,
    targets::{Target, Targets, TokenIndices},
};
use serde_json::Value;

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
    /// Fields with a value that are not known here.
    pub(super) unknown: Vec<String>,
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
            unknown: refused::unknown(&raw).map(|(name, _)| name.to_owned()).collect(),
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
