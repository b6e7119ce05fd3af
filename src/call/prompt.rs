//! Step 2, prompt: conversation and tools -> the tokens of a prompt that fits the context, whose context fits the memory.

use super::{Call, RenderedPrompt, Result, Slot, prepare::Prepared, prompt_length, prompt_template};
use crate::{dialect::Dialect, runtime::Model};
use std::{sync::Arc, time::Duration};

/// A rendered prompt.
pub(super) struct Prompt {
    /// Text from the chat template.
    pub text: RenderedPrompt,
    /// Token ids.
    pub tokens: Vec<i32>,
    /// Syntax of tool calls; `None` if there is nothing to call.
    pub dialect: Option<Arc<Dialect>>,
    /// Time for rendering and tokenizing.
    pub time: Duration,
}

/// Renders and tokenizes the prompt, and checks that it fits.
pub(super) fn prompt(call: &Call<'_>, prepared: &Prepared, slot: &mut Slot<'_>) -> Result<Prompt> {
    let Call { model, request, settings, .. } = *call;
    let tool_format = prepared.tool_format.as_ref();
    let mut text = call.template.render(model.vocabulary(), request, tool_format, settings.think)?;
    if let Some(format) = tool_format {
        slot.texts().put_back(&mut text, format, request.conversation);
    }
    prompt_length::check_bytes(model, text.len(), &settings.session)?;
    let tokens = text.tokenize(model.vocabulary())?;
    prompt_length::check_tokens(model, request, tokens.len(), &settings.session)?;
    slot.check(tokens.len(), settings)?;
    let dialect = tool_format.map(|format| format.dialect.clone());
    Ok(Prompt { text, tokens, dialect, time: prepared.started.elapsed() })
}

/// The token ids of a rendered prompt, as [`ask`](super::ask) evaluates it.
///
/// # Errors
/// [`runtime::Error::TextTooLong`](crate::runtime::Error::TextTooLong).
pub fn tokenize_prompt(model: &Model, prompt: &str) -> Result<Vec<i32>> {
    prompt_template::tokenize(model.vocabulary(), prompt)
}
