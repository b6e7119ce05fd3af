//! Runs one model through the cases; its context keeps the common start of prompts.

use super::{
    LoadedModel, Settings, VariantConfig,
    renderer::Renderer,
    row_builder::{Answer, ModelFacts},
    stopwatch::{self, Stopwatch},
};
use crate::{
    bench::{
        Error, Result,
        data::{Case, Dataset, Style, json},
        row::{Cost, Mode, Row, RowKey, Variant},
    },
    call::{
        self, RenderedPrompt, Think,
        reasoning::{self, Reasoning},
    },
    dialect::{Dialect, turn::Turn},
    runtime::{self, Completion, DecodeMode, Finish, Limits, Prefix, Sampler, Sampling, Session, generate},
    schema::KeyOrder,
    tools::{ToolCall, ToolSet},
};
use std::{ops::ControlFlow, rc::Rc, sync::Arc};

/// Prompt of one case.
pub(super) struct Prompt {
    text: RenderedPrompt,
    tokens: Vec<i32>,
    pub(super) sha256: String,
}

/// Runs one model through the cases.
pub(super) struct CaseRunner<'m> {
    pub(super) config: VariantConfig<'m>,
    pub(super) loaded: &'m LoadedModel,
    pub(super) prompts: Rc<[Prompt]>,
    threads: usize,
    settings: Settings,
    dialect: Arc<Dialect>,
    prefix: Prefix<'m>,
    host: String,
}

impl<'m> CaseRunner<'m> {
    /// Renders the prompts of all cases, or shares those of another runner with the same file. The context has room for
    /// the longest prompt of the data, so its size does not depend on the cases that are run.
    pub(super) fn new(
        config: VariantConfig<'m>,
        others: &[CaseRunner<'_>],
        dataset: &Dataset,
        settings: &Settings,
    ) -> Result<CaseRunner<'m>> {
        let loaded = config.loaded;
        let model = &loaded.model;
        let renderer = Renderer::new(model.vocabulary(), dataset, &settings.calls)?;
        let dialect = renderer.dialect().clone();
        let render = |case: &Case| {
            let text = renderer.prompt(case)?;
            let tokens = text.tokenize(model.vocabulary())?;
            let sha256 = text.fingerprint();
            Ok(Prompt { text, tokens, sha256 })
        };
        let same_file = others.iter().find(|other| other.loaded.sha256 == loaded.sha256);
        let prompts = match same_file {
            Some(other) => other.prompts.clone(),
            None => dataset.cases.iter().map(render).collect::<Result<Rc<[Prompt]>>>()?,
        };
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let session = Session::new(model, longest, settings.max_tokens, &config.session)?;
        Ok(CaseRunner {
            config,
            loaded,
            prompts,
            threads: session.threads(),
            settings: settings.clone(),
            dialect,
            prefix: Prefix::new(session),
            host: stopwatch::host(),
        })
    }

    /// Variant of its rows in a mode.
    pub(super) fn variant(&self, mode: Mode) -> Variant {
        self.config.variant(mode, &self.settings, self.threads)
    }

    /// Facts about the model, for its rows.
    pub(super) fn facts(&self) -> ModelFacts {
        ModelFacts {
            name: self.loaded.name.clone(),
            checkpoint: self.loaded.checkpoint(),
            file_bytes: self.loaded.file_bytes,
            bits_per_weight: self.loaded.bits_per_weight,
            role: self.config.role,
        }
    }

    /// Drops cache contents after the system message.
    pub(super) fn begin_conversation(&mut self) {
        let vocabulary = self.loaded.model.vocabulary();
        self.prefix.begin_conversation(|token| vocabulary.is_eog(token));
    }

