//! Durations and token counts of a call.

use crate::runtime::{Completion, Steps};
use std::time::{Duration, Instant};

/// Durations and token counts of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Reading and checking the model's header.
    pub check: Duration,
    /// Loading the model in llama.cpp: mapping, repacking weights, vocabulary.
    pub load: Duration,
    /// Rendering and tokenizing the prompt.
    pub prompt: Duration,
    /// Creating the llama.cpp context.
    pub context: Duration,
    /// Compiling the grammar, and waiting for the token trie, which a thread builds while the prompt is
    /// processed.
    pub grammar: Duration,
    /// Restoring the prefix states that earlier calls saved.
    pub restore: Duration,
    /// Prefill: evaluating the rest of the prompt.
    pub prefill: Duration,
    /// Decode, reasoning included.
    pub decode: Duration,
    /// Time at which the first token was sampled.
    pub first_choice: Option<Instant>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens whose state was restored.
    pub restored_tokens: usize,
    /// Prompt tokens that an earlier call left in the context.
    pub kept_tokens: usize,
    /// Tokens generated, reasoning included.
    pub generated_tokens: usize,
    /// The decode steps that they took.
    pub steps: Steps,
    /// True if there were no drafts as the model's memory cannot be cut: each wrong one would have to be paid for by
    /// decoding the right tokens again.
    pub undraftable: bool,
    /// The context's length in tokens.
    pub n_ctx: usize,
    /// Compute threads.
    pub threads: usize,
}

impl Timings {
    /// Adds a generated text.
    pub(super) fn add(&mut self, completion: &Completion) {
        self.decode += completion.time;
        self.first_choice = self.first_choice.or(completion.first_choice);
        self.generated_tokens += completion.decoded;
        self.steps += completion.steps;
    }
}
