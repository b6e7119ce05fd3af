//! Runs one model through the cases; its context keeps the common start of prompts.

use super::{
    Contender, Lane, Settings,
    cost::{self, Watch},
    renderer::Renderer,
};
use crate::{
    bench::{
        Case, Dataset, Error, Mode, Result, Row,
        answer::{Call, Style},
        dataset::hex,
        json::{self, Json},
        row::Cost,
    },
    call,
    runtime::{self, Completion, DecodeMode, Finish, Prefix, Sampler, Sampling, Session, generate},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet, dialect::Dialect, turn::Turn},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, ops::ControlFlow, rc::Rc};

/// Call formats that [`Call::parse`] reads.
const READ: &[&str] = &["hermes", "llama3", "generic"];

/// Prompt of one case.
pub(super) struct Prompt {
    text: String,
    tokens: Vec<i32>,
    pub(super) sha256: String,
}

/// A model's answer to one case.
pub(super) struct Answered {
    pub(super) text: String,
    pub(super) tokens: Vec<i32>,
    pub(super) finish: &'static str,
    pub(super) cost: Cost,
}

/// Runs one model through the cases.
pub(super) struct Walker<'m> {
    pub(super) lane: Lane<'m>,
    pub(super) contender: &'m Contender,
    pub(super) prompts: Rc<[Prompt]>,
    pub(super) threads: usize,
    dialect: &'static dyn Dialect,
    prefix: Prefix<'m>,
    max_tokens: usize,
    host: String,
}

impl<'m> Walker<'m> {
    /// Renders the prompts of all cases, or shares those of another runner with the same file. The context has room for
    /// the longest prompt of the data, so its size does not depend on the cases that are run.
    pub(super) fn new(
        lane: Lane<'m>,
        others: &[Walker<'_>],
        dataset: &Dataset,
        settings: &Settings,
    ) -> Result<Walker<'m>> {
        let contender = lane.contender;
        let model = &contender.model;
        let renderer = Renderer::new(model.vocabulary(), dataset)?;
        let dialect = renderer.dialect();
        let render = |case: &Case| {
            let text = renderer.prompt(case)?;
            let tokens = call::tokenize_prompt(model, &text)?;
            let sha256 = hex(&Sha256::digest(&text));
            Ok(Prompt { text, tokens, sha256 })
        };
        let same_file = others.iter().find(|other| other.contender.sha256 == contender.sha256);
        let prompts = match same_file {
            Some(other) => other.prompts.clone(),
            None => dataset.cases.iter().map(render).collect::<Result<Rc<[Prompt]>>>()?,
        };
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let session = Session::new(model, longest, settings.max_tokens, &lane.session)?;
        Ok(Walker {
            lane,
            contender,
            prompts,
            threads: session.threads(),
            dialect,
            prefix: Prefix::new(session),
            max_tokens: settings.max_tokens,
            host: cost::host(),
        })
    }

    /// Drops cache contents after the system message.
    pub(super) fn begin_conversation(&mut self) {
        let vocabulary = self.contender.model.vocabulary();
        self.prefix.begin_conversation(|token| vocabulary.is_eog(token));
    }

    /// Evaluates the prompt of a case, and returns the number of tokens that were computed rather than reused.
    pub(super) fn evaluate(&mut self, case: usize) -> Result<usize> {
        let vocabulary = self.contender.model.vocabulary();
        Ok(self.prefix.evaluate(&self.prompts[case].tokens, |token| vocabulary.is_eog(token))?)
    }

    /// Logits after the last evaluated token.
    pub(super) fn logits(&mut self) -> &[f32] {
        self.prefix.session().logits()
    }

    /// Decodes one token after the prompt.
    pub(super) fn step(&mut self, token: i32) -> Result<()> {
        Ok(self.prefix.session().append(&[token])?)
    }

