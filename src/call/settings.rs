//! Settings of a call.

use crate::{
    dialect::Wanted,
    runtime::{
        self, Drafter, Sampling, TokenDetail,
        draft::{BatchCost, DraftPolicy},
    },
};
use std::{num::NonZeroUsize, sync::Arc};

/// Reasoning before the call, as Hugging Face's `enable_thinking`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Think {
    /// The template gets `enable_thinking=false`.
    #[default]
    Off,
    /// The template gets `enable_thinking=true`; the model reasons freely, then calls.
    On,
    /// The template gets no `enable_thinking`.
    Auto,
}

/// Length of the drafts: tokens guessed ahead from the conversation and from earlier answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draft {
    /// As long as they save more time than they cost on this machine.
    #[default]
    Auto,
    /// No drafts.
    Off,
    /// Up to this many tokens at a time.
    Tokens(NonZeroUsize),
}

impl Draft {
    /// Creates the drafter for an answer after `text`. It also guesses from `earlier` answers with the same
    /// tools, oldest first. `costs` are the decode costs measured on this machine; without them an estimate for
    /// this CPU is used. Returns `None` if drafts are off.
    pub fn drafter(
        self,
        text: &[i32],
        earlier: impl Into<Arc<Vec<Vec<i32>>>>,
        costs: Option<BatchCost>,
    ) -> Option<Drafter> {
        let reach = match self {
            Draft::Off => return None,
            Draft::Auto => DraftPolicy::Worth(costs.unwrap_or_else(BatchCost::for_this_cpu)),
            Draft::Tokens(most) => DraftPolicy::Tokens { matched: 2, most: most.get() },
        };
        Some(Drafter::new(text, earlier, reach))
    }
}

/// Settings of a call. The default is greedy decoding without reasoning, at most 512 tokens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Reasoning before the call.
    pub think: Think,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Token budget, reasoning and answer together.
    pub max_tokens: usize,
    /// Tool-call format.
    pub dialect: Wanted,
    /// Context, threads, KV cache.
    pub session: runtime::Options,
    /// Skips the memory check.
    pub force: bool,
    /// Decodes each token of the answer by itself. Greedy sampling gives the same answer without it, as far as near ties
    /// are recognized.
    pub exact: bool,
    /// Lets a model that repeats itself go on until the budget ends, see
    /// [`Repetition::at_end`](runtime::Repetition::at_end).
    pub allow_repetition: bool,
    /// Draft length; ignored if `exact`.
    pub draft: Draft,
    /// Details to write down of each token of the answer.
    pub detail: TokenDetail,
    /// Callback before each piece of the prompt and after the last one: tokens evaluated so far, and all of them.
    pub on_prefill: Option<fn(usize, usize)>,
    /// Callback for what is to be known of the tool-call format: a sentence.
    pub on_note: Option<fn(&str)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            think: Think::Off,
            sampling: Sampling::default(),
            max_tokens: 512,
            dialect: Wanted::Auto,
            session: runtime::Options::default(),
            force: false,
            exact: false,
            allow_repetition: false,
            draft: Draft::Auto,
            detail: TokenDetail::None,
            on_prefill: None,
            on_note: None,
        }
    }
}
