//! Reasoning: the text between `<think>` and `</think>` before an answer.

use super::{Result, Settings, Think};
use crate::runtime::{Compiler, Completion, Model, Sampler, Session, generate};

/// Start of the reasoning.
const OPEN: &str = "<think>";

/// Conditions that end the reasoning.
pub(super) struct ReasoningLimits<'l> {
    /// Text that the model writes at its end.
    pub end: &'l str,
    /// The token that starts a call, if that is a single token.
    pub call: Option<u32>,
    /// True if everything before that token is reasoning. Otherwise reasoning must begin with `<think>`,
    /// generated or at the end of the prompt.
    pub before_call: bool,
}

/// Generates the reasoning if `settings` ask for it; it may be empty.
pub(super) fn think(
    model: &Model,
    session: &mut Session<'_>,
    sampler: &mut Sampler,
    prompt: &str,
    limits: &ReasoningLimits<'_>,
    settings: &Settings,
) -> Result<Option<Completion>> {
    if settings.think != Think::On {
        return Ok(None);
    }
    let compiler: &Compiler = model.compiler()?;
    let mark = compiler.mark(OPEN);
    let mut begun = limits.before_call || prompt.trim_end().ends_with(OPEN);
    let stops_before = |token: i32| {
        let token = u32::try_from(token).ok();
        begun |= token.is_some() && token == mark;
        !begun || (token.is_some() && token == limits.call)
    };
    let budget = settings.max_tokens;
    let vocabulary = model.vocabulary();
    Ok(Some(generate::free(session, vocabulary, sampler, budget, Some(limits.end), stops_before)?))
}

/// The reasoning without its marks and the white space around it.
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
