//! Conversation + tools + model -> tool call: where the three streams meet.

mod form;
pub mod openai;
mod request;
mod respond;
mod thought;
mod watch;

pub use request::{Answer, Choice, End, Request};
pub use respond::Reader;

use crate::{
    Result,
    chat::{Conversation, RenderOptions, Template, select_template},
    error::Kind,
    runtime::{
        self, Compiler, Completion, Constraint, Finish, Model, Sampling, Session, constraint::Grammar,
    },
    tools::{
        self, ToolSet, arguments,
        dialect::{self, DIALECTS, Dialect},
        grammar::Staged,
        json_schema::KeyOrder,
    },
};
use respond::{Prompt, respond};
use serde_json::Value;
use std::{borrow::Cow, ops::ControlFlow, time::Duration};
use unicode_normalization::UnicodeNormalization;
use watch::Values;

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tokens ran out before the answer was complete.
    #[error("the budget of {max_tokens} tokens ended before the {what} did; allow more with --max-tokens")]
    Budget {
        /// The budget.
        max_tokens: usize,
        /// What was asked for: a call, or an answer that may be one.
        what: &'static str,
        /// What was written.
        partial: String,
    },
    /// The context was full before the answer was complete.
    #[error("the context of {n_ctx} tokens was full before the {what} was complete; shorten the prompt")]
    ContextFull {
        /// The context's length.
        n_ctx: usize,
        /// What was asked for: a call, or an answer that may be one.
        what: &'static str,
        /// What was written.
        partial: String,
    },
    /// What was written is not a call that the tools accept, though the grammar should see to that.
    #[error("the model's answer is not valid, and nothing else was tried")]
    Invalid {
        /// What is wrong with it.
        #[source]
        source: tools::Error,
        /// What was written.
        partial: String,
    },
    /// The model has no chat template.
    #[error("the model has no chat template, so it is not known how to talk to it")]
    NoTemplate,
    /// The model's template teaches another way to write calls.
    #[error(
        "the model's chat template teaches none of the call formats that are supported ({})",
        supported.join(", ")
    )]
    NoDialect {
        /// The formats' names.
        supported: Vec<&'static str>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Budget { .. } | Error::ContextFull { .. } | Error::Invalid { .. } => Kind::Negative,
            Error::NoTemplate | Error::NoDialect { .. } => Kind::Data,
        }
    }

    /// That the tokens, or the room for them, ran out before `what` was complete.
    fn cut_off(
        completion: &Completion,
        what: &'static str,
        settings: &Settings,
        session: &Session<'_>,
    ) -> Error {
        let partial = String::from_utf8_lossy(&completion.text).into_owned();
        match completion.finish {
            Finish::Context => Error::ContextFull { n_ctx: session.n_ctx(), what, partial },
            _ => Error::Budget { max_tokens: settings.max_tokens, what, partial },
        }
    }

    /// What the model had written when it failed.
    pub fn partial(&self) -> Option<&str> {
        match self {
            Error::Budget { partial, .. }
            | Error::ContextFull { partial, .. }
            | Error::Invalid { partial, .. } => Some(partial),
            _ => None,
        }
    }
}

/// Whether the model thinks before it calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Think {
    /// It is told not to.
    #[default]
    Off,
    /// It writes freely until its thoughts end, and then the call.
    On,
    /// It is told nothing.
    Auto,
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether the model thinks first.
    pub think: Think,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens of thought and call together.
    pub max_tokens: usize,
    /// Context, threads, KV cache.
    pub session: runtime::Options,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Loading the model.
    pub load: Duration,
    /// Building the token trie and compiling the grammar.
    pub grammar: Duration,
    /// Evaluating the prompt.
    pub prefill: Duration,
    /// Generating.
    pub decode: Duration,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated, thoughts included.
    pub generated_tokens: usize,
    /// The context's length in tokens.
    pub n_ctx: usize,
    /// Threads that computed.
    pub threads: usize,
}

/// Checks, without a model, that every tool's schema can be used.
///
/// # Errors
/// [`tools::Error::Parameters`] with the tool, the place and the keyword, and what llguidance refuses.
pub fn check_tools(tools: &ToolSet, key_order: KeyOrder) -> Result<()> {
    let compiler = Compiler::for_bytes()?;
    tools.iter().try_for_each(|tool| {
        let compiled = arguments::compile(tool, key_order)?;
        compiler.compile(&compiled.lark()).map(drop).map_err(|error| match error {
            runtime::Error::Grammar { reason } => runtime::Error::Grammar {
                reason: format!("the arguments of tool `{}`: {}", tool.name(), first_line(&reason)),
            },
            other => other,
        })?;
        Ok(())
    })
}

/// Checks, without a model, that the schema of a plain JSON answer can be used.
///
/// # Errors
/// [`tools::Error::AnswerSchema`] with the place and the keyword, and what llguidance refuses.
pub fn check_schema(schema: &Value, key_order: KeyOrder) -> Result<()> {
    let compiled = arguments::compile_answer(schema, key_order)?;
    Compiler::for_bytes()?.compile(&compiled.lark())?;
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason is given")
}

/// The model's chat template: of several the one for tools, if there are any.
///
/// # Errors
/// [`Error::NoTemplate`], or several among which none can be chosen.
pub fn template_of(model: &Model, with_tools: bool) -> Result<&str> {
    let templates: Vec<(&str, &str)> =
        model.metadata().chat_templates.iter().map(|(name, text)| (&**name, &**text)).collect();
    if templates.is_empty() {
        return Err(Error::NoTemplate.into());
    }
    Ok(select_template(&templates, with_tools)?)
}

