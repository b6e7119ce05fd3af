//! Number of decodes for the ground-truth answers of a data set, fed token by token as if a model had chosen them.
//!
//! No weights are needed, so the figures are the same on every machine. They show the gain from forced tokens and
//! drafts, not the time of a decode.

use super::prompts;
use crate::{
    bench::{
        Result,
        data::{Case, Dataset, Style},
    },
    call,
    dialect::{Dialect, turn::Turn},
    runtime::{
        Compiler, Constraint, DecodeMode, Sampler, Sampling, Steps, Vocabulary,
        draft::{BatchCost, DraftPolicy, Drafter},
        generate,
        sequence::Script,
    },
    schema::KeyOrder,
    tools::ToolSet,
};
use serde::Serialize;
use std::{fmt, ops::ControlFlow, ptr, sync::Arc};

/// Cost of one more token in a decode, relative to a decode of one: where memory bandwidth is the limit, on a small ARM
/// board, and where arithmetic is the limit.
pub const SLOPES: [f64; 3] = [0.12, 0.22, 0.67];

/// An answer, with the prompt before it.
struct Answer<'t> {
    conversation: usize,
    prompt: Vec<i32>,
    tokens: Vec<i32>,
    turn: &'t Turn,
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

/// A decoding policy to replay.
struct PolicyConfig {
    name: String,
    /// `None` decodes without drafts.
    drafts: Option<DraftPolicy>,
    /// True if drafts may come from earlier answers too.
    uses_earlier: bool,
    /// Slope that the policy is tuned for; `None` for a policy that suits any.
    tuned_for: Option<f64>,
}

fn policies() -> Vec<PolicyConfig> {
    let fixed = |name: &str, drafts, uses_earlier| PolicyConfig {
        name: name.to_owned(),
        drafts,
        uses_earlier,
        tuned_for: None,
    };
    let lookup = |matched, most| Some(DraftPolicy::Tokens { matched, most });
    let mut policies = vec![
        fixed("forced tokens", None, false),
        fixed("+ lookup, n >= 3, 1 token", lookup(3, 1), false),
        fixed("+ lookup, n >= 2, 2 tokens", lookup(2, 2), false),
        fixed("+ lookup, n >= 2, 4 tokens", lookup(2, 4), false),
        fixed("+ earlier answers, n >= 2, 2 tokens", lookup(2, 2), true),
    ];
    policies.extend(SLOPES.map(|slope| PolicyConfig {
        name: format!("auto at {slope}"),
        drafts: Some(DraftPolicy::Worth(BatchCost::fixed(slope))),
        uses_earlier: true,
        tuned_for: Some(slope),
    }));
    policies
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
    let turns = turns(dataset, &dialect)?;

    let in_all = prompts.len();
    let mut accepted = Vec::new();
    for (case, prompt) in dataset.cases.iter().zip(prompts) {
        let answer = case.answer(Style::Student).unwrap_or_default();
        let tokens = vocabulary.tokenize(&answer, true)?;
        let turn = turn_of(&turns, case);
        let mut constraint = call::constraint(&compiler, turn)?;
        let mut follows = true;
        for &token in &tokens {
            follows = follows && constraint.accept(token)?;
        }
        if follows && constraint.is_complete() {
            accepted.push(Answer { conversation: case.conversation, prompt: prompt.tokens, tokens, turn });
        }
    }
    let tokens: usize = accepted.iter().map(|answer| answer.tokens.len()).sum();
    let each = |count: f64| count / tokens.max(1) as f64;
    let mut replay = Replay {
        answers: accepted.len(),
        tokens,
        refused: in_all - accepted.len(),
        contradicted: 0,
        policies: vec![Policy {
            name: "one by one".to_owned(),
            steps_per_token: 1.0,
            evaluated_per_token: 1.0,
            cost_per_token: [Some(1.0); 3],
        }],
    };
    for policy in policies() {
        let (steps, contradicted) =
            policy_steps(&policy, &accepted, vocabulary.n_vocab(), |turn| call::constraint(&compiler, turn))?;
        replay.contradicted = replay.contradicted.max(contradicted);
        let (decodes, rows) = (steps.decodes as f64, steps.rows as f64);
        let cost = |at: f64| each(decodes + at * (rows - decodes));
        let suits = |at: f64| policy.tuned_for.is_none_or(|slope| slope == at);
        replay.policies.push(Policy {
            steps_per_token: each(decodes),
            evaluated_per_token: each(rows),
            cost_per_token: SLOPES.map(|at| suits(at).then(|| cost(at))),
            name: policy.name,
        });
    }
    Ok(replay)
}

/// The grammar of a call for each set of tools.
fn turns<'d>(dataset: &'d Dataset, dialect: &Arc<Dialect>) -> Result<Vec<(&'d ToolSet, Turn)>> {
    let mut turns: Vec<(&ToolSet, Turn)> = Vec::new();
    for tools in dataset.cases.iter().map(Case::tools) {
        if !turns.iter().any(|(known, _)| ptr::eq(*known, tools)) {
            turns.push((tools, Turn::new(tools, dialect, KeyOrder::Any)?));
        }
    }
    Ok(turns)
}

fn turn_of<'t>(turns: &'t [(&ToolSet, Turn)], case: &Case) -> &'t Turn {
    let known = turns.iter().find(|(known, _)| ptr::eq(*known, case.tools()));
    &known.expect("there is a turn for each set of tools").1
}

/// Steps of all answers by one policy, and the number of answers that a forced token contradicted. `constraint` makes
/// the grammar of one answer.
fn policy_steps<'c>(
    policy: &PolicyConfig,
    answers: &[Answer<'c>],
    n_vocab: usize,
    constraint: impl Fn(&'c Turn) -> Result<Constraint<'c>, call::Error>,
) -> Result<(Steps, usize)> {
    let (mut steps, mut contradicted) = (Steps::default(), 0);
    let mut drafter = policy.drafts.clone().map(|drafts| Drafter::new(&[], Vec::new(), drafts));
    let mut earlier = Arc::new(Vec::new());
    for conversation in answers.chunk_by(|a, b| a.conversation == b.conversation) {
        for answer in conversation {
            let mut constraint = constraint(answer.turn)?;
            let decode_mode = match &mut drafter {
                None => DecodeMode::Forced,
                Some(drafter) => {
                    let earlier = if policy.uses_earlier { earlier.clone() } else { Arc::default() };
                    drafter.begin(&answer.prompt, earlier);
                    DecodeMode::Drafted(drafter)
                }
            };
            let mut script = Script::new(&answer.tokens, n_vocab);
            let mut sampler = Sampler::new(Sampling::default());
            let budget = answer.tokens.len();
            let reader = |_: &[u8]| ControlFlow::Continue(());
            let done = generate::constrained(
                &mut script,
                &mut constraint,
                &mut sampler,
                budget,
                decode_mode,
                reader,
            )?;
            contradicted += usize::from(done.tokens != answer.tokens);
            steps += done.steps;
        }
        Arc::make_mut(&mut earlier).extend(conversation.iter().map(|answer| answer.tokens.clone()));
    }
    Ok((steps, contradicted))
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
