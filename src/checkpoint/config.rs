//! `config.json`, typed, with the defaults of transformers' configuration classes.

use super::{
    fields::{Error, Fields},
    rope,
};
use crate::arch::{self, ARCHITECTURES, Architecture, Config, HeadDim};
use serde_json::{Map, Value};

/// Parses `config.json`.
///
/// # Errors
/// A malformed, contradictory or unsupported field.
pub(super) fn parse(json: &[u8]) -> Result<Config, Error> {
    let raw = match serde_json::from_slice(json).map_err(Error::Json)? {
        Value::Object(raw) => raw,
        _ => return Err(Error::NotAnObject),
    };
    refuse_quantized(&raw)?;
    let architecture = architecture(&raw)?;
    let defaults = &architecture.defaults;
    let fields = Fields(&raw);
    let hidden_size = fields.count("hidden_size", defaults.hidden_size)?;
    let num_attention_heads = fields.count("num_attention_heads", defaults.num_attention_heads)?;
    let num_key_value_heads =
        fields.count_or("num_key_value_heads", || match &defaults.num_key_value_heads {
            // Present but null also means: as many as query heads.
            Some(count) if !raw.contains_key("num_key_value_heads") => *count,
            _ => num_attention_heads,
        })?;
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        return Err(Error::Contradiction(format!(
            "`num_attention_heads` ({num_attention_heads}) is not a multiple of `num_key_value_heads` \
             ({num_key_value_heads})"
        )));
    }
    let max_position_embeddings =
        fields.count("max_position_embeddings", defaults.max_position_embeddings)?;
    let config = Config {
        architecture,
        hidden_size,
        intermediate_size: fields.count("intermediate_size", defaults.intermediate_size)?,
        num_hidden_layers: fields.count("num_hidden_layers", defaults.num_hidden_layers)?,
        num_attention_heads,
        num_key_value_heads,
        head_dim: match (fields.optional_count("head_dim")?, &defaults.head_dim) {
            (Some(width), _) => Some(width),
            (None, HeadDim::Fixed(width)) if !raw.contains_key("head_dim") => Some(*width),
            (None, HeadDim::Derived) => Some(hidden_size / num_attention_heads),
            _ => None,
        },
        vocab_size: fields.count("vocab_size", defaults.vocab_size)?,
        max_position_embeddings,
        rms_norm_eps: fields.positive("rms_norm_eps", defaults.rms_norm_eps)?,
        rope: rope::parse(&raw, max_position_embeddings, defaults.rope_theta)?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        attention_bias: fields.flag("attention_bias")?,
        mlp_bias: fields.flag("mlp_bias")?,
        raw,
    };
    let head = config.head_width();
    if head == 0 || !head.is_multiple_of(2) {
        return Err(Error::Contradiction(format!(
            "a head is {head} wide (`head_dim`, else `hidden_size` / `num_attention_heads`); rotary \
             embedding needs an even width"
        )));
    }
    refuse_features(&config)?;
    Ok(config)
}

/// Refuses features that would make the GGUF file compute something else than the checkpoint.
fn refuse_features(config: &Config) -> Result<(), Error> {
    let refuse = |field: &str, reason| match config.raw.get(field) {
        Some(found) => Err(Error::Feature { field: field.to_owned(), found: found.to_string(), reason }),
        None => Ok(()),
    };
    let text = |field: &str| config.raw.get(field).and_then(Value::as_str);
    if text("hidden_act").is_some_and(|act| act != "silu" && act != "swish") {
        refuse("hidden_act", "llama.cpp computes these architectures with silu")?;
    }
    for field in ["num_local_experts", "num_experts", "n_routed_experts"] {
        if config.raw.get(field).and_then(Value::as_u64).is_some_and(|experts| experts > 1) {
            refuse(field, "mixtures of experts are not converted")?;
        }
    }
    for field in ["partial_rotary_factor", "rope_pct", "rope_percent"] {
        if config.raw.get(field).and_then(Value::as_f64).is_some_and(|part| part != 1.0) {
            refuse(field, "rotating a part of each head is not converted")?;
        }
    }
    if config.raw.get("is_causal") == Some(&Value::Bool(false)) {
        refuse("is_causal", "an encoder cannot be asked for a tool call")?;
    }
    if config.raw.contains_key("draft_vocab_size") {
        refuse("draft_vocab_size", "a draft head is not a model by itself")?;
    }
    refuse_sliding_window(config)
}

/// Refuses sliding windows shorter than the context: llama.cpp uses full attention in these architectures.
/// Nearly every file has the fields, with the window switched off.
fn refuse_sliding_window(config: &Config) -> Result<(), Error> {
    let slides_by_type = config
        .raw
        .get("layer_types")
        .and_then(Value::as_array)
        .is_some_and(|types| types.iter().any(|kind| kind != "full_attention"));
    let switched_on = config.raw.get("use_sliding_window") == Some(&Value::Bool(true));
    let first_sliding = config.raw.get("max_window_layers").and_then(Value::as_u64).unwrap_or(28);
    let window = config.raw.get("sliding_window").and_then(Value::as_u64).unwrap_or(4096);
    let slides = slides_by_type || (switched_on && first_sliding < config.num_hidden_layers);
    if slides && window < config.max_position_embeddings {
        return Err(Error::Feature {
            field: "sliding_window".to_owned(),
            found: window.to_string(),
            reason: "llama.cpp gives this architecture full attention in every layer",
        });
    }
    Ok(())
}

