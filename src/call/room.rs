//! Checks before the context is created: the prompt fits the context, and the context fits the memory.

use super::{Error, Request, Result, Settings, prompt_template};
use crate::{
    chat::{Conversation, Role},
    gguf::Gguf,
    inspect::fit::{AS_STORED, IsRepacked, Outlook, Planned, Shortage},
    machine::Machine,
    runtime::{LoadOptions, Model, Options, Session, Vocabulary, kernels},
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
pub(super) fn check_prompt(
    model: &Model,
    tools: Option<&ToolSet>,
    conversation: &Conversation,
    n_prompt: usize,
    options: &Options,
) -> Result<()> {
    let n_ctx_train = model.n_ctx_train();
    let Some(limit) = limit(n_ctx_train, options).filter(|&limit| n_prompt > limit) else { return Ok(()) };
    let parts = parts(model.vocabulary(), tools, conversation, n_prompt, limit)?;
    Err(Error::PromptTooLong { n_prompt, n_ctx: limit + 1, n_ctx_train, parts })
}

fn parts(
    vocabulary: &Vocabulary,
    tools: Option<&ToolSet>,
    conversation: &Conversation,
    n_prompt: usize,
    limit: usize,
) -> Result<Parts> {
    let count = |text: &str| Ok::<_, Error>(vocabulary.tokenize(text, false)?.len());
    let (mut system, mut others) = (Vec::new(), Vec::new());
    for (index, message) in conversation.messages.iter().enumerate() {
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
    for tool in tools.into_iter().flat_map(ToolSet::iter) {
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

/// Predicts before loading how the model of `header` fits this machine's memory. Returns the options to load it
/// with, and a [`Shortage`] if it runs but has to read weights from disk again and again.
/// The options are `load`, but without repacking if `may_choose` and the repacked copies would not fit. Nothing
/// is checked if the weights are small against the memory, or if `settings` force the model.
///
/// The prompt's length is an estimate, since the vocabulary is not loaded. An error here means that not even an
/// empty prompt fits.
///
/// # Errors
/// [`Error::Memory`] if the buffers to allocate do not fit with an empty prompt.
pub fn foresee(
    header: &Gguf,
    load: LoadOptions,
    may_choose: bool,
    request: &Request<'_>,
    settings: &Settings,
) -> Result<(LoadOptions, Option<Shortage>)> {
    match Machine::this().filter(|_| !settings.force) {
        Some(machine) => {
            foresee_on((machine, kernels::is_repacked), header, load, may_choose, request, settings)
        }
        None => Ok((load, None)),
    }
}

fn foresee_on(
    (machine, rearranged): (Machine, IsRepacked),
    header: &Gguf,
    load: LoadOptions,
    may_choose: bool,
    request: &Request<'_>,
    settings: &Settings,
) -> Result<(LoadOptions, Option<Shortage>)> {
    let weights = header.tensors.iter().map(|tensor| tensor.byte_len()).fold(0, u64::saturating_add);
    if weights < machine.available_bytes / SMALL {
        return Ok((load, None));
    }
    let trained = header.architecture().and_then(|name| header.u64(&format!("{name}.context_length")));
    let context = |n_prompt: u64| {
        let least = n_prompt.saturating_add(settings.max_tokens as u64);
        let asked = settings.session.n_ctx.map(|n_ctx| usize::from(n_ctx) as u64);
        (n_prompt, asked.unwrap_or(least).min(trained.unwrap_or(u64::MAX)))
    };
    let is_repacked = |repack: bool| if repack { rearranged } else { AS_STORED };
    let expected = planned(header, is_repacked(load.repack), settings, context(expected_tokens(request)));
    let repack = load.repack && !(may_choose && expected.is_better_as_stored(machine));
    if repack != load.repack {
        tracing::info!("weights are not rearranged for this CPU: there is no memory for the copies");
    }
    let least = allocated(planned(header, is_repacked(repack), settings, context(0)).shortage(machine))?;
    let slow = Planned { is_repacked: is_repacked(repack), ..expected }.shortage(machine);
    let slow = slow.filter(|shortage| shortage.outlook == Outlook::FromDisk);
    Ok((LoadOptions { repack, ..load }, slow.or(least)))
}

/// Estimated tokens of the prompt, from the length of its texts.
fn expected_tokens(request: &Request<'_>) -> u64 {
    /// Typical of English and of JSON in current vocabularies.
    const BYTES_PER_TOKEN: usize = 4;
    let messages = request.conversation.messages.iter().filter_map(|message| message.content()).map(str::len);
    let tools = request.tools.into_iter().flat_map(ToolSet::iter).map(|tool| tool.source().to_string().len());
    (messages.chain(tools).sum::<usize>() / BYTES_PER_TOKEN) as u64
}

/// Divisor of the available memory: weights below that share need no check before loading. The context is
/// checked by itself later.
const SMALL: u64 = 4;

/// Refuses a context that this machine has no memory for, as far as the need can be computed.
pub(super) fn check_memory(model: &Model, n_prompt: usize, settings: &Settings) -> Result<()> {
    let n_ctx = Session::context_length(model, n_prompt, settings.max_tokens, &settings.session)?;
    let Some(machine) = Machine::this().filter(|_| !settings.force) else { return Ok(()) };
    let context = (n_prompt as u64, n_ctx as u64);
    let planned = planned(model.header(), model.load_options().is_repacked(), settings, context);
    // The repacked copies are allocated by now.
    let copied = planned.needed().map_or(0, |needed| needed.copied);
    let available_bytes = machine.available_bytes.saturating_add(copied);
    allocated(planned.shortage(Machine { available_bytes, ..machine })).map(drop)
}

fn planned<'g>(
    header: &'g Gguf,
    is_repacked: IsRepacked,
    settings: &Settings,
    (n_prompt, n_ctx): (u64, u64),
) -> Planned<'g> {
    let Options { kv_type, n_ctx: asked, flash_attention, .. } = settings.session;
    Planned {
        header,
        is_repacked,
        kv_type,
        flash_attention,
        n_prompt,
        n_ctx,
        n_ctx_is_asked: asked.is_some(),
    }
}

/// Passes on a shortage that only makes the run slow; returns one that cannot be allocated as an error.
fn allocated(shortage: Option<Shortage>) -> Result<Option<Shortage>> {
    match shortage {
        Some(shortage) if shortage.outlook == Outlook::CannotBe => {
            Err(Error::Memory { shortage: Box::new(shortage) })
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{Draft, Think},
        chat::Message,
        convert::FileType,
        gguf::FlashAttention,
        inspect::fit::tests::{IS_REPACKED, header},
        runtime::{Sampling, Trust},
    };

    #[test]
    fn weights_are_used_as_stored_where_their_copies_leave_no_room_for_the_prompt() {
        const MIB: u64 = 1 << 20;
        let header = header(FileType::Q4KM);
        let session = Options { flash_attention: FlashAttention::On, ..Options::default() };
        let settings = Settings {
            think: Think::Off,
            sampling: Sampling::default(),
            max_tokens: 256,
            dialect: None,
            session,
            exact: false,
            draft: Draft::Auto,
            force: false,
        };
        let load = LoadOptions { trust: Trust::Checked, repack: true };
        let foreseen = |words: usize, available: u64, may_choose: bool| {
            let conversation =
                Conversation { messages: vec![Message::text(Role::User, "four".repeat(words))], tools: None };
            let request = Request::new(&conversation, None);
            let machine = Machine { total_bytes: 4000 * MIB, available_bytes: available * MIB };
            let (load, shortage) =
                foresee_on((machine, IS_REPACKED), &header, load, may_choose, &request, &settings).unwrap();
            (load.repack, shortage.is_some())
        };
        // 646 MiB of copies, 405 of other weights, 28 of cache for 256 tokens, 112 for 1,024 more, and 330 of buffers.
        assert_eq!(foreseen(1, 1050, true), (true, true));
        assert_eq!(foreseen(1024, 1050, true), (false, true));
        assert_eq!(foreseen(1024, 1050, false), (true, true), "the prompt may be shorter than it looks");
        assert_eq!(foreseen(1024, 2000, true), (true, false));
        assert_eq!(foreseen(1024, 5000, true), (true, false));
    }
}
