//! Conversation + tools + model -> tool call: where the three streams meet.

mod form;
mod format;
pub mod openai;
mod request;
mod respond;
mod room;
mod taught;
mod thought;
mod told;
mod watch;

pub use form::words_in_tokens;
pub use format::{Format, tokenize};
pub use request::{Answer, Choice, End, Request};
pub use respond::Reader;
pub use room::{Part, Parts, foresee};
pub use taught::{Manner, manner_of};

use crate::{
    Result,
    chat::{Conversation, RenderOptions, Template},
    error::Kind,
    inspect::fit::Shortage,
    runtime::{
        self, Compiler, Completion, Constraint, Drafter, Finish, Model, Sampling, Steps,
        constraint::Grammar,
        draft::{Costs, Reach},
        watch::Refusal,
    },
    saved::Store,
    tools::{self, ToolSet, dialect::Dialect, grammar::Staged, json_schema::KeyOrder},
};
use respond::{Prompt, respond};
use serde_json::Value;
use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use watch::Values;

/// An answer that was not finished.
#[derive(Clone, Debug)]
pub struct Cut {
    /// What was written.
    pub partial: String,
    /// How long it took.
    pub timings: Timings,
}

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
        /// What there is of it.
        cut: Box<Cut>,
    },
    /// The context was full before the answer was complete.
    #[error("the context of {n_ctx} tokens was full before the {what} was complete; shorten the prompt")]
    ContextFull {
        /// The context's length.
        n_ctx: usize,
        /// What was asked for: a call, or an answer that may be one.
        what: &'static str,
        /// What there is of it.
        cut: Box<Cut>,
    },
    /// Values were tried, and each failed a check that the grammar cannot make.
    #[error(
        "no value for {what} passed its check in {attempts} attempts; the last one failed `{}` at {}: {}",
        refusal.keyword, refusal.pointer, refusal.message
    )]
    Unsatisfied {
        /// What has the schema: the arguments of a tool, or the answer.
        what: String,
        /// How many values were tried.
        attempts: usize,
        /// Why the last of them was refused.
        refusal: Box<Refusal>,
        /// What there is of it.
        cut: Box<Cut>,
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
    #[error(
        "the model has no chat template (key `tokenizer.chat_template`), so it is not known how to talk to it; \
         give one with --chat-template FILE"
    )]
    NoTemplate,
    /// The model's template teaches another way to write calls.
    #[error(
        "the model's chat template teaches a call format that is not supported: {format}; supported are {}; \
         with --dialect generic the model is told of the tools and the format in plain text",
        supported.join(", ")
    )]
    NoDialect {
        /// The format.
        format: &'static str,
        /// The formats' names.
        supported: Vec<&'static str>,
    },
    /// The messages cannot fit the context however they are cut into tokens.
    #[error(
        "the prompt has {bytes} bytes of messages, which are {at_least} tokens or more, and the context has {n_ctx} \
         (the model takes up to {n_ctx_train}); shorten the conversation"
    )]
    TextTooLong {
        /// Bytes of the messages.
        bytes: usize,
        /// The fewest tokens that they can be.
        at_least: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// The most that the model was trained for.
        n_ctx_train: usize,
    },
    /// The prompt leaves no room in the context.
    #[error(
        "the prompt has {n_prompt} tokens and the context {n_ctx} (the model takes up to {n_ctx_train}); \
         shorten the conversation or the tools\n{parts}"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_prompt: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// The most that the model was trained for.
        n_ctx_train: usize,
        /// Where they are, and what would fit.
        parts: Parts,
    },
    /// What has to be allocated does not fit the memory of this machine.
    #[error("{shortage}\n--force tries all the same")]
    Memory {
        /// What is needed, what there is, and what would fit.
        shortage: Box<Shortage>,
    },
}

