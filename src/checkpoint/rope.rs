//! Rotary position embedding in `config.json`.

use super::fields::{Error, Fields};
use crate::arch::{Rope, RopeScaling};
use serde_json::{Map, Value};

/// Reads the newer `rope_parameters`, else the older `rope_theta` and `rope_scaling`.
pub(super) fn parse(
    raw: &Map<String, Value>,
    max_position_embeddings: u64,
    default_theta: f64,
) -> Result<Rope, Error> {
    let empty = Map::new();
    let parameters = match raw.get("rope_parameters").or_else(|| raw.get("rope_scaling")) {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(parameters)) => parameters,
        Some(_) => return Err(Fields(raw).wrong("rope_scaling", "an object or null")),
    };
    let (top, fields) = (Fields(raw), Fields(parameters));
    let theta = match fields.optional_positive("rope_theta")? {
        Some(theta) => theta,
        None => top.positive("rope_theta", default_theta)?,
    };
    Ok(Rope { theta, scaling: scaling(parameters, &fields, &top, max_position_embeddings)? })
}

fn scaling(
    parameters: &Map<String, Value>,
    fields: &Fields,
    top: &Fields,
    max_position_embeddings: u64,
) -> Result<RopeScaling, Error> {
    for field in ["mrope_section", "mscale", "mscale_all_dim", "full_attention", "sliding_attention"] {
        if let Some(found) = parameters.get(field).filter(|value| !value.is_null()) {
            let reason = "this kind of rotary embedding is not converted";
            return Err(Error::Feature { field: field.to_owned(), found: found.to_string(), reason });
        }
    }
    if parameters.get("partial_rotary_factor").and_then(Value::as_f64).is_some_and(|part| part != 1.0) {
        return Err(Error::Feature {
            field: "partial_rotary_factor".to_owned(),
            found: parameters["partial_rotary_factor"].to_string(),
            reason: "rotating a part of each head is not converted",
        });
    }
    let name = ["rope_type", "type"].into_iter().find(|name| parameters.contains_key(*name));
    let Some(name) = name else { return Ok(RopeScaling::None) };
    let kind = parameters[name].as_str().ok_or_else(|| fields.wrong(name, "a string"))?;
    let factor = || fields.optional_positive("factor")?.ok_or_else(|| fields.wrong("factor", "a number"));
    let original_context = || match fields.optional_count("original_max_position_embeddings")? {
        Some(length) => Ok(Some(length)),
        None => top.optional_count("original_max_position_embeddings"),
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: factor()? }),
        "yarn" => Ok(RopeScaling::Yarn {
            factor: factor()?,
            original_context: original_context()?.unwrap_or(max_position_embeddings),
            extrapolation_factor: fields.optional_positive("extrapolation_factor")?,
            attention_factor: match fields.optional_positive("attention_factor")? {
                Some(factor) => Some(factor),
                None => fields.optional_positive("attn_factor")?,
            },
            beta_fast: fields.optional_positive("beta_fast")?,
            beta_slow: fields.optional_positive("beta_slow")?,
        }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: fields.positive("factor", 8.0)?,
            low_freq_factor: fields.positive("low_freq_factor", 1.0)?,
            high_freq_factor: fields.positive("high_freq_factor", 4.0)?,
            original_context: original_context()?.unwrap_or(8192),
        }),
        _ => Err(Error::Feature {
            field: name.to_owned(),
            found: format!("{kind:?}"),
            reason: "supported are default, linear, yarn and llama3",
        }),
    }
}
