//! Memory of a call: before the model is loaded, to choose how, and before its context is created.

use super::{Request, Result, Settings};
use crate::{
    gguf::{Gguf, TensorInfo},
    machine::Machine,
    memory::{self, IsRepacked, MemoryError, PlannedRun, Repack},
    runtime::{LoadOptions, Model, Options, Session, Trust, kernels},
    tools::ToolSet,
};

/// Divisor of the available memory: weights below that share need no check before loading. The context is
/// checked by itself later.
const SMALL: u64 = 4;

/// The options to load the model of `header` with, by its need and this machine's memory, and a shortage if it runs but
/// has to read weights from disk again and again. Nothing is checked if the weights are small against the memory, or
/// if `settings` force the model.
///
/// The prompt's length is an estimate, since the vocabulary is not loaded. An error here means that not even an
/// empty prompt fits.
///
/// # Errors
/// [`Error::Memory`](super::Error::Memory) if the buffers to allocate do not fit with an empty prompt.
pub fn load_options(
    header: &Gguf,
    trust: Trust,
    repack: Repack,
    request: &Request<'_>,
    settings: &Settings,
) -> Result<(LoadOptions, Option<MemoryError>)> {
    let unchecked = LoadOptions { trust, repack: repack != Repack::Never };
    let Some(machine) = Machine::this().filter(|_| !settings.force) else { return Ok((unchecked, None)) };
    let runs = Runs::new(header, kernels::is_repacked, request, settings);
    memory::check_address_space(runs.least.need().unwrap_or_default().total())?;
    let (repack, shortage) = runs.check(repack, machine)?;
    Ok((LoadOptions { trust, repack }, shortage))
}

/// Refuses a context that this machine has no memory for, as far as the need can be computed.
pub(super) fn check_memory(model: &Model, n_prompt: usize, settings: &Settings) -> Result<()> {
    let n_ctx = Session::context_length(model, n_prompt, settings.max_tokens, &settings.session)?;
    check_context(model, n_prompt, n_ctx, settings)
}

/// The same for a context of `n_ctx` tokens.
pub(super) fn check_context(model: &Model, n_prompt: usize, n_ctx: usize, settings: &Settings) -> Result<()> {
    let Some(machine) = Machine::this().filter(|_| !settings.force) else { return Ok(()) };
    let is_repacked = model.load_options().is_repacked();
    let run = planned(model.header(), is_repacked, settings, (n_prompt as u64, n_ctx as u64));
    Ok(run.check_after_loading(machine)?)
}

/// The runs of a request before its prompt is tokenized.
struct Runs<'g> {
    /// With the estimated prompt.
    expected: PlannedRun<'g>,
    /// With an empty prompt.
    least: PlannedRun<'g>,
}

impl<'g> Runs<'g> {
    fn new(
        header: &'g Gguf,
        is_repacked: IsRepacked,
        request: &Request<'_>,
        settings: &Settings,
    ) -> Runs<'g> {
        let trained = header.architecture().and_then(|name| header.u64(&format!("{name}.context_length")));
        let run = |n_prompt: u64| {
            let least = n_prompt.saturating_add(settings.max_tokens as u64);
            let asked = settings.session.n_ctx.map(|n_ctx| usize::from(n_ctx) as u64);
            let n_ctx = asked.unwrap_or(least).min(trained.unwrap_or(u64::MAX));
            planned(header, is_repacked, settings, (n_prompt, n_ctx))
        };
        Runs { expected: run(expected_tokens(request)), least: run(0) }
    }

    /// True if weights are to be repacked, and a shortage that makes the run slow.
    fn check(&self, repack: Repack, machine: Machine) -> Result<(bool, Option<MemoryError>)> {
        let tensors = &self.expected.header.tensors;
        let weights = tensors.iter().map(TensorInfo::byte_len).fold(0, u64::saturating_add);
        if weights < machine.available_bytes / SMALL {
            return Ok((repack != Repack::Never, None));
        }
        Ok(self.expected.check_before_loading(&self.least, repack, machine)?)
    }
}

/// Estimated tokens of the prompt, from the length of its texts.
fn expected_tokens(request: &Request<'_>) -> u64 {
    /// Typical of English and of JSON in current vocabularies.
    const BYTES_PER_TOKEN: usize = 4;
    let messages = request.conversation.messages.iter().filter_map(|message| message.content()).map(str::len);
    let tools = request.tools.into_iter().flat_map(ToolSet::iter).map(|tool| tool.source().to_string().len());
    (messages.chain(tools).sum::<usize>() / BYTES_PER_TOKEN) as u64
}

fn planned<'g>(
    header: &'g Gguf,
    is_repacked: IsRepacked,
    settings: &Settings,
    (n_prompt, n_ctx): (u64, u64),
) -> PlannedRun<'g> {
    let Options { kv_type, n_ctx: asked, flash_attention, .. } = settings.session;
    PlannedRun {
        header,
        is_repacked,
        kv_type,
        flash_attention,
        n_prompt,
        n_ctx,
        n_ctx_is_asked: asked.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::{Conversation, Message, Role},
        convert::FileType,
        gguf::FlashAttention,
        memory::check::tests::{IS_REPACKED, header},
    };

    #[test]
    fn weights_are_used_as_stored_where_their_copies_leave_no_room_for_the_prompt() {
        const MIB: u64 = 1 << 20;
        let header = header(FileType::Q4KM);
        let session = Options { flash_attention: FlashAttention::On, ..Options::default() };
        let settings = Settings { max_tokens: 256, session, ..Settings::default() };
        let repacked = |words: usize, available: u64, repack: Repack| {
            let conversation =
                Conversation { messages: vec![Message::text(Role::User, "four".repeat(words))], tools: None };
            let request = Request::new(&conversation, None);
            let machine = Machine { total_bytes: 4000 * MIB, available_bytes: available * MIB };
            let runs = Runs::new(&header, IS_REPACKED, &request, &settings);
            let (repacks, shortage) = runs.check(repack, machine).unwrap();
            (repacks, shortage.is_some())
        };
        // 646 MiB of copies, 405 of other weights, 28 of cache for 256 tokens, 112 for 1,024 more, and 330 of buffers.
        assert_eq!(repacked(1, 1050, Repack::IfItFits), (true, true));
        assert_eq!(repacked(1024, 1050, Repack::IfItFits), (false, true));
        assert_eq!(
            repacked(1024, 1050, Repack::Always),
            (true, true),
            "the prompt may be shorter than it looks"
        );
        assert_eq!(repacked(1024, 2000, Repack::IfItFits), (true, false));
        assert_eq!(repacked(1024, 5000, Repack::IfItFits), (true, false));
    }
}
