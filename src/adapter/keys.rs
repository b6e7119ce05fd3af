//! Names of an adapter's tensors: the module and the part of it.
//!
//! peft writes `base_model.model.MODULE.lora_A.weight`. Files that hold the state of a wrapped model also have the
//! adapter's name in each (`lora_A.default.weight`), and segments of wrappers such as torch.compile's.

use crate::checkpoint::names::WRAPPERS;

/// A part of a module in an adapter's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// `lora_A`, `[rank, in]`.
    A,
    /// `lora_B`, `[out, rank]`.
    B,
    /// The trained bias beside `lora_B`, `[out]`.
    BiasOfB,
    /// `lora_embedding_A`, `[rank, vocabulary]`.
    EmbeddingA,
    /// `lora_embedding_B`, `[hidden, rank]`.
    EmbeddingB,
    /// DoRA's `lora_magnitude_vector`, `[out]`.
    Magnitude,
    /// `weight` of a module without a wrapper, or of one in `modules_to_save`.
    Weight,
    /// `bias` of the same.
    Bias,
    /// `weight` of the layer inside of a LoRA module.
    BaseWeight,
    /// `bias` of the same.
    BaseBias,
    /// `weight` of the embedding inside of a module with trained tokens.
    TokenBase,
    /// Rows of trained tokens, `[n, hidden]`.
    TokenRows,
    /// A copy of the base's own tensor, which is never read.
    Original,
}

/// Start of the names in peft's files.
const PREFIX: &str = "base_model.model.";

/// The module and part of a tensor's name, and true if peft itself would not find it under this name; `None` for a
/// name without meaning here.
pub(super) fn parse(name: &str) -> Option<(String, Part, bool)> {
    let bare: Vec<&str> = name.split('.').filter(|segment| !WRAPPERS.contains(segment)).collect();
    let joined = bare.join(".");
    let stripped = joined.strip_prefix(PREFIX);
    let mut is_foreign = stripped.is_none() || joined != name;
    let segments: Vec<&str> = stripped.unwrap_or(&joined).split('.').collect();
    let marker = segments.iter().position(|segment| MARKERS.contains(segment));
    let (module, part) = match marker {
        None => {
            let (last, module) = segments.split_last()?;
            (module.join("."), plain(last)?)
        }
        Some(at) => {
            let (mut module, rest) = (segments[..at].join("."), &segments[at + 1..]);
            let part = match (segments[at], rest) {
                ("lora_A", ["weight"]) => Part::A,
                ("lora_B", ["weight"]) => Part::B,
                ("lora_B", ["bias"]) => Part::BiasOfB,
                ("lora_embedding_A", []) => Part::EmbeddingA,
                ("lora_embedding_B", []) => Part::EmbeddingB,
                ("lora_magnitude_vector", [] | ["weight"]) => Part::Magnitude,
                ("base_layer", ["weight"]) => Part::BaseWeight,
                ("base_layer", ["bias"]) => Part::BaseBias,
                ("token_adapter", ["trainable_tokens_delta"]) => Part::TokenRows,
                ("token_adapter", ["base_layer", "weight"]) => Part::TokenBase,
                ("original_module", _) => Part::Original,
                ("modules_to_save", [last]) => plain(last)?,
                // A name of an adapter, and modules inside of the one that is saved.
                ("modules_to_save", [_, inner @ .., last]) => {
                    for segment in inner {
                        module = format!("{module}.{segment}");
                    }
                    plain(last)?
                }
                (marker, rest) => {
                    is_foreign = true;
                    match (marker, rest) {
                        ("lora_A", [_, "weight"]) => Part::A,
                        ("lora_B", [_, "weight"]) => Part::B,
                        ("lora_B", [_, "bias"]) => Part::BiasOfB,
                        ("lora_embedding_A", [_]) => Part::EmbeddingA,
                        ("lora_embedding_B", [_]) => Part::EmbeddingB,
                        ("lora_magnitude_vector", [_] | [_, "weight"]) => Part::Magnitude,
                        ("token_adapter", ["trainable_tokens_delta", _]) => Part::TokenRows,
                        _ => return None,
                    }
                }
            };
            (module, part)
        }
    };
    (!module.is_empty()).then_some((module, part, is_foreign))
}

/// Segments that end the name of a module.
const MARKERS: [&str; 9] = [
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "base_layer",
    "token_adapter",
    "modules_to_save",
    "original_module",
];

fn plain(last: &str) -> Option<Part> {
    match last {
        "weight" => Some(Part::Weight),
        "bias" => Some(Part::Bias),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pefts_names_are_read_and_are_its_own() {
        for (name, module, part) in [
            ("model.layers.0.q_proj.lora_A.weight", "model.layers.0.q_proj", Part::A),
            ("model.layers.0.q_proj.lora_B.weight", "model.layers.0.q_proj", Part::B),
            ("model.layers.0.q_proj.lora_B.bias", "model.layers.0.q_proj", Part::BiasOfB),
            ("model.layers.0.q_proj.lora_magnitude_vector", "model.layers.0.q_proj", Part::Magnitude),
            ("model.layers.0.q_proj.base_layer.bias", "model.layers.0.q_proj", Part::BaseBias),
            ("model.embed_tokens.lora_embedding_A", "model.embed_tokens", Part::EmbeddingA),
            (
                "model.embed_tokens.token_adapter.trainable_tokens_delta",
                "model.embed_tokens",
                Part::TokenRows,
            ),
            ("model.embed_tokens.token_adapter.base_layer.weight", "model.embed_tokens", Part::TokenBase),
            ("lm_head.weight", "lm_head", Part::Weight),
        ] {
            let found = parse(&format!("base_model.model.{name}"));
            assert_eq!(found, Some((module.to_owned(), part, false)), "{name}");
        }
    }

    #[test]
    fn names_of_wrapped_states_are_read_and_are_foreign() {
        for (name, module, part) in [
            ("base_model.model.x.q_proj.lora_A.default.weight", "x.q_proj", Part::A),
            ("model.layers.0.q_proj.lora_B.weight", "model.layers.0.q_proj", Part::B),
            ("base_model.model._orig_mod.x.lora_A.weight", "x", Part::A),
            ("base_model.model.x.lora_magnitude_vector.default.weight", "x", Part::Magnitude),
        ] {
            assert_eq!(parse(name), Some((module.to_owned(), part, true)), "{name}");
        }
    }

    #[test]
    fn saved_modules_may_have_the_adapters_name_and_modules_inside() {
        let saved = |name: &str| parse(&format!("base_model.model.{name}")).unwrap();
        assert_eq!(saved("lm_head.modules_to_save.weight").0, "lm_head");
        assert_eq!(saved("lm_head.modules_to_save.default.weight").0, "lm_head");
        assert_eq!(saved("x.mlp.modules_to_save.default.up_proj.weight").0, "x.mlp.up_proj");
        assert_eq!(saved("lm_head.original_module.weight").1, Part::Original);
    }

    #[test]
    fn names_of_other_adapters_mean_nothing() {
        for name in ["base_model.model.x.ia3_l", "prompt_embeddings", "base_model.model.x.lora_A.a.b.weight"]
        {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
