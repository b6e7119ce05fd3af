//! Step 1, prepare: a call -> how its model writes tool calls.

use super::{Call, Result, ToolFormat, prompt_length};
use crate::{schema::KeyOrder, tools::ToolSet};
use std::time::Instant;

/// A call whose tool format is known.
pub(super) struct Prepared {
    /// Format of tool calls; `None` if there is nothing to call.
    pub tool_format: Option<ToolFormat>,
    /// Start of the call.
    pub started: Instant,
}

/// Detects the tool format, after a first check of the messages' length.
pub(super) fn prepare(call: &Call<'_>) -> Result<Prepared> {
    let started = Instant::now();
    let bytes = prompt_length::least_bytes(call.request.conversation);
    prompt_length::check_bytes(call.model, bytes, &call.settings.session)?;
    let Call { model, template, request, settings, cache } = *call;
    let tool_format = template.tool_format_with(model.vocabulary(), request, &settings.dialect, cache)?;
    if let (Some(on_note), Some(note)) =
        (call.settings.on_note, tool_format.as_ref().and_then(|format| format.note.as_ref()))
    {
        on_note(note);
    }
    Ok(Prepared { tool_format, started })
}

/// Compiles every tool's schema, without a model.
///
/// # Errors
/// [`tools::Error::Parameters`](crate::tools::Error::Parameters) with the tool, the JSON pointer and the keyword.
pub fn check_tools(tools: &ToolSet, key_order: KeyOrder) -> Result<()> {
    tools.iter().try_for_each(|tool| Ok(tool.compiled(key_order).map(drop)?))
}