    /// Evaluates the prompt of a case, and returns the number of tokens that were computed rather than reused.
    pub(super) fn evaluate(&mut self, case: usize) -> Result<usize> {
        let vocabulary = self.loaded.model.vocabulary();
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

    /// Tokens of the ground-truth answer in this model's call format, with an end-of-sequence token. `None` if the
    /// first token of the answer would merge with the prompt, or if its arguments cannot be written as JSON.
    pub(super) fn gold(&self, case: usize, dataset: &Dataset) -> Result<Option<Vec<i32>>> {
        let Some(eos) = self.loaded.model.vocabulary().eos() else { return Ok(None) };
        let Some(gold) = &dataset.cases[case].gold else { return Ok(None) };
        let answer = match self.dialect.name.as_str() {
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
        let vocabulary = self.loaded.model.vocabulary();
        // The original tokens if they have the same text in this vocabulary; the text alone might be tokenized
        // differently.
        let same_text = String::from_utf8_lossy(&vocabulary.bytes(&row.tokens)) == row.raw_output;
        let tokens = match !row.tokens.is_empty() && same_text {
            true => Some(row.tokens.clone()),
            false => self.behind_prompt(case, &row.raw_output)?,
        };
        let Some(mut tokens) = tokens else { return Ok(None) };
        // In this vocabulary the text may have more tokens, which might not fit into the context.
        tokens.truncate(self.settings.max_tokens);
        if row.finish == finish_name(Finish::Stop) {
            let Some(eos) = vocabulary.eos() else { return Ok(None) };
            tokens.push(eos);
        }
        Ok((!tokens.is_empty()).then_some(tokens))
    }

    /// Tokenizes `text` after the prompt of a case; `None` if its first token would merge with the prompt.
    fn behind_prompt(&self, case: usize, text: &str) -> Result<Option<Vec<i32>>> {
        let prompt = &self.prompts[case];
        let mut tokens = prompt.text.with_text(text).tokenize(self.loaded.model.vocabulary())?;
        if !tokens.starts_with(&prompt.tokens) {
            return Ok(None);
        }
        tokens.drain(..prompt.tokens.len());
        Ok(Some(tokens))
    }

    /// Generates an answer to a case.
    pub(super) fn answer(&mut self, case: usize, mode: Mode, tools: &ToolSet) -> Result<Answer> {
        let stopwatch = Stopwatch::start();
        let computed_tokens = self.evaluate(case)?;
        let prefill_s = stopwatch.wall_s();
        let (text, tokens, decoded, finish, decode_s) = match self.generate(case, mode, tools) {
            Ok(completion) => {
                let finish = finish_name(completion.finish);
                let decode_s = completion.time.as_secs_f64();
                (completion.text, completion.tokens, completion.decoded, finish, decode_s)
            }
            Err(Error::Runtime(runtime::Error::Unsatisfied { written, .. })) => {
                (written, Vec::new(), 0, "unsatisfied", stopwatch.wall_s() - prefill_s)
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
            wall_s: stopwatch.wall_s(),
            cpu_s: Some(stopwatch.cpu_s()),
            load_s: Some(self.loaded.model.load_time().as_secs_f64()),
            ..Cost::default()
        };
        let key = RowKey {
            variant: self.variant(mode),
            prompt_sha256: self.prompts[case].sha256.clone(),
            kernels: runtime::kernels::name().to_owned(),
        };
        Ok(Answer {
            key,
            text: String::from_utf8_lossy(&text).into_owned(),
            dialect: Some(self.dialect.clone()),
            tokens,
            finish: finish.to_owned(),
            cost,
            divergence: None,
        })
    }

    /// Generates reasoning, if the settings ask for it, and the answer, which is the text of the completion. Reasoning
    /// that is cut off takes its place.
    fn generate(&mut self, case: usize, mode: Mode, tools: &ToolSet) -> Result<Completion> {
        let (model, calls) = (&self.loaded.model, &self.settings.calls);
        let seed = calls.seed.wrapping_add(case as u64);
        let mut sampler =
            Sampler::new(Sampling { temperature: calls.temperature, seed, ..Sampling::default() });
        let limits = Limits { tokens: self.settings.max_tokens, repetition: true };
        if calls.think != Think::On {
            return self.generate_answer(mode, tools, "", &mut sampler, limits);
        }
        let prompt = &self.prompts[case].text;
        let task = reasoning::Task { model, prompt, dialect: Some(&self.dialect), is_call: true };
        let reasoned = reasoning::reason(&task, self.prefix.session(), &mut sampler, limits, &mut || false)?;
        let Reasoning { completion: thought, answer_prefix, .. } = reasoned;
        if thought.finish != Finish::Stop {
            return Ok(thought);
        }
        let limits = Limits { tokens: limits.tokens.saturating_sub(thought.decoded), ..limits };
        let prefix = answer_prefix.unwrap_or_default();
        let answer = self.generate_answer(mode, tools, &prefix, &mut sampler, limits)?;
        let text = answer.text.strip_prefix(prefix.as_bytes()).unwrap_or(&answer.text).to_vec();
        Ok(Completion {
            text,
            decoded: thought.decoded + answer.decoded,
            time: thought.time + answer.time,
            ..answer
        })
    }

    /// Generates an answer after `prefix`, which separates it from the reasoning.
    fn generate_answer(
        &mut self,
        mode: Mode,
        tools: &ToolSet,
        prefix: &str,
        sampler: &mut Sampler,
        limits: Limits,
    ) -> Result<Completion> {
        let model = &self.loaded.model;
        let session = self.prefix.session();
        let key_order = match mode {
            Mode::Free => {
                let until = None;
                let vocabulary = model.vocabulary();
                return Ok(generate::free(session, vocabulary, sampler, limits, until, |_| false)?);
            }
            Mode::Any => KeyOrder::Any,
            Mode::Schema => KeyOrder::Schema,
        };
        let mut turn = Turn::new(tools, &self.dialect, key_order)?;
        turn.set_prefix(prefix);
        let mut constraint = call::constraint(model.compiler()?, &turn)?;
        let reader = |_: &[u8]| ControlFlow::Continue(());
        Ok(generate::constrained(session, &mut constraint, sampler, limits, DecodeMode::Forced, reader)?)
    }
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Budget => "budget",
        Finish::Context => "context",
        Finish::Repetition(_) => "repetition",
        Finish::Dismissed => "dismissed",
    }
}
