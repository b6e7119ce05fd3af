//! What a model thinks before it answers.

use super::{Settings, Think};
use crate::{
    Result,
    runtime::{Compiler, Completion, Model, Sampler, Session, generate},
};

/// What begins a thought.
const OPEN: &str = "<think>";

/// When thoughts end.
pub(super) struct Limits<'l> {
    /// What the model writes to end them.
    pub end: &'l str,
    /// The token that begins a call, if it is one.
    pub call: Option<u32>,
    /// Whether all that comes before that token is a thought. Else it is one only where the model,
    /// or the prompt for it, begins with `<think>`.
    pub whatever: bool,
}

/// Lets the model think, if `settings` say so; the thought may be empty.
pub(super) fn think(
    model: &Model,
    session: &mut Session<'_>,
    sampler: &mut Sampler,
    prompt: &str,
    limits: &Limits<'_>,
    settings: &Settings,
) -> Result<Option<Completion>> {
    if settings.think != Think::On {
        return Ok(None);
    }
    let compiler: &Compiler = model.compiler()?;
    let mark = compiler.mark(OPEN);
    let mut begun = limits.whatever || prompt.trim_end().ends_with(OPEN);
    let stops_before = |token: i32| {
        let token = u32::try_from(token).ok();
        begun |= token.is_some() && token == mark;
        !begun || (token.is_some() && token == limits.call)
    };
    let budget = settings.max_tokens;
    let vocabulary = model.vocabulary();
    Ok(Some(generate::free(session, vocabulary, sampler, budget, Some(limits.end), stops_before)?))
}

/// A thought without the marks and the space around it.
pub(super) fn bare(text: &str, end: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix(OPEN).unwrap_or(text);
    text.strip_suffix(end).unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn a_thought_is_shown_without_its_marks() {
        assert_eq!(bare("<think>\nWhere? There.\n</think>", "</think>"), "Where? There.");
        assert_eq!(bare("Where? <think>", "</think>"), "Where? <think>");
        assert_eq!(bare("<think>\n\n</think>", "</think>"), "");
    }
}
