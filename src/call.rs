//! A conversation, its tools and a model -> a tool call.
//!
//! A call is one pipeline. Each step is a file with one function, and hands a plain value to the next:
//!
//! ```text
//! prepare      Call                        -> Prepared         how the model writes calls
//! prompt       Call, Prepared              -> Prompt           text and tokens, which fit context and memory
//! constrain    Call, Prompt                -> ResponseFormat   calls, text or JSON, with their grammar
//! generate     Call, Prompt, format        -> Generated        prefill, reasoning, the answer's tokens
//! read         Call, Prompt, Generated     -> Answer           calls, parsed and checked
//! ```

mod body;
mod completion;
mod constrain;
mod constraint;
mod content;
mod draft_history;
mod error;
mod generate;
mod load;
mod model_texts;
mod observer;
pub mod openai;
mod pool;
mod prepare;
mod prompt;
mod prompt_length;
mod prompt_template;
mod read;
pub mod reasoning;
mod request;
mod response_format;
mod schema_validator;
mod settings;
mod slot;
mod stop;
mod study;
mod text_tools;
mod timings;
mod tokens;
mod tool_format;

pub use body::{RequestFields, top_logprobs};
pub use completion::{Continuation, continuation};
pub use constraint::constraint;
pub use content::RenderedPrompt;
pub use error::{Cut, Error, Result};
pub use generate::Reader;
pub use load::load_options;
pub use model_texts::ModelTexts;
pub use observer::{Observer, PartialCall};
pub use prepare::check_tools;
pub use prompt::tokenize_prompt;
pub use prompt_length::{Part, Parts};
pub use prompt_template::{PromptTemplate, render_with, tokenize};
pub use request::{Answer, Choice, End, Request};
pub use response_format::words_in_tokens;
pub use settings::{Draft, Settings, Think};
pub use slot::Slot;
pub use stop::{MOST_STOPS, StopStrings};
pub use timings::Timings;
pub use tokens::{AnswerToken, chat_logprobs, sources, text_logprobs};
pub use tool_format::ToolFormat;

use observer::TextReader;

use crate::{cache::Cache, chat::Conversation, runtime::Model, tools::ToolSet};
use std::{mem, ops::ControlFlow, thread};

/// Inputs of a call, which each of its steps reads.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    /// The model that answers.
    pub model: &'c Model,
    /// Template and template arguments of the prompt.
    pub template: &'c PromptTemplate,
    /// The conversation, its tools, and the form of the answer.
    pub request: &'c Request<'c>,
    /// Sampling, token budget, context.
    pub settings: &'c Settings,
    /// Cache on disk: prefix states, earlier answers and decode costs are read from it, and those of this call are
    /// added. Earlier answers only serve as drafts.
    pub cache: Option<&'c Cache>,
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

/// Lets `model` answer `request`, rendered with `template`; `reader` receives the text of an answer while it is
/// generated.
///
/// # Errors
/// [`Error::TextTooLong`] and [`Error::PromptTooLong`] if the conversation does not fit the context,
/// [`Error::Memory`] if the context does not fit the memory, [`Error::Budget`], [`Error::ContextFull`] and
/// [`Error::Repetition`] if the answer stays incomplete, and the errors of [`PromptTemplate::render`], the grammar and the runtime.
pub fn ask(
    model: &Model,
    template: &PromptTemplate,
    request: &Request<'_>,
    settings: &Settings,
    reader: &mut Reader<'_>,
) -> Result<Answer> {
    ask_with(&Call { model, template, request, settings, cache: None }, reader)
}

/// Like [`ask`], with a cache on disk if the call has one.
///
/// # Errors
/// As [`ask`]; failures of the cache are logged and are not errors.
pub fn ask_with(call: &Call<'_>, reader: &mut Reader<'_>) -> Result<Answer> {
    ask_in(&mut Slot::for_one_call(call.model), call, &mut TextReader(reader))
}

/// Like [`ask_with`], with the calls of earlier answers as the model wrote them: `texts` has those, and gets the answer's.
///
/// # Errors
/// As [`ask_with`].
pub fn ask_keeping(call: &Call<'_>, texts: &mut ModelTexts, reader: &mut Reader<'_>) -> Result<Answer> {
    let mut slot = Slot::for_one_call(call.model);
    *slot.texts() = mem::take(texts);
    let answer = ask_in(&mut slot, call, &mut TextReader(reader));
    *texts = mem::take(&mut *slot.texts());
    answer
}

/// Like [`ask_with`], in a context that is kept for later calls, with an observer. The answer is the same as in a new
/// context, but that the calls of this slot's answers stand in the prompt as the model wrote them. The model of the call must
/// be that of `slot`.
///
/// # Errors
/// As [`ask_with`]; [`runtime::Error::Cancelled`](crate::runtime::Error::Cancelled) if the observer ends the call.
pub fn ask_in(slot: &mut Slot<'_>, call: &Call<'_>, observer: &mut dyn Observer) -> Result<Answer> {
    let answer = answered(slot, call, observer);
    slot.end(&answer);
    answer
}

fn answered(slot: &mut Slot<'_>, call: &Call<'_>, observer: &mut dyn Observer) -> Result<Answer> {
    thread::scope(|scope| {
        // The token trie is built while the prompt is written and evaluated.
        // Without a thread it is built when it is asked for.
        let _ = thread::Builder::new().spawn_scoped(scope, || drop(call.model.compiler()));
        let prepared = prepare::prepare(call)?;
        let prompt = prompt::prompt(call, &prepared, slot)?;
        let format = constrain::constrain(call, &prompt)?;
        let generated = generate::generate(call, &prompt, format, slot, observer)?;
        read::read(call, &prompt, generated, |calls, text| {
            let messages = &call.request.conversation.messages;
            let earlier = messages.iter().map(|message| message.tool_calls().len()).sum();
            if let Some(format) = &prepared.tool_format {
                slot.texts().keep(format, calls, earlier, text);
            }
        })
    })
}