    /// The model's output in a format that the metrics parse.
    pub(super) fn read_as<'w>(&self, written: &'w str) -> Cow<'w, str> {
        read_as(self.dialect, written)
    }

    /// Tokens of the ground-truth answer in this model's call format, with an end-of-sequence token. `None` if the
    /// first token of the answer would merge with the prompt, or if its arguments cannot be written as JSON.
    pub(super) fn gold(&self, case: usize, dataset: &Dataset) -> Result<Option<Vec<i32>>> {
        let Some(eos) = self.contender.model.vocabulary().eos() else { return Ok(None) };
        let Some(gold) = &dataset.cases[case].gold else { return Ok(None) };
        let answer = match self.dialect.name() {
            // The exact format of the published fine-tuned models, line breaks included.
            "hermes" => gold.render(Style::Student),
            _ => match ToolCall::from_text(&gold.name, &json::dumps(&gold.arguments)) {
                Ok(call) => self.dialect.write(&call),
                Err(_) => return Ok(None),
            },
        };
        let Some(mut tokens) = self.behind_prompt(case, &answer)? else { return Ok(None) };
        tokens.push(eos);
        Ok(Some(tokens))
    }

    /// Tokens of `row`, another model's answer to the same case, with an end-of-sequence token if that model ended by
    /// itself. `None` if the first token of the answer would merge with the prompt.
    pub(super) fn as_written(&self, case: usize, row: &Row) -> Result<Option<Vec<i32>>> {
        let vocabulary = self.contender.model.vocabulary();
        // The original tokens if they have the same text in this vocabulary; the text alone might be tokenized
        // differently.
        let same_text = String::from_utf8_lossy(&vocabulary.bytes(&row.tokens)) == row.raw_output;
        let tokens = match !row.tokens.is_empty() && same_text {
            true => Some(row.tokens.clone()),
            false => self.behind_prompt(case, &row.raw_output)?,
        };
        let Some(mut tokens) = tokens else { return Ok(None) };
        // In this vocabulary the text may have more tokens, which might not fit into the context.
        tokens.truncate(self.max_tokens);
        if row.finish == finish_name(Finish::Stop) {
            let Some(eos) = vocabulary.eos() else { return Ok(None) };
            tokens.push(eos);
        }
        Ok((!tokens.is_empty()).then_some(tokens))
    }

    /// Tokenizes `text` after the prompt of a case; `None` if its first token would merge with the prompt.
    fn behind_prompt(&self, case: usize, text: &str) -> Result<Option<Vec<i32>>> {
        let prompt = &self.prompts[case];
        let mut tokens = call::tokenize_prompt(&self.contender.model, &(prompt.text.clone() + text))?;
        if !tokens.starts_with(&prompt.tokens) {
            return Ok(None);
        }
        tokens.drain(..prompt.tokens.len());
        Ok(Some(tokens))
    }

    /// Generates an answer to a case.
    pub(super) fn answer(&mut self, case: usize, mode: Mode, tools: &ToolSet) -> Result<Answered> {
        let watch = Watch::start();
        let computed_tokens = self.evaluate(case)?;
        let prefill_s = watch.wall_s();
        let (text, tokens, decoded, finish, decode_s) = match self.generate(mode, tools) {
            Ok(completion) => {
                let finish = finish_name(completion.finish);
                let decode_s = completion.time.as_secs_f64();
                (completion.text, completion.tokens, completion.decoded, finish, decode_s)
            }
            Err(Error::Runtime(runtime::Error::Unsatisfied { written, .. })) => {
                (written, Vec::new(), 0, "unsatisfied", watch.wall_s() - prefill_s)
            }
            Err(other) => return Err(other),
        };
        let cost = Cost {
            host: self.host.clone(),
            prompt_tokens: self.prompts[case].tokens.len(),
            computed_tokens,
            generated_tokens: decoded,
            prefill_s,
            decode_s,
            wall_s: watch.wall_s(),
            cpu_s: Some(watch.cpu_s()),
            load_s: Some(self.contender.model.load_time().as_secs_f64()),
            ..Cost::default()
        };
        Ok(Answered { text: String::from_utf8_lossy(&text).into_owned(), tokens, finish, cost })
    }

    fn generate(&mut self, mode: Mode, tools: &ToolSet) -> Result<Completion> {
        let model = &self.contender.model;
        let mut sampler = Sampler::new(Sampling::default());
        let (session, budget) = (self.prefix.session(), self.max_tokens);
        let key_order = match mode {
            Mode::Free => {
                let until = None;
                let vocabulary = model.vocabulary();
                return Ok(generate::free(session, vocabulary, &mut sampler, budget, until, |_| false)?);
            }
            Mode::Any => KeyOrder::Any,
            Mode::Schema => KeyOrder::Schema,
        };
        let turn = Turn::new(tools, self.dialect, key_order)?;
        let mut constraint = call::constraint(model.compiler()?, &turn)?;
        let reader = |_: &[u8]| ControlFlow::Continue(());
        Ok(generate::constrained(session, &mut constraint, &mut sampler, budget, DecodeMode::Forced, reader)?)
    }
}

/// A model's output in a format that the metrics parse: unchanged for formats of [`Call::parse`], otherwise the call
/// that `dialect` finds, in canonical form.
pub(in crate::bench) fn read_as<'w>(dialect: &dyn Dialect, written: &'w str) -> Cow<'w, str> {
    if READ.contains(&dialect.name()) {
        return Cow::Borrowed(written);
    }
    match dialect.parse(written) {
        Ok(call) => {
            let arguments = Json::from(&Value::Object(call.arguments().clone()));
            let arguments = arguments.as_object().cloned().unwrap_or_default();
            Cow::Owned(Call { name: call.name().to_owned(), arguments }.render(Style::Student))
        }
        Err(_) => Cow::Borrowed(written),
    }
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Budget => "budget",
        Finish::Context => "context",
        Finish::Dismissed => "dismissed",
    }
}
