//! A conversation, its tools and a model -> a tool call.

pub mod openai;
mod prompt_template;
mod reasoning;
mod request;
mod respond;
mod response_format;
mod room;
mod schema_validator;
mod text_tools;
mod tool_format;

pub use prompt_template::{PromptTemplate, tokenize};
pub use request::{Answer, Choice, End, Request};
pub use respond::Reader;
pub use response_format::words_in_tokens;
pub use room::{Part, Parts, foresee};
pub use tool_format::ToolFormat;

use crate::{
    cache::Cache,
    chat::{self, Conversation, RenderOptions, Template},
    inspect::fit::Shortage,
    kind::Kind,
    remedy::Remedy,
    runtime::{
        self, Compiler, Completion, Constraint, Drafter, Finish, Model, Sampling, Steps,
        constraint::Grammar,
        draft::{BatchCost, DraftPolicy},
        validator::Violation,
    },
    schema::KeyOrder,
    tools::{self, ToolSet, dialect::Dialect, grammar::IncrementalGrammar},
};
use respond::{Prompt, respond};
use schema_validator::SchemaValidator;
use serde_json::Value;
use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// An answer that was cut short.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The text generated so far.
    pub partial: String,
    /// Durations and token counts up to there.
    pub timings: Timings,
}

/// Result of the functions that make a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reasons why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tokens ran out before the answer was complete.
    #[error("the budget of {max_tokens} tokens ended before the {what} did")]
    Budget {
        /// The budget.
        max_tokens: usize,
        /// The expected answer for the message: `call`, or `answer` where text is allowed.
        what: &'static str,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// The context was full before the answer was complete.
    #[error("the context of {n_ctx} tokens was full before the {what} was complete; shorten the prompt")]
    ContextFull {
        /// The context's length.
        n_ctx: usize,
        /// The expected answer for the message: `call`, or `answer` where text is allowed.
        what: &'static str,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// Every value that was generated failed a check that the grammar cannot express.
    #[error(
        "no value for {what} passed its check in {attempts} attempts; the last one failed `{}` at {}: {}",
        violation.keyword, violation.pointer, violation.message
    )]
    Unsatisfied {
        /// The value that has the schema: the arguments of a tool, or the answer.
        what: String,
        /// Number of values generated.
        attempts: usize,
        /// The reason why the last of them was refused.
        violation: Box<Violation>,
        /// The partial answer.
        cut: Box<Cut>,
    },
    /// The answer is not a call that the tools accept, although the grammar should have ensured that.
    #[error("the model's answer is not valid, and nothing else was tried")]
    Invalid {
        /// The violation.
        #[source]
        source: tools::Error,
        /// The text that was generated.
        partial: String,
    },
    /// The model has no chat template.
    #[error(
        "the model has no chat template (key `tokenizer.chat_template`), so it is not known how to talk to it"
    )]
    NoTemplate,
    /// The model's template uses a tool-call format that is not supported.
    #[error(
        "the model's chat template teaches a call format that is not supported: {format}; supported are {}",
        supported.join(", ")
    )]
    NoDialect {
        /// Name of the format.
        format: &'static str,
        /// Names of the supported formats.
        supported: Vec<&'static str>,
    },
    /// The messages cannot fit the context, whatever the tokenizer makes of them.
    #[error(
        "the prompt has {bytes} bytes of messages, which are {at_least} tokens or more, and the context has {n_ctx} \
         (the model takes up to {n_ctx_train}); shorten the conversation"
    )]
    TextTooLong {
        /// Bytes of the messages.
        bytes: usize,
        /// Lower bound of their tokens.
        at_least: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
    },
    /// The prompt fills the context, with no token left for the answer.
    #[error(
        "the prompt has {n_prompt} tokens and the context {n_ctx} (the model takes up to {n_ctx_train}); \
         shorten the conversation or the tools\n{parts}"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_prompt: usize,
        /// Tokens of the context.
        n_ctx: usize,
        /// Context length that the model was trained with.
        n_ctx_train: usize,
        /// Tokens by part of the prompt, and the number of messages that would fit.
        parts: Parts,
    },
    /// Messages or a chat template that cannot be used.
    #[error(transparent)]
    Chat(#[from] chat::Error),
    /// Tools or a schema that cannot be used.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A model that cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The buffers to allocate do not fit into this machine's memory.
    #[error("{shortage}")]
    Memory {
        /// Bytes needed, bytes available, and changes that would make it fit.
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
            Error::Chat(e) => e.kind(),
            Error::Tools(e) => e.kind(),
            Error::Runtime(e) => e.kind(),
            Error::Memory { .. } => Kind::Unavailable,
            Error::NoTemplate
            | Error::NoDialect { .. }
            | Error::TextTooLong { .. }
            | Error::PromptTooLong { .. } => Kind::Data,
        }
    }

    /// Changes that would help.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Error::Budget { .. } => vec![Remedy::MoreTokens],
            Error::NoTemplate => vec![Remedy::ChatTemplate],
            Error::NoDialect { .. } => vec![Remedy::GenericDialect],
            Error::Memory { shortage } => shortage.remedies.iter().cloned().chain([Remedy::Force]).collect(),
            Error::Chat(e) => e.remedies(),
            Error::Runtime(e) => e.remedies(),
            _ => Vec::new(),
        }
    }

    /// The error for an answer that ended at the token budget or at the end of the context, before `what` was
    /// complete.
    fn cut_off(completion: &Completion, what: &'static str, settings: &Settings, timings: &Timings) -> Error {
        let partial = String::from_utf8_lossy(&completion.text).into_owned();
        let cut = Box::new(Cut { partial, timings: *timings });
        match completion.finish {
            Finish::Context => Error::ContextFull { n_ctx: timings.n_ctx, what, cut },
            _ => Error::Budget { max_tokens: settings.max_tokens, what, cut },
        }
    }

    /// Text that the model had generated before the failure.
    pub fn partial(&self) -> Option<&str> {
        match self {
            Error::Invalid { partial, .. } => Some(partial),
            _ => self.cut().map(|cut| cut.partial.as_str()),
        }
    }

    /// The partial answer with its timings, for the errors that have one.
    pub fn cut(&self) -> Option<&Cut> {
        match self {
            Error::Budget { cut, .. } | Error::ContextFull { cut, .. } | Error::Unsatisfied { cut, .. } => {
                Some(cut)
            }
            _ => None,
        }
    }
}

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

