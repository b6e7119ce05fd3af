//! Step 5, read: generated text -> the answer, parsed and checked.

use super::{
    Answer, Call, End, Error, Result,
    generate::{Generated, is_cut_off},
    prompt::Prompt,
    tokens::TokenFeed,
};
use crate::{hash::hex, runtime::Finish, tools::ToolCall};
use sha2::{Digest, Sha256};

/// Reads the answer, and adds a complete one to the cache; `keep` gets the text of its calls.
pub(super) fn read(
    call: &Call<'_>,
    prompt: &Prompt,
    generated: Generated<'_>,
    keep: impl FnOnce(&[ToolCall], &str),
) -> Result<Answer> {
    let Call { request, settings, .. } = *call;
    let Generated { format, completion, timings, .. } = &generated;
    let usable = || format.cut_off(&completion.text, generated.may_end, request.close_at_budget);
    let (end, text) = match completion.finish {
        finish if !is_cut_off(finish) => {
            (End::Complete, Some(String::from_utf8_lossy(&completion.text).into_owned()))
        }
        // Text is not worth more for being repeated.
        Finish::Repetition(_) => (End::Repetition, if format.has_calls() { usable()? } else { None }),
        _ => (End::CutOff, usable()?),
    };
    let Some(text) = text else {
        return Err(Error::cut_off(call, completion, format.name(), timings));
    };
    let (content, calls) =
        format.read(&text).map_err(|source| Error::Invalid { source, partial: text.clone() })?;
    if completion.finish == Finish::Stop {
        generated.history.keep(&completion.tokens, generated.drafter.as_ref());
        if let Some(text) = format.calls_text(&text).filter(|_| !calls.is_empty()) {
            keep(&calls, text);
        }
    }
    let id = id(prompt, &generated, settings.sampling.seed, &text);
    let timings = *timings;
    let before = format.prefix_length();
    let tokens = TokenFeed::new(&generated.trace, call.model.vocabulary(), before).up_to(text.len());
    Ok(Answer {
        id,
        content,
        calls,
        reasoning: generated.reasoning.map(|reasoning| reasoning.text),
        tokens,
        end,
        timings,
    })
}

/// A hash of reasoning, seed, prompt and answer.
fn id(prompt: &Prompt, generated: &Generated<'_>, seed: u64, text: &str) -> String {
    let mut id = Sha256::new();
    if let Some(reasoning) = &generated.reasoning {
        id.update(&reasoning.completion.text);
    }
    id.update(seed.to_le_bytes());
    prompt.tokens.iter().for_each(|token| id.update(token.to_le_bytes()));
    id.update(text);
    hex(&id.finalize()[..16])
}
