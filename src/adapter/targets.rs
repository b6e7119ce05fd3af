//! Modules that an adapter's config targets, by PEFT's rules (`check_target_module_exists`).

use super::pattern::{Pattern, PatternError};

/// Name of the output head's module.
pub(super) const HEAD_MODULE: &str = "lm_head";
/// Name of the embedding's module.
pub(super) const EMBEDDING_MODULE: &str = "model.embed_tokens";

/// The target of a config.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Every matrix but the embedding and the head.
    AllLinear,
    /// A pattern for whole names.
    Pattern(Pattern),
    /// Names, or ends of names.
    Names(Vec<String>),
}

/// Modules that are left out.
#[derive(Clone, Debug)]
pub(super) enum Excluded {
    /// A pattern for whole names.
    Pattern(Pattern),
    /// Names, or ends of names.
    Names(Vec<String>),
}

/// Layers that are targeted.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// Their numbers.
    pub(super) numbers: Vec<u64>,
    /// Patterns that find the number in a name; the first that matches counts.
    pub(super) patterns: Vec<Pattern>,
}

/// The modules with LoRA.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    pub(super) target: Target,
    pub(super) excluded: Excluded,
    /// Modules that are saved as a whole, and what is in them.
    pub(super) saved: Vec<Pattern>,
    /// `None`: all layers.
    pub(super) layers: Option<Layers>,
}

impl Targets {
    /// True if `module` gets LoRA.
    ///
    /// # Errors
    /// A pattern that takes too many steps.
    pub(super) fn contain(&self, module: &str) -> Result<bool, PatternError> {
        let is_excluded = match &self.excluded {
            Excluded::Pattern(pattern) => pattern.matches(module)?,
            Excluded::Names(names) => has_ending(names, module),
        };
        if is_excluded {
            return Ok(false);
        }
        for pattern in &self.saved {
            if pattern.matches(module)? {
                return Ok(false);
            }
        }
        match &self.target {
            Target::AllLinear => Ok(module != HEAD_MODULE && module != EMBEDDING_MODULE),
            Target::Pattern(pattern) => pattern.matches(module),
            // A whole name counts in every layer.
            Target::Names(names) if names.iter().any(|name| name == module) => Ok(true),
            Target::Names(names) => Ok(has_ending(names, module) && self.is_in_layers(module)?),
        }
    }

    fn is_in_layers(&self, module: &str) -> Result<bool, PatternError> {
        let Some(layers) = &self.layers else { return Ok(true) };
        for pattern in &layers.patterns {
            if let Some(number) = pattern.number(module)? {
                return Ok(layers.numbers.contains(&number));
            }
        }
        Ok(false)
    }
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

/// True if `module` is one of `names`, or ends with a dot and one of them.
pub(super) fn has_ending(names: &[String], module: &str) -> bool {
    names.iter().any(|name| {
        module.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn targets(target: Target) -> Targets {
        Targets { target, excluded: Excluded::Names(Vec::new()), saved: Vec::new(), layers: None }
    }

    fn contained(targets: &Targets, modules: &[&str]) -> Vec<bool> {
        modules.iter().map(|module| targets.contain(module).unwrap()).collect()
    }

    #[test]
    fn a_name_in_the_list_ends_at_a_dot() {
        let targets = targets(Target::Names(names(&["down_proj", "mlp.up_proj", "proj"])));
        let modules = ["model.layers.0.mlp.down_proj", "x.mlp.up_proj", "x.up_proj", "x.gate_proj"];
        assert_eq!(contained(&targets, &modules), [true, true, false, false]);
    }

    #[test]
    fn excluded_and_saved_modules_get_no_lora() {
        let mut targets = targets(Target::AllLinear);
        targets.excluded = Excluded::Names(names(&["layers.0.q_proj"]));
        targets.saved = vec![Pattern::part("mlp").unwrap()];
        let modules = ["model.layers.0.q_proj", "model.layers.10.q_proj", "x.mlp.up_proj", HEAD_MODULE];
        assert_eq!(contained(&targets, &modules), [false, true, false, false]);
    }

    #[test]
    fn layers_narrow_a_list_and_not_a_whole_name() {
        let mut targets = targets(Target::Names(names(&["q_proj", "model.layers.0.v_proj"])));
        targets.layers = Some(Layers { numbers: vec![1], patterns: vec![Pattern::layer(None).unwrap()] });
        let modules = ["model.layers.0.q_proj", "model.layers.1.q_proj", "model.layers.0.v_proj", "q_proj"];
        assert_eq!(contained(&targets, &modules), [false, true, true, true]);
    }
}
