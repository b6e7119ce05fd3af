//! Reasoning: the text between `<think>` and `</think>` before an answer.

use super::{Call, Result, Think, Timings, prompt::Prompt, response_format::ResponseFormat};
use crate::runtime::{Compiler, Completion, Sampler, Session, generate};

/// Start of the reasoning.
const OPEN: &str = "<think>";
/// End of the reasoning, and the text after it, for dialects without marks of their own.
const END: (&str, &str) = ("</think>", "\n\n");

/// Reasoning before an answer.
pub(super) struct Reasoning {
    /// The generated text, with its marks.
    pub completion: Completion,
    /// The text without its marks and the white space around it.
    pub text: String,
    /// Text that the model writes between reasoning and answer; `None` if the reasoning did not end with its mark.
    pub answer_prefix: Option<String>,
}

/// Conditions that end the reasoning.
struct ReasoningLimits {
    /// Text that the model writes at its end.
    end: String,
    /// Text that the model writes between that and the answer.
    answer_prefix: String,
    /// The token that starts a call, if that is a single token.
    call: Option<u32>,
    /// True if everything before that token is reasoning. Otherwise reasoning must begin with `<think>`,
    /// generated or at the end of the prompt.
    until_call: bool,
}

/// Generates the reasoning if the settings ask for it; it may be empty.
pub(super) fn reason(
    call: &Call<'_>,
    prompt: &Prompt,
    format: &ResponseFormat<'_>,
    session: &mut Session<'_>,
    sampler: &mut Sampler,
) -> Result<Option<Reasoning>> {
    if call.settings.think != Think::On {
        return Ok(None);
    }
    let compiler = call.model.compiler()?;
    let limits = ReasoningLimits::new(prompt, format, compiler);
    let mark = compiler.mark(OPEN);
    let mut begun = limits.until_call || prompt.text.trim_end().ends_with(OPEN);
    let stops_before = |token: i32| {
        let token = u32::try_from(token).ok();
        begun |= token.is_some() && token == mark;
        !begun || (token.is_some() && token == limits.call)
    };
    let (vocabulary, end) = (call.model.vocabulary(), Some(limits.end.as_str()));
    let lengths = super::generate::limits(call.settings, &Timings::default());
    let completion = generate::free(session, vocabulary, sampler, lengths, end, stops_before)?;
    let text = String::from_utf8_lossy(&completion.text);
    let answer_prefix = text.ends_with(&limits.end).then_some(limits.answer_prefix);
    let text = without_marks(&text, &limits.end);
    Ok(Some(Reasoning { completion, text, answer_prefix }))
}

impl ReasoningLimits {
    fn new(prompt: &Prompt, format: &ResponseFormat<'_>, compiler: &Compiler) -> ReasoningLimits {
        let marks = prompt.dialect.as_ref().and_then(|dialect| dialect.thought_end());
        let (end, answer_prefix) = marks.unwrap_or(END);
        let call = prompt.dialect.as_ref().and_then(|dialect| dialect.opening());
        let call = call.and_then(|mark| compiler.mark(&mark));
        let until_call = format.is_call() && call.is_some() && marks.is_some();
        ReasoningLimits { end: end.to_owned(), answer_prefix: answer_prefix.to_owned(), call, until_call }
    }
}

/// The reasoning without its marks and the white space around it.
fn without_marks(text: &str, end: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix(OPEN).unwrap_or(text);
    text.strip_suffix(end).unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::without_marks;

    #[test]
    fn reasoning_is_shown_without_its_marks() {
        assert_eq!(without_marks("<think>\nWhere? There.\n</think>", "</think>"), "Where? There.");
        assert_eq!(without_marks("Where? <think>", "</think>"), "Where? <think>");
        assert_eq!(without_marks("<think>\n\n</think>", "</think>"), "");
    }
}
