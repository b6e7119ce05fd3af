//! Formats that are known by name.

use super::{Arguments, Dialect, JsonStyle, NameForm, Piece, TextPlace, Thought};
use std::sync::{Arc, LazyLock};

static ENTRIES: LazyLock<Vec<Arc<Dialect>>> = LazyLock::new(|| {
    [hermes(), llama3(), mistral(), mistral_args(), functionary(), generic()].map(Arc::new).into()
});

/// Every format that has a name; the generic one, which no template uses, comes last.
pub fn all() -> &'static [Arc<Dialect>] {
    &ENTRIES
}

/// The format of this name.
pub fn named(name: &str) -> Option<Arc<Dialect>> {
    all().iter().find(|dialect| dialect.name == name).cloned()
}

/// The format for models without one of their own: a JSON object, as our description in the prompt requests it.
pub fn for_description() -> Arc<Dialect> {
    all().last().cloned().unwrap_or_else(|| Arc::new(generic()))
}

pub(super) fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

pub(super) fn thought(close: &str) -> Option<Thought> {
    Some(Thought { open: "<think>\n".to_owned(), close: close.to_owned(), none: String::new() })
}

/// A format with JSON arguments and a single call a turn.
pub(super) fn json(name: &str, first: Vec<Piece>, last: &str) -> Dialect {
    Dialect {
        name: name.to_owned(),
        first,
        next: None,
        last: if last.is_empty() { Vec::new() } else { vec![text(last)] },
        arguments: Arguments::Json(JsonStyle::Spaced),
        end: Vec::new(),
        also_first: Vec::new(),
        text: TextPlace::Before { open: String::new(), close: String::new() },
        thought: None,
        count: None,
    }
}

/// Hermes' format, also used by Qwen2.5 and Qwen3: `<tool_call>⏎{"name": f, "arguments": {..}}⏎</tool_call>`.
pub(super) fn hermes() -> Dialect {
    let call = |open: &str| vec![text(open), Piece::Name(NameForm::Json), text("\", \"arguments\": ")];
    Dialect {
        next: Some(call("}\n</tool_call>\n<tool_call>\n{\"name\": \"")),
        text: TextPlace::Before { open: String::new(), close: "\n".to_owned() },
        thought: thought("\n</think>\n\n"),
        ..json("hermes", call("<tool_call>\n{\"name\": \""), "}\n</tool_call>")
    }
}

/// Llama 3.1 and 3.2: `{"name": f, "parameters": {..}}`, and nothing around it.
fn llama3() -> Dialect {
    let first = vec![text("{\"name\": \""), Piece::Name(NameForm::Json), text("\", \"parameters\": ")];
    json("llama3", first, "}")
}

/// Mistral's format up to the tokenizer of Nemo: `[TOOL_CALLS][{"name": f, "arguments": {..}}, ..]`. The first models with
/// this token write a space after it. Histories contain ids behind the arguments, which the model may leave out.
fn mistral() -> Dialect {
    let call = |open: &str| vec![text(open), Piece::Name(NameForm::Json), text("\", \"arguments\": ")];
    let mut next = call("}, {\"name\": \"");
    next.insert(0, Piece::optional_id(9));
    let mut first = call("[{\"name\": \"");
    first.splice(0..0, [text("[TOOL_CALLS]"), Piece::Optional { text: " ".to_owned(), written: false }]);
    Dialect { next: Some(next), last: vec![Piece::optional_id(9), text("}]")], ..json("mistral", first, "") }
}

/// Mistral's format since version 13 of its tokenizer: `[TOOL_CALLS]f[ARGS]{..}`.
fn mistral_args() -> Dialect {
    let call = || vec![text("[TOOL_CALLS]"), Piece::Name(NameForm::Plain), text("[ARGS]")];
    Dialect { next: Some(call()), ..json("mistral-args", call(), "") }
}

/// Functionary 3.1, and Llama 3.1's custom calls: `<function=f>{..}</function>`.
fn functionary() -> Dialect {
    let call = |open: &str| vec![text(open), Piece::Name(NameForm::Plain), text(">")];
    Dialect {
        next: Some(call("</function><function=")),
        ..json("functionary", call("<function="), "</function>")
    }
}

/// A bare JSON object: `{"name": f, "arguments": {..}}`.
fn generic() -> Dialect {
    let first = vec![text("{\"name\": \""), Piece::Name(NameForm::Json), text("\", \"arguments\": ")];
    Dialect { thought: thought("\n</think>\n"), ..json("generic", first, "}") }
}