fn refuse_quantized(raw: &Map<String, Value>) -> Result<(), Error> {
    match raw.get("quantization_config").or_else(|| raw.get("compression_config")) {
        None | Some(Value::Null) => Ok(()),
        Some(config) => {
            let method = config.get("quant_method").and_then(Value::as_str).unwrap_or("not named");
            Err(Error::Quantized { method: method.to_owned() })
        }
    }
}

fn architecture(raw: &Map<String, Value>) -> Result<&'static Architecture, Error> {
    let supported = || ARCHITECTURES.iter().map(|architecture| architecture.class).collect();
    let found = raw
        .get("architectures")
        .and_then(|names| names.get(0))
        .and_then(Value::as_str)
        .ok_or_else(|| Error::NoArchitecture { supported: supported() })?;
    arch::by_class(found)
        .ok_or_else(|| Error::Architecture { found: found.to_owned(), supported: supported() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::RopeScaling;
    use serde_json::json;

    fn parse(extra: Value) -> Result<Config, Error> {
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"], "hidden_size": 256, "num_attention_heads": 4,
            "num_hidden_layers": 2, "intermediate_size": 512, "vocab_size": 300,
            "max_position_embeddings": 4096,
        });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        super::parse(config.to_string().as_bytes())
    }

    fn message(extra: Value) -> String {
        parse(extra).unwrap_err().to_string()
    }

    #[test]
    fn llama_derives_the_head_width_and_states_it() {
        let config = parse(json!({})).unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads), (Some(64), 4));
        assert_eq!(config.rope.theta, 10_000.0);
    }

    #[test]
    fn qwen2_derives_the_head_width_without_stating_it() {
        let config = parse(json!({"architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 2})).unwrap();
        assert_eq!((config.head_dim, config.head_width()), (None, 64));
    }

    #[test]
    fn qwen3_has_heads_of_128_where_the_file_is_silent() {
        let config = parse(json!({"architectures": ["Qwen3ForCausalLM"], "num_key_value_heads": 2})).unwrap();
        assert_eq!(config.head_dim, Some(128));
    }

    #[test]
    fn an_unknown_architecture_is_named_beside_the_known_ones() {
        assert_eq!(
            message(json!({"architectures": ["MambaForCausalLM"]})),
            "architecture `MambaForCausalLM` is not supported; supported: Qwen3ForCausalLM, \
             Qwen2ForCausalLM, LlamaForCausalLM"
        );
    }

    #[test]
    fn quantized_weights_are_refused_by_method() {
        for method in ["gptq", "awq", "fp8", "bitsandbytes"] {
            let found = message(json!({"quantization_config": {"quant_method": method}}));
            assert!(found.contains(&format!("method `{method}`")), "{found}");
        }
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_with_what_stands_there() {
        assert_eq!(
            message(json!({"hidden_size": "256"})),
            "`hidden_size` is \"256\", expected a whole number from 1 to 4294967295"
        );
        assert!(message(json!({"num_hidden_layers": 0})).starts_with("`num_hidden_layers` is 0"));
        assert!(message(json!({"num_key_value_heads": 3})).contains("not a multiple"));
    }

    #[test]
    fn a_window_that_cuts_something_off_is_refused_and_one_that_is_off_is_not() {
        let window = json!({"use_sliding_window": true, "sliding_window": 1024, "max_window_layers": 1});
        assert!(message(window).contains("full attention"));
        assert!(
            parse(json!({"use_sliding_window": true, "sliding_window": 1024, "max_window_layers": 2}))
                .is_ok()
        );
        assert!(parse(json!({"use_sliding_window": false, "sliding_window": 1024})).is_ok());
    }

    #[test]
    fn experts_and_other_activations_are_refused() {
        assert!(message(json!({"num_local_experts": 8})).contains("mixtures of experts"));
        assert!(message(json!({"hidden_act": "gelu"})).contains("silu"));
    }

    #[test]
    fn rope_is_read_in_the_old_form_and_in_the_new_one() {
        let old = json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}});
        let new = json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2}});
        for form in [old, new] {
            let rope = parse(form).unwrap().rope;
            assert_eq!(rope.theta, 5e5);
            assert_eq!(rope.scaling, RopeScaling::Linear { factor: 2.0 });
        }
    }

    #[test]
    fn an_unknown_rope_is_refused() {
        let found = message(json!({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}));
        assert!(found.contains("`rope_type` is \"dynamic\""), "{found}");
    }
}
