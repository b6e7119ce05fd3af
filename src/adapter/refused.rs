//! Kinds of adapters and options of LoRA that are not merged: an adapter with one of them is refused by name.

use serde_json::{Map, Value};

/// Kinds of adapters (`peft_type`) whose prompts or gates are not part of any weight.
const WITHOUT_WEIGHTS: [&str; 7] = [
    "PROMPT_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "CPT",
    "ADAPTION_PROMPT",
    "XLORA",
];

/// Fields that are read, or that change nothing in a trained adapter.
const KNOWN: &[&str] = &[
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "enable_lora",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "lora_dropout",
    "megatron_core",
    "merge_weights",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
];

/// Settings of initialisations, which matter only where `init_lora_weights` names them.
const INITIALISATIONS: [&str; 4] = ["loftq_config", "eva_config", "corda_config", "lora_ga_config"];

/// Initialisations that leave the base's weights as they are.
const PLAIN_INITIALISATIONS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// Advice for kinds and options that peft can merge.
pub(super) const MERGE_WITH_PEFT: &str =
    "merge it with peft (`merge_and_unload()`, then `save_pretrained`) and convert the merged folder";

/// Advice for a kind of adapter that is not LoRA.
pub(super) fn kind_advice(kind: &str) -> &'static str {
    match WITHOUT_WEIGHTS.contains(&kind) {
        true => "it works beside the weights and cannot be merged into them",
        false => MERGE_WITH_PEFT,
    }
}

/// The first option of a LoRA config that is on and not merged here, with its value.
pub(super) fn option(config: &Map<String, Value>) -> Option<(String, String)> {
    let on = |name: &str| config.get(name).filter(|value| is_on(value));
    let found = |name: &str, value: &Value| Some((name.to_owned(), value.to_string()));
    if let (Some(_), Some(value)) = (on("use_dora"), on("use_rslora")) {
        return found("use_rslora` with `use_dora", value);
    }
    match config.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => {}
        Some(Value::String(name)) if PLAIN_INITIALISATIONS.contains(&name.to_lowercase().as_str()) => {}
        Some(value) => return found("init_lora_weights", value),
    }
    let (name, value) = unknown(config).find(|(_, value)| !value.is_string() && !value.is_number())?;
    found(name, value)
}

/// Fields that are on and not known here. A text or a number may be the default of an option that is off.
pub(super) fn unknown(config: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let is_known = |name: &str| KNOWN.contains(&name) || INITIALISATIONS.contains(&name);
    let fields = config.iter().map(|(name, value)| (name.as_str(), value));
    fields.filter(move |(name, value)| !is_known(name) && is_on(value))
}

/// True for anything but null, false, 0 and what is empty.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(config: Value) -> Option<String> {
        option(config.as_object().unwrap()).map(|(name, _)| name)
    }

    #[test]
    fn options_that_are_off_are_not_refused() {
        let off = json!({
            "alora_invocation_tokens": null, "arrow_config": null, "layer_replication": [], "use_qalora": false,
            "target_parameters": null, "megatron_config": null, "megatron_core": "megatron.core",
            "loftq_config": {"loftq_bits": 4}, "init_lora_weights": "gaussian", "use_dora": true,
            "a_size_of_tomorrow": 16,
        });
        assert_eq!(refused(off), None);
    }

    #[test]
    fn options_that_are_on_are_refused_by_name() {
        for (name, value) in [
            ("alora_invocation_tokens", json!([1])),
            ("arrow_config", json!({"top_k": 2})),
            ("layer_replication", json!([[0, 4]])),
            ("use_qalora", json!(true)),
            ("use_bdlora", json!({"nblocks": 2})),
            ("target_parameters", json!(["mlp.experts.gate_up_proj"])),
            ("init_lora_weights", json!("pissa_niter_4")),
            ("an_option_of_tomorrow", json!(true)),
        ] {
            assert_eq!(refused(json!({name: value})).as_deref(), Some(name));
        }
        assert!(refused(json!({"use_dora": true, "use_rslora": true})).is_some());
    }

    #[test]
    fn prompts_cannot_be_merged_by_anyone() {
        assert!(kind_advice("PREFIX_TUNING").contains("cannot be merged"));
        assert_eq!(kind_advice("IA3"), MERGE_WITH_PEFT);
    }
}
