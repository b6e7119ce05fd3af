//! `config.json`, typed, with the defaults of transformers' configuration classes.

use super::rope;
use crate::arch::{
    self, ARCHITECTURES, Architecture, Config, HeadDim, LayerKind, LinearAttention,
    fields::{Error, Fields},
};
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
    let (architecture, is_text_part) = architecture(&raw)?;
    let raw = if is_text_part { text_part(raw) } else { raw };
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
    let mut config = Config {
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
        rope: rope::parse(&raw, max_position_embeddings, defaults.rope_theta, &architecture.accepts)?,
        tie_word_embeddings: fields
            .optional_flag("tie_word_embeddings")?
            .unwrap_or(defaults.tie_word_embeddings),
        attention_bias: fields.flag("attention_bias")?,
        mlp_bias: fields.flag("mlp_bias")?,
        layer_kinds: Vec::new(),
        prediction_layers: 0,
        sliding_window: 0,
        attention_scale: None,
        convolution: 0,
        linear: LinearAttention::default(),
        experts: (None, None),
        is_text_part,
        raw: raw.clone(),
    };
    config.layer_kinds = layer_kinds(&fields, &config)?;
    (architecture.read)(&fields, &mut config)?;
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

/// The language model's part of a configuration, beside what stands for the whole model.
fn text_part(mut raw: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(text)) = raw.remove("text_config") {
        raw.extend(text);
    }
    raw
}

/// The layers' kinds by `layer_types`; empty without the field, or if the architecture's layers are all alike.
fn layer_kinds(fields: &Fields<'_>, config: &Config) -> Result<Vec<LayerKind>, Error> {
    let known = config.architecture.accepts.layer_types;
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let Some(names) = fields.texts("layer_types")? else { return Ok(Vec::new()) };
    if names.len() as u64 != config.num_hidden_layers {
        return Err(Error::Contradiction(format!(
            "`layer_types` has {} entries and `num_hidden_layers` is {}",
            names.len(),
            config.num_hidden_layers
        )));
    }
    let kind = |name: &&str| known.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
    let unknown = || fields.unsupported("layer_types", "llama.cpp's architecture has no such layers");
    names.iter().map(kind).collect::<Option<Vec<_>>>().ok_or_else(unknown)
}