/// The dialect that a chat template teaches.
///
/// # Errors
/// [`Error::NoDialect`].
pub fn dialect_of(template: &str) -> Result<&'static dyn Dialect> {
    let supported = || DIALECTS.iter().map(|dialect| dialect.name()).collect();
    Ok(dialect::taught_by(template).ok_or_else(|| Error::NoDialect { supported: supported() })?)
}

/// The prompt: `conversation` and `tools` as the model's chat template writes them.
///
/// # Errors
/// [`Error::NoTemplate`], and what the template refuses.
pub fn render(
    model: &Model,
    tools: Option<&ToolSet>,
    conversation: &Conversation,
    think: Think,
) -> Result<String> {
    let vocabulary = model.vocabulary();
    let text = |token: Option<i32>| {
        token.map(|token| String::from_utf8_lossy(&vocabulary.piece(token)).into_owned())
    };
    let bos = text(vocabulary.bos().filter(|_| vocabulary.adds_bos()));
    let eos = text(vocabulary.eos());
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: match think {
            Think::Off => Some(false),
            Think::On => Some(true),
            Think::Auto => None,
        },
        bos_token: bos.as_deref(),
        eos_token: eos.as_deref(),
        ..RenderOptions::default()
    };
    let template = Template::new(template_of(model, tools.is_some())?)?;
    let tools = tools.map(|tools| Value::Array(tools.sources()));
    Ok(template.render(conversation, tools.as_ref(), &options)?)
}

/// Lets `model` answer `conversation` with a call of one of `tools`.
///
/// # Errors
/// What [`ask`] reports.
pub fn call(
    model: &Model,
    tools: &ToolSet,
    conversation: &Conversation,
    settings: &Settings,
) -> Result<Answer> {
    ask(model, &Request::new(conversation, Some(tools)), settings, &mut |_| ControlFlow::Continue(()))
}

/// Lets `model` answer `request`; `reader` sees an answer in text while it is written.
///
/// # Errors
/// [`Error::Budget`] and [`Error::ContextFull`] where there is no answer, and what rendering,
/// grammar and runtime report.
pub fn ask(
    model: &Model,
    request: &Request<'_>,
    settings: &Settings,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    let template = template_of(model, request.tools.is_some())?;
    let dialect = match &request.choice {
        // A model that was taught no calls can still be asked for none.
        Choice::None => dialect::taught_by(template),
        _ => request.tools.map(|_| dialect_of(template)).transpose()?,
    };
    let text = render(model, request.tools, request.conversation, settings.think)?;
    let tokens = tokenize_prompt(model, &text)?;
    respond(model, &Prompt { text: &text, tokens: &tokens, dialect }, request, settings, reader)
}

/// The token ids of a rendered prompt: special tokens recognized, text normalized as the model's
/// tokenizer was trained to see it, a BOS token in front only where the model wants one and the
/// prompt does not begin with it.
///
/// # Errors
/// [`runtime::Error::TextTooLong`].
pub fn tokenize_prompt(model: &Model, prompt: &str) -> Result<Vec<i32>> {
    let normalized = match model.metadata().pre_tokenizer.as_deref() {
        Some(pre) if NFC_PRE_TOKENIZERS.contains(&pre) => Cow::Owned(prompt.nfc().collect::<String>()),
        _ => Cow::Borrowed(prompt),
    };
    let mut tokens = model.vocabulary().tokenize(&normalized, true)?;
    if model.vocabulary().adds_bos()
        && let Some(bos) = model.vocabulary().bos()
        && tokens.first() != Some(&bos)
    {
        tokens.insert(0, bos);
    }
    Ok(tokens)
}

/// Pre-tokenizers of the families whose tokenizer.json normalizes to NFC, which llama.cpp does not do.
const NFC_PRE_TOKENIZERS: &[&str] = &["qwen2", "qwen35", "deepseek-r1-qwen"];

impl Timings {
    fn add(&mut self, completion: &Completion) {
        self.decode += completion.time;
        self.generated_tokens += completion.decoded;
    }
}

/// The grammar of a call or a turn and the checks of its values, ready to be held against text in the
/// compiler's vocabulary.
///
/// # Errors
/// A schema that cannot be used, [`runtime::Error::Grammar`] with llguidance's reason.
pub fn constraint<'a>(compiler: &'a Compiler, grammar: &'a dyn Staged) -> Result<Constraint<'a>> {
    let constraint = Constraint::new(compiler, Box::new(Marked { grammar, compiler }))?;
    Ok(constraint.watched(Box::new(Values::new(grammar))))
}

/// A grammar with the marks of one vocabulary.
struct Marked<'a> {
    grammar: &'a dyn Staged,
    compiler: &'a Compiler,
}

impl Grammar for Marked<'_> {
    fn stage(&self, written: &[u8]) -> usize {
        self.grammar.stage(written)
    }

    fn lark(&self, written: &[u8]) -> Result<String, runtime::Error> {
        let lark = self.grammar.lark(written, &|text| self.compiler.mark(text));
        // Its text, since the runtime knows of no tools; whoever checked the tools first never sees it.
        lark.map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            runtime::Error::Grammar { reason: format!("{error}{}", source.unwrap_or_default()) }
        })
    }
}
