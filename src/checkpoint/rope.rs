//! Rotary position embedding in `config.json`.

use crate::arch::{
    Accepts, Rope, RopeScaling,
    fields::{Error, Fields},
};
use serde_json::{Map, Value};

/// Reads the newer `rope_parameters`, else the older `rope_theta` and `rope_scaling`.
pub(super) fn parse(
    raw: &Map<String, Value>,
    max_position_embeddings: u64,
    default_theta: f64,
    accepts: &Accepts,
) -> Result<Rope, Error> {
    let empty = Map::new();
    let object = |map: &'_ Map<String, Value>, field: &str| match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object.clone())),
        Some(_) => Err(Fields(map).wrong(field, "an object or null")),
    };
    let mut parameters = match object(raw, "rope_parameters")? {
        Some(parameters) => parameters,
        None => object(raw, "rope_scaling")?.unwrap_or_default(),
    };
    let mut sliding_theta = None;
    if accepts.sliding_theta {
        // The newer form has one object for each kind of layer.
        let sliding = object(&parameters, "sliding_attention")?;
        sliding_theta = Fields(sliding.as_ref().unwrap_or(&empty)).optional_positive("rope_theta")?;
        if let Some(full) = object(&parameters, "full_attention")? {
            parameters = full;
        }
    }
    let (top, fields) = (Fields(raw), Fields(&parameters));
    let theta = match fields.optional_positive("rope_theta")? {
        Some(theta) => theta,
        None => top.positive("rope_theta", default_theta)?,
    };
    if accepts.sliding_theta && sliding_theta.is_none() {
        sliding_theta = top.optional_positive("rope_local_base_freq")?;
    }
    let rotated_share = match fields.optional_positive("partial_rotary_factor")? {
        Some(share) => Some(share),
        None => top.optional_positive("partial_rotary_factor")?,
    };
    let rotated_share = rotated_share.filter(|_| accepts.partial_rotation);
    if rotated_share.is_some_and(|share| share > 1.0) {
        return Err(fields.wrong("partial_rotary_factor", "a share from 0 to 1"));
    }
    let sections = if accepts.sections { fields.indices("mrope_section")? } else { None };
    if sections.iter().flatten().any(|&section| section > 1 << 16) {
        return Err(fields.wrong("mrope_section", "numbers of pairs in a head"));
    }
    let scaling = scaling(&parameters, &top, max_position_embeddings, accepts)?;
    Ok(Rope { theta, sliding_theta, sections, rotated_share, scaling })
}

fn scaling(
    parameters: &Map<String, Value>,
    top: &Fields<'_>,
    max_position_embeddings: u64,
    accepts: &Accepts,
) -> Result<RopeScaling, Error> {
    let fields = Fields(parameters);
    for field in ["mrope_section", "mscale", "mscale_all_dim", "full_attention", "sliding_attention"] {
        if parameters.get(field).is_some_and(|value| !value.is_null())
            && !(field == "mrope_section" && accepts.sections)
        {
            return Err(fields.unsupported(field, "this kind of rotary embedding is not converted"));
        }
    }
    let is_partial = parameters.get("partial_rotary_factor").and_then(Value::as_f64);
    if is_partial.is_some_and(|part| part != 1.0) && !accepts.partial_rotation {
        return Err(
            fields.unsupported("partial_rotary_factor", "rotating a part of each head is not converted")
        );
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
        "longrope" | "su" if accepts.long_rope => Ok(RopeScaling::Long {
            long: fields.positives("long_factor")?.unwrap_or_default(),
            short: fields.positives("short_factor")?.unwrap_or_default(),
        }),
        _ => Err(Error::Feature {
            field: name.to_owned(),
            found: format!("{kind:?}"),
            reason: "supported are default, linear, yarn and llama3",
        }),
    }
}
