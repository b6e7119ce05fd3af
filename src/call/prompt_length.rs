//! Check of a prompt's length against the context, with the token counts of its parts.

use super::{Error, Request, Result, prompt_template};
use crate::{
    chat::{Conversation, Role},
    runtime::{Model, Options, Vocabulary},
    tools::ToolSet,
};
use serde_json::Value;
use std::fmt;

/// Largest factor by which NFC shortens a text, in bytes.
const NFC_SHRINKS: usize = 3;
/// Most parts that the error lists; the others are summed up.
const LISTED_PARTS: usize = 24;

/// Token count of one part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name: `messages[3] (user)`, ``tool `f` ``.
    pub name: String,
    /// Its own tokens, without the template's text around it.
    pub tokens: usize,
}

/// Token counts by part of a prompt that is too long, for an error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The system messages, the tools and the other messages, in this order.
    pub parts: Vec<Part>,
    /// Tokens of the template's own text.
    pub template_tokens: usize,
    /// Number of last messages that would fit if the tools and the system message stay.
    pub fitting_messages: usize,
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut largest: Vec<usize> = self.parts.iter().map(|part| part.tokens).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let least = largest.get(LISTED_PARTS.saturating_sub(1)).copied().unwrap_or(0);
        let mut listed = 0;
        let (mut others, mut other_tokens) = (0, 0);
        for part in &self.parts {
            if part.tokens >= least && listed < LISTED_PARTS {
                listed += 1;
                writeln!(f, "  {:<44}{:>10}", shortened(&part.name), part.tokens)?;
            } else {
                others += 1;
                other_tokens += part.tokens;
            }
        }
        if others > 0 {
            writeln!(f, "  {:<44}{other_tokens:>10}", format!("{others} others"))?;
        }
        writeln!(f, "  {:<44}{:>10}", "the chat template's own words", self.template_tokens)?;
        match self.fitting_messages {
            0 => write!(f, "not even the last message fits beside the rest; shorten it, or the tools"),
            1 => write!(f, "the last message alone would fit beside the system message and the tools"),
            n => write!(f, "the last {n} messages would fit beside the system message and the tools"),
        }
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(42) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// Most tokens that a prompt may have, with one left for the answer. `None` if the requested context is longer
/// than the model allows, which the session refuses by itself.
fn limit(n_ctx_train: usize, options: &Options) -> Option<usize> {
    let asked = options.n_ctx.map_or(n_ctx_train, usize::from);
    (asked <= n_ctx_train).then(|| asked.saturating_sub(1))
}

/// Refuses text that cannot fit however it is tokenized, by its length in bytes alone.
pub(super) fn check_bytes(model: &Model, bytes: usize, options: &Options) -> Result<()> {
    let (vocabulary, n_ctx_train) = (model.vocabulary(), model.n_ctx_train());
    let Some(limit) = limit(n_ctx_train, options) else { return Ok(()) };
    let shrinks = if prompt_template::normalizes(vocabulary) { NFC_SHRINKS } else { 1 };
    let longest = vocabulary.metadata().longest_token_bytes;
    let at_least = bytes / shrinks / longest;
    if at_least <= limit {
        return Ok(());
    }
    Err(Error::TextTooLong { bytes, at_least, n_ctx: limit + 1, n_ctx_train })
}

/// Bytes of text that the prompt contains at least. Assistant messages are left out, since a template may drop
/// parts of them.
pub(super) fn least_bytes(conversation: &Conversation) -> usize {
    let read = conversation.messages.iter().filter(|message| message.role() != Role::Assistant);
    read.filter_map(|message| message.content()).map(str::len).sum()
}

/// Refuses a prompt of too many tokens, with the token count of each part.
pub(super) fn check_tokens(
    model: &Model,
    request: &Request<'_>,
    n_prompt: usize,
    options: &Options,
) -> Result<()> {
    let n_ctx_train = model.n_ctx_train();
    let Some(limit) = limit(n_ctx_train, options).filter(|&limit| n_prompt > limit) else { return Ok(()) };
    let parts = parts(model.vocabulary(), request, n_prompt, limit)?;
    Err(Error::PromptTooLong { n_prompt, n_ctx: limit + 1, n_ctx_train, parts })
}

fn parts(vocabulary: &Vocabulary, request: &Request<'_>, n_prompt: usize, limit: usize) -> Result<Parts> {
    let count = |text: &str| Ok::<_, Error>(vocabulary.tokenize(text, false)?.len());
    let (mut system, mut others) = (Vec::new(), Vec::new());
    for (index, message) in request.conversation.messages.iter().enumerate() {
        let role = message.role();
        let name = format!("messages[{index}] ({})", role.as_str());
        let mut tokens = 0;
        for (field, value) in message.fields() {
            tokens += match value {
                Value::String(text) if field != "role" => count(text)?,
                Value::Array(_) | Value::Object(_) => count(&value.to_string())?,
                _ => 0,
            };
        }
        let list = if matches!(role, Role::System | Role::Developer) { &mut system } else { &mut others };
        list.push(Part { name, tokens });
    }
    for tool in request.tools.into_iter().flat_map(ToolSet::iter) {
        let tokens = count(&tool.source().to_string())?;
        system.push(Part { name: format!("tool `{}`", tool.name().escape_debug()), tokens });
    }
    let sum = |parts: &[Part]| parts.iter().map(|part| part.tokens).sum::<usize>();
    let template_tokens = n_prompt.saturating_sub(sum(&system) + sum(&others));
    // The template's tokens are spread evenly over the messages.
    let around = template_tokens / (others.len() + 1);
    let mut room = limit.saturating_sub(sum(&system) + around);
    let fits = |part: &&Part| match room.checked_sub(part.tokens + around) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    };
    let fitting_messages = others.iter().rev().take_while(fits).count();
    system.extend(others);
    Ok(Parts { parts: system, template_tokens, fitting_messages })
}
