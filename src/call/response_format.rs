//! The kind of an answer (tool calls, text or JSON), with its grammar and its parser.

use super::{Choice, PartialCall, Request, Result, constraint::constraint};
use crate::{
    dialect::{
        Dialect,
        grammar::{self, JsonAnswer},
        turn::Turn,
        words::tool_words,
    },
    runtime::{Compiler, Constraint, Vocabulary, constraint::Fixed},
    schema::{KeyOrder, Status, notation::Notation},
    tools::{
        self, ToolCall, ToolSet,
        arguments::AnswerSchema,
        check,
        words::{self, Word},
    },
};
use std::sync::Arc;

/// The kind of an answer, and the text that must precede it.
pub(super) struct ResponseFormat<'r> {
    kind: Kind<'r>,
    prefix: String,
}

enum Kind<'r> {
    Calls { turn: Box<Turn>, tools: &'r ToolSet, dialect: Arc<Dialect>, or_text: bool },
    Text { without: Option<String> },
    Json { schema: &'r AnswerSchema, answer: JsonAnswer<'r> },
}

impl<'r> ResponseFormat<'r> {
    /// The kind that `request` asks for, with calls written in `dialect`.
    pub fn new(request: &Request<'r>, dialect: Option<&Arc<Dialect>>) -> Result<ResponseFormat<'r>> {
        let format = |kind| ResponseFormat { kind, prefix: String::new() };
        let json = request.schema.map(|schema| Kind::Json { schema, answer: JsonAnswer::new(schema) });
        let Some(tools) = request.tools else {
            return Ok(format(json.unwrap_or(Kind::Text { without: None })));
        };
        if let (Some(json), Choice::None) = (json, &request.choice) {
            return Ok(format(json));
        }
        let (Some(dialect), false) = (dialect, request.choice == Choice::None) else {
            return Ok(format(Kind::Text { without: dialect.and_then(|dialect| dialect.opening()) }));
        };
        let or_text = request.choice == Choice::Auto;
        let turn = match (&request.choice, &request.allowed) {
            (Choice::Named(name), _) => Turn::new(&tools.only(name)?, dialect, request.key_order)?,
            (_, Some(names)) => Turn::new(&tools.only_these(names)?, dialect, request.key_order)?,
            (_, None) => Turn::new(tools, dialect, request.key_order)?,
        };
        let earlier = request.conversation.messages.iter().map(|message| message.tool_calls().len()).sum();
        let turn = turn.up_to(request.parallel.get()).after_calls(earlier);
        let turn = if or_text { turn.or_text() } else { turn };
        Ok(format(Kind::Calls { turn: Box::new(turn), tools, dialect: dialect.clone(), or_text }))
    }

    /// Puts `prefix` in front of the answer. It is not part of the content.
    pub fn after(mut self, prefix: String) -> ResponseFormat<'r> {
        match &mut self.kind {
            Kind::Calls { turn, .. } => turn.set_prefix(&prefix),
            Kind::Json { answer, .. } => answer.set_prefix(&prefix),
            Kind::Text { .. } => {}
        }
        self.prefix = prefix;
        self
    }

    /// Number of bytes before the answer.
    pub fn prefix_length(&self) -> usize {
        self.prefix.len()
    }