impl Error {
    /// The class that decides the exit code.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Budget { .. }
            | Error::ContextFull { .. }
            | Error::Unsatisfied { .. }
            | Error::Invalid { .. } => Kind::Negative,
            Error::Memory { .. } => Kind::Unavailable,
            Error::NoTemplate
            | Error::NoDialect { .. }
            | Error::TextTooLong { .. }
            | Error::PromptTooLong { .. } => Kind::Data,
        }
    }

    /// That the tokens, or the room for them, ran out before `what` was complete.
    fn cut_off(completion: &Completion, what: &'static str, settings: &Settings, timings: &Timings) -> Error {
        let partial = String::from_utf8_lossy(&completion.text).into_owned();
        let cut = Box::new(Cut { partial, timings: *timings });
        match completion.finish {
            Finish::Context => Error::ContextFull { n_ctx: timings.n_ctx, what, cut },
            _ => Error::Budget { max_tokens: settings.max_tokens, what, cut },
        }
    }

    /// What the model had written when it failed.
    pub fn partial(&self) -> Option<&str> {
        match self {
            Error::Invalid { partial, .. } => Some(partial),
            _ => self.cut().map(|cut| cut.partial.as_str()),
        }
    }

    /// What there is of an answer that was not finished.
    pub fn cut(&self) -> Option<&Cut> {
        match self {
            Error::Budget { cut, .. } | Error::ContextFull { cut, .. } | Error::Unsatisfied { cut, .. } => {
                Some(cut)
            }
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

/// How far an answer is guessed ahead, from what stands in the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draft {
    /// As far as it saves more than it costs on this machine.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// By up to so many tokens at a time.
    Tokens(NonZeroUsize),
}

impl Draft {
    /// Whoever guesses what follows `text`, also from `earlier` answers with the same tools, the oldest first; `costs` are
    /// those that were learnt on this machine.
    pub fn drafter(
        self,
        text: &[i32],
        earlier: impl Into<Arc<Vec<Vec<i32>>>>,
        costs: Option<Costs>,
    ) -> Option<Drafter> {
        let reach = match self {
            Draft::Off => return None,
            Draft::Auto => Reach::Worth(costs.unwrap_or_else(Costs::of_this_cpu)),
            Draft::Tokens(most) => Reach::Tokens { matched: 2, most: most.get() },
        };
        Some(Drafter::new(text, earlier, reach))
    }
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
    /// How the call is written; `None` is what the chat template teaches.
    pub dialect: Option<&'static dyn Dialect>,
    /// Context, threads, KV cache.
    pub session: runtime::Options,
    /// Runs the model even where the memory seems too small for it.
    pub force: bool,
    /// Decodes each token of the answer by itself. What is decoded together adds up otherwise, so that of two
    /// tokens that are nearly as likely the other one may come out.
    pub exact: bool,
    /// How far the answer is guessed ahead; not at all where it is `exact`.
    pub draft: Draft,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Reading and checking the model's header.
    pub check: Duration,
    /// What llama.cpp takes to load the model: mapping, rearranging weights, its vocabulary.
    pub load: Duration,
    /// Writing the prompt and cutting it into tokens.
    pub prompt: Duration,
    /// What llama.cpp takes to make a context.
    pub context: Duration,
    /// Compiling the grammar, and waiting for the token trie, which is built beside all from the prompt on.
    pub grammar: Duration,
    /// Putting back the states of the prompt's beginning that earlier calls saved.
    pub restore: Duration,
    /// Evaluating the rest of the prompt.
    pub prefill: Duration,
    /// Generating.
    pub decode: Duration,
    /// When the model had chosen the first token.
    pub first_choice: Option<Instant>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them whose state was put back.
    pub restored_tokens: usize,
    /// Tokens generated, thoughts included.
    pub generated_tokens: usize,
    /// The decodes that they took.
    pub steps: Steps,
    /// The context's length in tokens.
    pub n_ctx: usize,
    /// Threads that computed.
    pub threads: usize,
}

/// Compiles every tool's schema, without a model.
///
/// # Errors
/// [`tools::Error::Parameters`] with the tool, the place and the keyword.
pub fn check_tools(tools: &ToolSet, key_order: KeyOrder) -> Result<()> {
    tools.iter().try_for_each(|tool| Ok(tool.compiled(key_order).map(drop)?))
}

/// The prompt: what is asked and the tools as the chat template writes them, or, where `manner` says
/// that the template shows no tools, as text.
///
/// # Errors
/// What the template refuses.
pub fn render_with(
    template: &str,
    request: &Request<'_>,
    manner: Option<&Manner>,
    options: &RenderOptions<'_>,
) -> Result<String> {
    let template = Template::new(template)?;
    Ok(match (request.tools, manner) {
        (Some(tools), Some(Manner { dialect, by_template: false })) => {
            told::render(&template, *dialect, tools, &request.choice, request.conversation, options)?
        }
        (tools, _) => {
            let tools = tools.map(|tools| Value::Array(tools.sources()));
            template.render(request.conversation, tools.as_ref(), options)?
        }
    })
}

/// The token ids of a rendered prompt, as [`ask`] evaluates it.
///
/// # Errors
/// [`runtime::Error::TextTooLong`].
pub fn tokenize_prompt(model: &Model, prompt: &str) -> Result<Vec<i32>> {
    format::tokenize(model.vocabulary(), prompt)
}

/// Lets `model` answer `conversation` with a call of one of `tools`.
///
/// # Errors
/// As [`ask`].
pub fn call(
    model: &Model,
    tools: &ToolSet,
    conversation: &Conversation,
    settings: &Settings,
) -> Result<Answer> {
    let request = Request::new(conversation, Some(tools));
    ask(model, &Format::default(), &request, settings, &mut |_| ControlFlow::Continue(()))
}

/// Lets `model` answer `request`, written in `format`; `reader` sees an answer in text while it is
/// written.
///
/// # Errors
/// [`Error::TextTooLong`] and [`Error::PromptTooLong`] where the conversation does not fit,
/// [`Error::Memory`] where the context does not, [`Error::Budget`] and [`Error::ContextFull`] where
/// there is no answer, and what [`Format::render`], grammar and runtime report.
pub fn ask(
    model: &Model,
    format: &Format,
    request: &Request<'_>,
    settings: &Settings,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    ask_with(model, format, request, settings, None, reader)
}

/// Lets `model` answer like [`ask`], with what earlier calls kept in `store`, and keeps there what later ones can use.
/// Earlier answers are guessed from, which may turn the choice between two tokens that are nearly as likely; else the
/// answer is the same, whatever is there.
///
/// # Errors
/// As [`ask`]; nothing about the store is one.
pub fn ask_with(
    model: &Model,
    format: &Format,
    request: &Request<'_>,
    settings: &Settings,
    store: Option<&Store>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    thread::scope(|scope| {
        // The token trie is built while the prompt is written and evaluated.
        scope.spawn(|| drop(model.compiler()));
        answer(model, format, request, settings, store, reader)
    })
}

fn answer(
    model: &Model,
    format: &Format,
    request: &Request<'_>,
    settings: &Settings,
    store: Option<&Store>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    let started = Instant::now();
    let (tools, conversation) = (request.tools, request.conversation);
    let check_bytes = |bytes| room::check_bytes(model, bytes, &settings.session);
    check_bytes(room::least_bytes(conversation))?;
    let manner = format.manner(model.vocabulary(), request, settings.dialect)?;
    let text = format.render(model.vocabulary(), request, manner.as_ref(), settings.think)?;
    check_bytes(text.len())?;
    let tokens = tokenize_prompt(model, &text)?;
    room::check_prompt(model, tools, conversation, tokens.len(), &settings.session)?;
    room::check_memory(model, tokens.len(), settings)?;
    let dialect = manner.map(|manner| manner.dialect);
    let prompt = Prompt { text: &text, tokens: &tokens, dialect, time: started.elapsed() };
    respond(model, &prompt, request, settings, store, reader)
}

impl Timings {
    fn add(&mut self, completion: &Completion) {
        self.decode += completion.time;
        self.first_choice = self.first_choice.or(completion.first_choice);
        self.generated_tokens += completion.decoded;
        self.steps += completion.steps;
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
