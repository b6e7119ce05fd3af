//! Names of tensors as other savers write them, mapped to those of transformers.
//!
//! A wrapper around the model (torch.compile, FSDP, DDP, PEFT after merging, a multimodal model) puts its own name
//! into the path of each tensor; a base model saved without its head leaves `model.` out. Neither changes a number.

use crate::arch::{EMBEDDING, HEAD};
use std::collections::BTreeSet;

/// Path segments of wrappers, wherever they are.
pub(crate) const WRAPPERS: [&str; 4] =
    ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];
/// Parts of names that show an adapter that was not merged.
const ADAPTER: [&str; 6] =
    [".base_layer.", "lora_", ".modules_to_save.", ".original_module.", ".ia3_", ".oft_"];
/// Endings of the tensors of quantized weights.
const QUANTIZED: [&str; 8] = [
    ".qweight",
    ".qzeros",
    ".scales",
    ".weight_scale",
    ".weight_scale_inv",
    ".absmax",
    ".quant_map",
    ".g_idx",
];

/// True if a name is that of an adapter's tensor, or of a base layer beside one.
fn is_adapter(name: &str) -> bool {
    ADAPTER.iter().any(|part| name.contains(part))
}

/// Parts of names that show the part of a model that reads images or sounds.
const OTHER_PARTS: [&str; 4] = ["vision", "visual", "audio", "multi_modal_projector"];

/// True if a name is that of a tensor that reads images or sounds, or hands them to the language model.
pub(crate) fn is_of_another_part(name: &str) -> bool {
    name.split('.').any(|segment| OTHER_PARTS.iter().any(|part| segment.contains(part)))
}

/// Advice on tensors that the model should not have.
pub(crate) fn origin(names: &[String]) -> &'static str {
    if names.iter().any(|name| is_adapter(name)) {
        "they belong to an adapter that is not merged; merge it first (peft: `merge_and_unload()`, then \
         `save_pretrained`) and convert the merged folder"
    } else if names.iter().any(|name| QUANTIZED.iter().any(|ending| name.ends_with(ending))) {
        "they are quantized already; convert the BF16 checkpoint that they were made from"
    } else if names.iter().any(|name| is_of_another_part(name)) {
        "they are those of a multimodal model; save its language model by itself"
    } else {
        "see that config.json belongs to these weights, and that they have the names that transformers gives \
         them (save the inner model with `save_pretrained`)"
    }
}

/// The transformers name of each of `names`, with the change in words; `None` if they are right, or if no change
/// makes them right one by one.
pub(super) fn mapped(names: &[&str]) -> Option<(Vec<String>, String)> {
    if names.iter().any(|name| is_adapter(name)) {
        return None;
    }
    let bare: Vec<String> = names.iter().map(|name| without_wrappers(name)).collect();
    // The embedding's name tells the path of the inner model; the head may have another one.
    let ending = EMBEDDING.trim_start_matches("model.");
    let mut inner = bare.iter().filter_map(|name| name.strip_suffix(ending));
    let path = inner.next().filter(|path| path.is_empty() || path.ends_with('.'))?;
    if inner.next().is_some() {
        return None;
    }
    let target = |name: &String| match name.strip_prefix(path) {
        _ if name == HEAD || name.ends_with(&format!(".{HEAD}")) => Some(HEAD.to_owned()),
        Some(rest) => Some(format!("model.{rest}")),
        None => None,
    };
    let renamed: Vec<String> = bare.iter().map(|name| target(name).unwrap_or_else(|| name.clone())).collect();
    let is_one_to_one = renamed.iter().collect::<BTreeSet<_>>().len() == renamed.len();
    let (old, new) = names.iter().zip(&renamed).find(|(old, new)| *old != new)?;
    let change =
        format!("the tensors have other names than transformers gives them: `{old}` is read as `{new}`");
    is_one_to_one.then_some((renamed, change))
}

/// `name` without the segments of wrappers, and without a leading `module.` of DDP.
fn without_wrappers(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    name.split('.').filter(|segment| !WRAPPERS.contains(segment)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: [&str; 4] = [HEAD, EMBEDDING, "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"];

    #[test]
    fn a_prefix_too_many_or_too_few_is_mapped_one_to_one() {
        type Rename = fn(&str) -> String;
        let savers: [(&str, Rename); 9] = [
            ("torch.compile", |name| format!("_orig_mod.{name}")),
            ("torch.compile of the inner model", |name| name.replace("model.", "model._orig_mod.")),
            ("torch.compile of each layer", |name| name.replace("layers.0.", "layers.0._orig_mod.")),
            ("FSDP", |name| {
                format!(
                    "_fsdp_wrapped_module.{}",
                    name.replace("layers.0.", "layers.0._fsdp_wrapped_module.")
                )
            }),
            ("DDP", |name| format!("module.{name}")),
            ("PEFT", |name| format!("base_model.model.{name}")),
            ("the base model", |name| name.replace("model.", "")),
            ("a multimodal model", |name| format!("language_model.{name}")),
            ("a newer multimodal model", |name| name.replace("model.", "model.language_model.")),
        ];
        for (saver, rename) in savers {
            let names: Vec<String> = RIGHT.iter().map(|name| rename(name)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (mapped, change) = mapped(&names).unwrap_or_else(|| panic!("{saver}: {names:?}"));
            assert_eq!(mapped, RIGHT, "{saver}");
            assert!(change.contains("is read as `"), "{saver}: {change}");
        }
        assert_eq!(mapped(&RIGHT), None);
    }

    #[test]
    fn names_that_meet_or_belong_to_adapters_are_left_alone() {
        let twice = ["_orig_mod.model.norm.weight", "model.norm.weight", EMBEDDING];
        assert_eq!(mapped(&twice), None);
        assert_eq!(mapped(&["a.embed_tokens.weight", "b.embed_tokens.weight"]), None);
        assert_eq!(
            mapped(&["base_model.model.model.embed_tokens.weight", "base_model.model.x.lora_A.weight"]),
            None
        );
        assert_eq!(mapped(&["transformer.wte.weight"]), None);
    }

    #[test]
    fn advice_fits_the_names() {
        let of = |name: &str| origin(&["model.x.weight".to_owned(), name.to_owned()]);
        assert!(of("model.layers.0.self_attn.q_proj.base_layer.weight").contains("merge it first"));
        assert!(of("model.layers.0.self_attn.q_proj.lora_A.default.weight").contains("merge it first"));
        assert!(of("model.layers.0.self_attn.q_proj.qweight").contains("quantized already"));
        assert!(of("model.vision_tower.patch.weight").contains("multimodal"));
        assert!(of("transformer.wte.weight").contains("config.json"));
    }
}