    /// True if the answer must be a call.
    pub fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Calls { or_text: false, .. })
    }

    /// True if the answer may have calls.
    pub fn has_calls(&self) -> bool {
        matches!(self.kind, Kind::Calls { .. })
    }

    /// The expected answer, in a word for messages: `call`, or `answer` where text is allowed.
    pub fn name(&self) -> &'static str {
        if self.is_call() { "call" } else { "answer" }
    }

    /// Compiles the grammar of the answer.
    pub fn constraint<'c>(&'c self, compiler: &'c Compiler) -> Result<Constraint<'c>> {
        match &self.kind {
            Kind::Calls { turn, .. } => constraint(compiler, &**turn),
            Kind::Json { answer, .. } => constraint(compiler, answer),
            Kind::Text { without } => {
                let lark = grammar::text_grammar(&self.prefix, without.as_deref());
                Ok(Constraint::new(compiler, Box::new(Fixed(lark)))?)
            }
        }
    }

    /// Tokens of the names in the tools or the schema that `prompt` does not contain, as candidates for drafts.
    pub fn words(&self, vocabulary: &Vocabulary, prompt: &str) -> Result<Vec<Vec<i32>>> {
        match &self.kind {
            Kind::Calls { tools, dialect, .. } => {
                words_in_tokens(vocabulary, &tool_words(tools, dialect)?, prompt)
            }
            Kind::Json { schema, .. } => words_in_tokens(vocabulary, schema.words(), prompt),
            Kind::Text { .. } => Ok(Vec::new()),
        }
    }

    /// The part of `written` that is free text: not reasoning, not calls, not JSON.
    pub fn free_text<'w>(&self, written: &'w [u8]) -> &'w str {
        let text = whole_characters(written);
        match &self.kind {
            Kind::Text { .. } => text.get(self.prefix.len()..).unwrap_or(""),
            Kind::Calls { turn, or_text: true, .. } => turn.split(text).0,
            _ => "",
        }
    }

    /// The text of an answer that ends after `length` bytes of its [free text](Self::free_text).
    pub fn stopped(&self, written: &[u8], length: usize) -> Vec<u8> {
        written[..(self.prefix.len() + length).min(written.len())].to_vec()
    }

    /// The part of `written` that can be streamed to a reader: text. White space around a text that calls may follow is
    /// not part of it, and neither is what may begin a call.
    pub fn readable<'w>(&self, written: &'w [u8]) -> &'w str {
        match &self.kind {
            Kind::Text { .. } => self.free_text(written),
            Kind::Calls { dialect, or_text: true, .. } => {
                let text = self.free_text(written).trim_start();
                let mark = dialect.opening().unwrap_or_default();
                let begun = (1..=mark.len()).rev().find_map(|length| text.strip_suffix(mark.get(..length)?));
                begun.unwrap_or(text).trim_end()
            }
            _ => "",
        }
    }

    /// True if no value of a call can be taken back: the grammar alone enforces the schemas of all tools.
    pub fn is_settled(&self, key_order: KeyOrder) -> bool {
        let Kind::Calls { tools, dialect, .. } = &self.kind else { return false };
        // In other notations the type of a value may depend on all of its text.
        dialect.notation().is_ok_and(|notation| notation == Notation::default())
            && tools.iter().all(|tool| {
                tool.compiled(key_order).is_ok_and(|compiled| compiled.report.status() == Status::Enforced)
            })
    }

    /// The calls in `written`, each up to its last complete member.
    pub fn partial_calls(&self, written: &[u8]) -> Vec<PartialCall> {
        let Kind::Calls { turn, dialect, tools, .. } = &self.kind else { return Vec::new() };
        let read = |text: &str| {
            let (_, calls) = turn.split(text);
            calls.iter().map_while(|call| dialect.read_call_with(call, Some(tools)).ok()).collect::<Vec<_>>()
        };
        let written = whole_characters(written);
        let partial = |call: &ToolCall, arguments: &str| PartialCall {
            name: call.name().to_owned(),
            arguments: arguments.to_owned(),
        };
        let whole = read(written);
        let mut calls: Vec<PartialCall> =
            whole.iter().map(|call| partial(call, call.arguments_text())).collect();
        let endings = turn.endings(written.as_bytes());
        let closed = endings.first().and_then(|ending| std::str::from_utf8(ending).ok()).map(read);
        match closed.unwrap_or_default().get(whole.len()) {
            // The brace that closes it was not written.
            Some(call) => {
                let arguments = call.arguments_text();
                calls.push(partial(call, arguments.strip_suffix('}').unwrap_or_default()));
            }
            None => {
                let (_, begun) = turn.split(written);
                if let (true, Some(name)) = (begun.len() > whole.len(), turn.tool(written.as_bytes())) {
                    calls.push(PartialCall { name: name.to_owned(), arguments: String::new() });
                }
            }
        }
        calls
    }

    /// The usable answer in one that was cut off, if there is one. `may_end`: the grammar accepts `written` as
    /// complete. `close`: unfinished calls may be closed after their last complete member.
    pub fn cut_off(&self, written: &[u8], may_end: bool, close: bool) -> Result<Option<String>> {
        let Kind::Calls { turn, .. } = &self.kind else {
            let is_text = matches!(self.kind, Kind::Text { .. });
            return Ok(is_text.then(|| whole_characters(written).to_owned()));
        };
        let text = whole_characters(written);
        if may_end && !turn.split(text).1.is_empty() {
            return Ok(Some(text.to_owned()));
        }
        if close {
            let compiler = Compiler::for_bytes()?;
            for ending in turn.endings(written) {
                if takes(&mut self.constraint(&compiler)?, &ending)? {
                    return Ok(String::from_utf8(ending).ok());
                }
            }
        }
        Ok(None)
    }

    /// The value with a schema that `written` is in, in words for an error message.
    pub fn subject(&self, written: &[u8]) -> String {
        match &self.kind {
            Kind::Calls { turn, .. } => match turn.tool(written) {
                Some(tool) => format!("the arguments of `{tool}`"),
                None => "the call".to_owned(),
            },
            _ => "the answer".to_owned(),
        }
    }

    /// The part of a complete answer from its first call on.
    pub fn calls_text<'t>(&self, text: &'t str) -> Option<&'t str> {
        match &self.kind {
            Kind::Calls { turn, .. } => turn.calls_text(text),
            _ => None,
        }
    }

    /// Parses a complete answer into its text and its calls.
    pub fn read(&self, text: &str) -> Result<(Option<String>, Vec<ToolCall>), tools::Error> {
        let answer = text.get(self.prefix.len()..).unwrap_or("");
        match &self.kind {
            Kind::Text { .. } => Ok((Some(answer.to_owned()), Vec::new())),
            Kind::Json { schema, .. } => {
                schema.check(answer)?;
                Ok((Some(answer.to_owned()), Vec::new()))
            }
            Kind::Calls { turn, tools, dialect, .. } => {
                let (said, calls) = turn.split(text);
                let calls: Vec<ToolCall> =
                    calls.iter().map(|call| read_call(dialect, tools, call)).collect::<Result<_, _>>()?;
                let said = Some(said.trim()).filter(|said| calls.is_empty() || !said.is_empty());
                Ok((said.map(str::to_owned), calls))
            }
        }
    }
}