/// Refuses features that would make the GGUF file compute something else than the checkpoint.
fn refuse_features(config: &Config) -> Result<(), Error> {
    let refuse = |field: &str, reason| match config.raw.get(field) {
        Some(found) => Err(Error::Feature { field: field.to_owned(), found: found.to_string(), reason }),
        None => Ok(()),
    };
    let text = |field: &str| config.raw.get(field).and_then(Value::as_str);
    let accepts = &config.architecture.accepts;
    for field in ["hidden_act", "hidden_activation"] {
        if text(field).is_some_and(|name| !accepts.activations.contains(&name)) {
            refuse(field, "llama.cpp computes this architecture with another activation (silu in most)")?;
        }
    }
    for field in ["num_local_experts", "num_experts", "n_routed_experts"] {
        if config.raw.get(field).and_then(Value::as_u64).is_some_and(|experts| experts > 1) {
            refuse(field, "mixtures of experts are not converted")?;
        }
    }
    for field in ["partial_rotary_factor", "rope_pct", "rope_percent"] {
        let is_partial = config.raw.get(field).and_then(Value::as_f64).is_some_and(|part| part != 1.0);
        if is_partial && !accepts.partial_rotation {
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
    if !config.architecture.accepts.layer_types.is_empty() {
        return Ok(());
    }
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

fn architecture(raw: &Map<String, Value>) -> Result<(&'static Architecture, bool), Error> {
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
             Qwen2ForCausalLM, LlamaForCausalLM, Lfm2ForCausalLM, Gemma3ForCausalLM, GraniteForCausalLM, \
             GraniteMoeHybridForCausalLM, Qwen3_5ForCausalLM, SmolLM3ForCausalLM, Phi3ForCausalLM"
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

    fn lfm2(extra: Value) -> Result<Config, Error> {
        let mut fields = json!({
            "architectures": ["Lfm2ForCausalLM"], "num_hidden_layers": 3, "num_key_value_heads": 2,
            "layer_types": ["conv", "conv", "full_attention"],
        });
        fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        parse(fields)
    }

    #[test]
    fn lfm2_computes_its_width_as_the_class_does() {
        // Widths of the reference's files.
        for (stated, factor, step, expected) in
            [(1152, json!(1.0), 256, 768), (640, json!(null), 128, 512), (1100, json!(1.25), 256, 1024)]
        {
            let fields = json!({"block_ff_dim": stated, "block_ffn_dim_multiplier": factor, "block_multiple_of": step});
            assert_eq!(lfm2(fields).unwrap().intermediate_size, expected);
        }
        let as_stated = json!({"block_auto_adjust_ff_dim": false, "intermediate_size": 700});
        assert_eq!(lfm2(as_stated).unwrap().intermediate_size, 700);
    }

    #[test]
    fn layers_are_told_apart_by_their_types_or_by_the_numbers_of_those_with_attention() {
        let kinds = [LayerKind::Recurrent, LayerKind::Recurrent, LayerKind::Attention];
        assert_eq!(lfm2(json!({})).unwrap().layer_kinds, kinds);
        assert_eq!(lfm2(json!({"layer_types": null, "full_attn_idxs": [2]})).unwrap().layer_kinds, kinds);
        let refused = lfm2(json!({"layer_types": ["conv"]})).unwrap_err().to_string();
        assert_eq!(refused, "`layer_types` has 1 entries and `num_hidden_layers` is 3");
        let refused = lfm2(json!({"layer_types": ["conv", "moe", "conv"]})).unwrap_err().to_string();
        assert!(refused.contains("has no such layers"), "{refused}");
        assert!(lfm2(json!({"conv_bias": true})).unwrap_err().to_string().contains("has no bias"));
    }

    #[test]
    fn gemma_has_two_bases_of_its_rotation_in_both_styles() {
        let gemma = |extra: Value| {
            let mut fields =
                json!({"architectures": ["Gemma3ForCausalLM"], "head_dim": 64, "sliding_window": 512});
            fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            parse(fields).unwrap()
        };
        let old = json!({"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
        let new = json!({"rope_parameters": {
            "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
            "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
        }});
        for form in [old, new] {
            let rope = gemma(form).rope;
            assert_eq!((rope.theta, rope.sliding_theta), (1e6, Some(1e4)));
            assert_eq!(rope.scaling, RopeScaling::Linear { factor: 8.0 });
        }
        assert!(gemma(json!({})).tie_word_embeddings);
    }

    #[test]
    fn state_space_layers_and_experts_of_granite_are_refused() {
        let granite = |extra: Value| {
            let mut fields = json!({
                "architectures": ["GraniteMoeHybridForCausalLM"], "layer_types": ["attention", "attention"],
                "num_local_experts": 0, "num_experts_per_tok": 0, "shared_intermediate_size": 512,
            });
            fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            parse(fields)
        };
        assert!(granite(json!({})).is_ok());
        for (field, value, reason) in [
            ("layer_types", json!(["attention", "mamba"]), "state-space layers"),
            ("num_local_experts", json!(8), "mixtures of experts"),
            ("num_experts_per_tok", json!(null), "mixtures of experts"),
            ("shared_intermediate_size", json!(256), "one width"),
            ("logits_scaling", json!(0), "divided by it"),
        ] {
            let refused = granite(json!({ field: value })).unwrap_err().to_string();
            assert!(refused.contains(reason), "{field}: {refused}");
        }
    }

    #[test]
    fn the_text_part_of_a_model_that_reads_images_is_read() {
        let text =
            json!({"head_dim": 64, "hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1});
        let config =
            parse(json!({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text})).unwrap();
        assert_eq!((config.hidden_size, config.is_text_part), (128, true));
    }
}
