//! Differences between a file and its witness, each with the fault that explains it and a remedy.

use serde::Serialize;

/// A difference, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The fault.
    pub cause: Cause,
    /// Severity of the fault.
    pub severity: Severity,
    /// Description, with the place.
    pub what: String,
    /// Remedy to try.
    pub remedy: &'static str,
}

/// Severity of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file does not say what the trainer's model says.
    Wrong,
    /// Worth knowing.
    Note,
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal, $remedy:literal;)*) => {
        /// The part of a file, or of its making, that is to blame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $($(#[doc = $doc])* $variant),* }

        impl Cause {
            /// Every cause, in the order of the stages.
            pub const ALL: &[Cause] = &[$(Cause::$variant),*];

            /// Name in a verdict.
            pub fn name(self) -> &'static str {
                match self { $(Cause::$variant => $name),* }
            }

            /// Remedy to try.
            pub fn remedy(self) -> &'static str {
                match self { $(Cause::$variant => $remedy),* }
            }
        }
    };
}

causes! {
    /// The chat template is another, or renders otherwise.
    Template "chat template", "convert the folder that the trainer saved, with its chat template";
    /// BOS is put before the text on one side only.
    Bos "BOS token", "set `add_bos_token` in tokenizer_config.json as in the trainer, and convert again";
    /// EOS is another token.
    Eos "EOS token", "set `eos_token` in tokenizer_config.json as in the trainer, and convert again";
    /// The same tokens, and another split of the text.
    PreTokenizer "pre-tokenizer", "convert again with the pre-tokenizer of the checkpoint's tokenizer.json";
    /// Other texts behind the ids.
    Vocabulary "vocabulary", "convert again with the tokenizer that the trainer used";
    /// Another architecture or another size.
    Sizes "model sizes", "convert again from the checkpoint that the trainer wrote";
    /// The base of the rotary frequencies.
    RopeBase "RoPE base", "set `rope_theta` in config.json as in the trainer, and convert again";
    /// The scaling of the rotary frequencies.
    RopeScaling "RoPE scaling", "set `rope_scaling` in config.json as in the trainer, and convert again";
    /// The epsilon of the norms.
    NormEpsilon "norm epsilon", "set `rms_norm_eps` in config.json as in the trainer, and convert again";
    /// The file has no output head, and the model has one of its own.
    HeadLost "output head lost", "save the model with its lm_head and `tie_word_embeddings: false`, and convert again";
    /// The file has an output head of its own, and the model's is the embedding.
    HeadUntied "output head untied", "remove lm_head.weight from the checkpoint, and convert again";
    /// Weights that are no numbers.
    Overflow "overflow", "convert from BF16 or F32 to a type other than F16";
    /// The file lacks a tensor.
    MissingTensor "missing tensor", "convert again from the complete checkpoint";
    /// A norm with one added to, or taken from, its weights.
    NormOffset "norm off by one", "convert again: the norms of this architecture are written as they are";
    /// Rows of a matrix in another order.
    PermutedRows "rows permuted", "convert again: a converter ordered the rows for another architecture";
    /// A layer with the weights of another.
    LayersSwapped "layers swapped", "convert again from the checkpoint that the trainer wrote";
    /// Rows of the embedding beside their tokens.
    ShiftedRows "embedding rows shifted", "add and remove tokens before training, and convert with the tokenizer of that model";
    /// The adapter is not in the file.
    AdapterMissing "adapter missing", "merge the adapter into its base, and convert that";
    /// The adapter is in the file with another factor.
    AdapterScale "adapter scale", "merge the adapter once, with the `lora_alpha` and `r` of its adapter_config.json";
    /// The adapter was merged into another model than in the trainer.
    WrongBase "wrong base", "merge the adapter into the base that its adapter_config.json names";
    /// Some weights are of another step of the training.
    OtherStep "weights of another step", "copy all shards of one checkpoint again, and convert that";
    /// The weights are of another model.
    OtherModel "weights of another model", "convert the checkpoint that the trainer wrote";
    /// The weights are the model's, and their type costs more than it usually does.
    Quantization "quantisation", "convert to a type with more bits";
    /// The weights are the model's, and llama.cpp computes other probabilities with them.
    Computation "computation", "try other kernels, and run `edgecall doctor` on the file";
}

impl Finding {
    /// A finding of something that is wrong.
    pub(super) fn wrong(cause: Cause, what: impl Into<String>) -> Finding {
        Finding { cause, severity: Severity::Wrong, what: what.into(), remedy: cause.remedy() }
    }

    /// A finding that is worth knowing.
    pub(super) fn note(cause: Cause, what: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::wrong(cause, what) }
    }

    /// True if something is wrong.
    pub fn is_wrong(&self) -> bool {
        self.severity == Severity::Wrong
    }
}