/// Tokenizes those of `words` that `prompt` does not contain, with the text around them in an answer, for
/// [`Drafter::with_words`](crate::runtime::Drafter::with_words).
///
/// # Errors
/// [`TextTooLong`](crate::runtime::Error::TextTooLong).
pub fn words_in_tokens(vocabulary: &Vocabulary, words: &[Word], prompt: &str) -> Result<Vec<Vec<i32>>> {
    // With special tokens: a call may begin with one.
    words::not_in(prompt, words).map(|word| Ok(vocabulary.tokenize(&word.text(), true)?)).collect()
}

fn read_call(dialect: &Dialect, tools: &ToolSet, text: &str) -> Result<ToolCall, tools::Error> {
    let call = dialect.read_call_with(text, Some(tools))?;
    check::check(tools, &call)?;
    Ok(call)
}

/// True if the constraint, over single bytes, accepts all of `text` as complete.
fn takes(constraint: &mut Constraint<'_>, text: &[u8]) -> Result<bool> {
    for byte in text {
        if !constraint.accept(i32::from(*byte))? {
            return Ok(false);
        }
    }
    Ok(constraint.may_end()?)
}

/// `text` without an incomplete UTF-8 character at its end.
pub(super) fn whole_characters(text: &[u8]) -> &str {
    let whole = match std::str::from_utf8(text) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&text[..whole]).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn a_character_is_shown_when_all_of_it_is_there() {
        let text = "aé€\u{1f600}".as_bytes();
        let shown: Vec<usize> = (0..=text.len()).map(|n| whole_characters(&text[..n]).len()).collect();
        assert_eq!(shown, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10]);
    }
}