/// Settings of a call.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Reasoning before the call.
    pub think: Think,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Token budget, reasoning and answer together.
    pub max_tokens: usize,
    /// Tool-call format; `None` takes the chat template's own.
    pub dialect: Option<&'static dyn Dialect>,
    /// Context, threads, KV cache.
    pub session: runtime::Options,
    /// Skips the memory check.
    pub force: bool,
    /// Decodes each token of the answer by itself. A batch of several tokens is summed in another order, so its
    /// output may differ where two tokens are nearly tied.
    pub exact: bool,
    /// Draft length; ignored if `exact`.
    pub draft: Draft,
}

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
    /// Tokens generated, reasoning included.
    pub generated_tokens: usize,
    /// The decode steps that they took.
    pub steps: Steps,
    /// The context's length in tokens.
    pub n_ctx: usize,
    /// Compute threads.
    pub threads: usize,
}

/// Compiles every tool's schema, without a model.
///
/// # Errors
/// [`tools::Error::Parameters`] with the tool, the JSON pointer and the keyword.
pub fn check_tools(tools: &ToolSet, key_order: KeyOrder) -> Result<()> {
    tools.iter().try_for_each(|tool| Ok(tool.compiled(key_order).map(drop)?))
}

/// Renders the prompt: conversation and tools through the chat template. If `tool_format` says that the template
/// shows no tools, they are put into the messages as text.
///
/// # Errors
/// Errors of the template.
pub fn render_with(
    template: &str,
    request: &Request<'_>,
    tool_format: Option<&ToolFormat>,
    options: &RenderOptions<'_>,
) -> Result<String> {
    let template = Template::new(template)?;
    Ok(match (request.tools, tool_format) {
        (Some(tools), Some(ToolFormat { dialect, by_template: false })) => {
            text_tools::render(&template, *dialect, tools, &request.choice, request.conversation, options)?
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
    prompt_template::tokenize(model.vocabulary(), prompt)
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
    ask(model, &PromptTemplate::default(), &request, settings, &mut |_| ControlFlow::Continue(()))
}

/// Lets `model` answer `request`, rendered in `format`; `reader` receives the text of an answer while it is
/// generated.
///
/// # Errors
/// [`Error::TextTooLong`] and [`Error::PromptTooLong`] if the conversation does not fit the context,
/// [`Error::Memory`] if the context does not fit the memory, [`Error::Budget`] and [`Error::ContextFull`] if
/// the answer stays incomplete, and the errors of [`PromptTemplate::render`], the grammar and the runtime.
pub fn ask(
    model: &Model,
    format: &PromptTemplate,
    request: &Request<'_>,
    settings: &Settings,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    ask_with(model, format, request, settings, None, reader)
}

/// Like [`ask`], with a cache on disk. Prefix states, earlier answers and decode costs are read from `cache`,
/// and those of this call are added to it. Earlier answers only serve as drafts: output differs from [`ask`]'s
/// only where two tokens are nearly tied.
///
/// # Errors
/// As [`ask`]; failures of the cache are logged and are not errors.
pub fn ask_with(
    model: &Model,
    format: &PromptTemplate,
    request: &Request<'_>,
    settings: &Settings,
    cache: Option<&Cache>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    thread::scope(|scope| {
        // The token trie is built while the prompt is written and evaluated.
        scope.spawn(|| drop(model.compiler()));
        answer(model, format, request, settings, cache, reader)
    })
}

fn answer(
    model: &Model,
    format: &PromptTemplate,
    request: &Request<'_>,
    settings: &Settings,
    cache: Option<&Cache>,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    let started = Instant::now();
    let (tools, conversation) = (request.tools, request.conversation);
    let check_bytes = |bytes| room::check_bytes(model, bytes, &settings.session);
    check_bytes(room::least_bytes(conversation))?;
    let tool_format = format.tool_format(model.vocabulary(), request, settings.dialect)?;
    let text = format.render(model.vocabulary(), request, tool_format.as_ref(), settings.think)?;
    check_bytes(text.len())?;
    let tokens = tokenize_prompt(model, &text)?;
    room::check_prompt(model, tools, conversation, tokens.len(), &settings.session)?;
    room::check_memory(model, tokens.len(), settings)?;
    let dialect = tool_format.map(|tool_format| tool_format.dialect);
    let prompt = Prompt { text: &text, tokens: &tokens, dialect, time: started.elapsed() };
    respond(model, &prompt, request, settings, cache, reader)
}

impl Timings {
    fn add(&mut self, completion: &Completion) {
        self.decode += completion.time;
        self.first_choice = self.first_choice.or(completion.first_choice);
        self.generated_tokens += completion.decoded;
        self.steps += completion.steps;
    }
}

/// Compiles the grammar of a call or a turn, with the checks of its values, into a constraint over the
/// compiler's vocabulary.
///
/// # Errors
/// A schema that cannot be used; [`runtime::Error::Grammar`] with llguidance's reason.
pub fn constraint<'a>(compiler: &'a Compiler, grammar: &'a dyn IncrementalGrammar) -> Result<Constraint<'a>> {
    let constraint = Constraint::new(compiler, Box::new(Marked { grammar, compiler }))?;
    Ok(constraint.with_validator(Box::new(SchemaValidator::new(grammar))))
}

/// A grammar whose special tokens are looked up in one vocabulary.
struct Marked<'a> {
    grammar: &'a dyn IncrementalGrammar,
    compiler: &'a Compiler,
}

impl Grammar for Marked<'_> {
    fn stage(&self, written: &[u8]) -> usize {
        self.grammar.stage(written)
    }

    fn lark(&self, written: &[u8]) -> Result<String, runtime::Error> {
        let lark = self.grammar.lark(written, &|text| self.compiler.mark(text));
        // Flattened to text, since the runtime knows no tools. Callers that checked the tools first never see
        // it.
        lark.map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            runtime::Error::Grammar { reason: format!("{error}{}", source.unwrap_or_default()) }
        })
    }
}
