//! Number of decodes for the ground-truth answers of a data set, fed token by token as if a model had chosen them.
//!
//! No weights are needed, so the figures are the same on every machine. They show the gain from forced tokens and
//! drafts, not the time of a decode.

use super::prompts;
use crate::{
    bench::{Dataset, Result, answer::Style},
    call,
    runtime::{
        Compiler, DecodeMode, Sampler, Sampling, Steps, Vocabulary,
        draft::{BatchCost, DraftPolicy, Drafter},
        generate,
        sequence::Script,
    },
    schema::KeyOrder,
    tools::turn::Turn,
};
use serde::Serialize;
use std::{fmt, ops::ControlFlow, sync::Arc};

/// Cost of one more token in a decode, relative to a decode of one: where memory bandwidth is the limit, on a small ARM
/// board, and where arithmetic is the limit.
pub const SLOPES: [f64; 3] = [0.12, 0.22, 0.67];

/// An answer, with the prompt before it.
struct Answer {
    conversation: usize,
    prompt: Vec<i32>,
    tokens: Vec<i32>,
}

/// Number of decodes for the answers, by decoding policy.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// Number of replayed answers.
    pub answers: usize,
    /// Their tokens, without end-of-turn tokens.
    pub tokens: usize,
    /// Answers that the grammar refuses; they are left out.
    pub refused: usize,
    /// Answers that the grammar accepts but that were generated differently: a forced token contradicted them.
    pub contradicted: usize,
    /// One row for each decoding policy.
    pub policies: Vec<Policy>,
}

/// Result of one decoding policy.
#[derive(Clone, Debug, Serialize)]
pub struct Policy {
    /// Name of the policy.
    pub name: String,
    /// Decodes per token.
    pub steps_per_token: f64,
    /// Evaluated tokens per token, rejected drafts included.
    pub evaluated_per_token: f64,
    /// Cost per token, relative to a decode of one token, for each of [`SLOPES`]; `None` if the policy was tuned for
    /// another slope.
    pub cost_per_token: [Option<f64>; 3],
}

/// A decoding policy: name, draft policy, use of earlier answers, and the slope that it is tuned for.
type Way = (String, Option<DraftPolicy>, bool, Option<f64>);

fn ways() -> Vec<Way> {
    let lookup = |matched, most| Some(DraftPolicy::Tokens { matched, most });
    let mut ways = vec![
        ("forced tokens".to_owned(), None, false, None),
        ("+ lookup, n >= 3, 1 token".to_owned(), lookup(3, 1), false, None),
        ("+ lookup, n >= 2, 2 tokens".to_owned(), lookup(2, 2), false, None),
        ("+ lookup, n >= 2, 4 tokens".to_owned(), lookup(2, 4), false, None),
        ("+ earlier answers, n >= 2, 2 tokens".to_owned(), lookup(2, 2), true, None),
    ];
    ways.extend(SLOPES.map(|slope| {
        (format!("auto at {slope}"), Some(DraftPolicy::Worth(BatchCost::fixed(slope))), true, Some(slope))
    }));
    ways
}

/// Replays the answers of `dataset`, tokenized with `vocabulary`, with keys in any order.
///
/// Earlier answers are those of previous conversations.
///
/// # Errors
/// Unlabelled data, a model without a chat template, and errors of rendering and of the grammar.
pub fn replay(dataset: &Dataset, vocabulary: &Vocabulary) -> Result<Replay> {
    dataset.require_labels("a replay")?;
    let (dialect, prompts) = prompts(dataset, vocabulary)?;
    let compiler = Compiler::for_vocabulary(vocabulary.clone())?;
    let turn = Turn::new(&dataset.job.tools, dialect, KeyOrder::Any)?;

    let in_all = prompts.len();
    let mut taken = Vec::new();
    for (case, prompt) in dataset.cases.iter().zip(prompts) {
        let answer = case.answer(Style::Student).unwrap_or_default();
        let tokens = vocabulary.tokenize(&answer, true)?;
        let mut constraint = call::constraint(&compiler, &turn)?;
        let mut follows = true;
        for &token in &tokens {
            follows = follows && constraint.accept(token)?;
        }
        if follows && constraint.is_complete() {
            taken.push(Answer { conversation: case.conversation, prompt: prompt.tokens, tokens });
        }
    }
    let tokens: usize = taken.iter().map(|answer| answer.tokens.len()).sum();
    let each = |count: f64| count / tokens.max(1) as f64;
    let mut replay = Replay {
        answers: taken.len(),
        tokens,
        refused: in_all - taken.len(),
        contradicted: 0,
        policies: vec![Policy {
            name: "one by one".to_owned(),
            steps_per_token: 1.0,
            evaluated_per_token: 1.0,
            cost_per_token: [Some(1.0); 3],
        }],
    };
    for (name, reach, with_earlier, slope) in ways() {
        let mut steps = Steps::default();
        let mut drafter = reach.map(|reach| Drafter::new(&[], Vec::new(), reach));
        let (mut earlier, mut contradicted) = (Arc::new(Vec::new()), 0);
        for conversation in taken.chunk_by(|a, b| a.conversation == b.conversation) {
            for answer in conversation {
                let mut constraint = call::constraint(&compiler, &turn)?;
                let pace = match &mut drafter {
                    None => DecodeMode::Forced,
                    Some(drafter) => {
                        let earlier = if with_earlier { earlier.clone() } else { Arc::default() };
                        drafter.begin(&answer.prompt, earlier);
                        DecodeMode::Drafted(drafter)
                    }
                };
                let mut script = Script::new(&answer.tokens, vocabulary.n_vocab());
                let mut sampler = Sampler::new(Sampling::default());
                let budget = answer.tokens.len();
                let reader = |_: &[u8]| ControlFlow::Continue(());
                let done =
                    generate::constrained(&mut script, &mut constraint, &mut sampler, budget, pace, reader)?;
                contradicted += usize::from(done.tokens != answer.tokens);
                steps += done.steps;
            }
            Arc::make_mut(&mut earlier).extend(conversation.iter().map(|answer| answer.tokens.clone()));
        }
        replay.contradicted = replay.contradicted.max(contradicted);
        let (decodes, rows) = (steps.decodes as f64, steps.rows as f64);
        let cost = |at: f64| each(decodes + at * (rows - decodes));
        let made_for = |at: f64| slope.is_none_or(|slope| slope == at);
        replay.policies.push(Policy {
            name,
            steps_per_token: each(decodes),
            evaluated_per_token: each(rows),
            cost_per_token: SLOPES.map(|at| made_for(at).then(|| cost(at))),
        });
    }
    Ok(replay)
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replay { answers, tokens, refused, contradicted, .. } = self;
        writeln!(
            f,
            "{answers} answers of {tokens} tokens; {refused} refused by the grammar, {contradicted} changed"
        )?;
        writeln!(f)?;
        let at = SLOPES.map(|slope| format!("cost at {slope}"));
        writeln!(
            f,
            "{:<38}{:>12}{:>17}{:>14}{:>14}{:>14}",
            "decoded together", "steps/token", "evaluated/token", at[0], at[1], at[2]
        )?;
        let rows: Vec<String> = self.policies.iter().map(Policy::to_string).collect();
        write!(f, "{}", rows.join("\n"))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy { name, steps_per_token, evaluated_per_token, cost_per_token } = self;
        write!(f, "{name:<38}{steps_per_token:>12.3}{evaluated_per_token:>17.3}")?;
        cost_per_token.iter().try_for_each(|cost| match cost {
            Some(cost) => write!(f, "{cost:>14.3}"),
            None => write!(f, "{:>14}", "—"),
        })
    }
}
