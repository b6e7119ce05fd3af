//! Formats that a chat template cannot tell: what models write that their templates do not show, or show otherwise.

use super::{
    Arguments, ByType, Dialect, Encoding, JsonStyle, KeyForm, Members, NameForm, Piece, TextPlace, Thought,
    ValueForm,
    derive::Derived,
    entries::{self, text, thought},
    piece,
};

/// A format with the signs of the models that write it.
pub struct Known {
    /// The format's name.
    pub name: &'static str,
    /// Texts that the template holds, all of them.
    texts: &'static [&'static str],
    /// Tokens of the vocabulary, all of them.
    tokens: &'static [&'static str],
    /// True if the model is known to write otherwise than its template shows.
    pub overrides: bool,
    /// The place where the template wants the tools.
    pub tools: ToolsPlace,
    build: fn() -> Dialect,
}

/// The place that a template takes the tools from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolsPlace {
    /// From its variable `tools`.
    Template,
    /// From the field `tools` of the system message, as JSON text.
    SystemMessage,
    /// From nowhere: they have to be told in a message.
    Text,
}

/// Every format that templates do not tell, the ones with more signs first.
pub static KNOWN: &[Known] = &[
    Known {
        name: "gpt-oss",
        texts: &["<|channel|>commentary", "to=functions."],
        tokens: &["<|channel|>", "<|message|>", "<|call|>"],
        overrides: true,
        tools: ToolsPlace::Template,
        build: gpt_oss,
    },
    Known {
        name: "lfm",
        texts: &["List of tools: "],
        tokens: &["<|tool_call_start|>", "<|tool_call_end|>"],
        overrides: false,
        tools: ToolsPlace::Template,
        build: lfm2,
    },
    Known {
        name: "granite3",
        texts: &["<|tool_call|>", "followed by a JSON list of tools"],
        tokens: &["<|tool_call|>"],
        overrides: false,
        tools: ToolsPlace::Template,
        build: granite3,
    },
    Known {
        name: "phi4-mini",
        texts: &["message['tools']"],
        tokens: &["<|tool|>", "<|tool_call|>", "<|/tool_call|>"],
        overrides: false,
        tools: ToolsPlace::SystemMessage,
        build: phi4_mini,
    },
    Known {
        name: "hammer",
        texts: &["[BEGIN OF AVAILABLE_TOOLS]"],
        tokens: &[],
        overrides: false,
        tools: ToolsPlace::Template,
        build: hammer,
    },
    Known {
        name: "smollm",
        texts: &["named SmolLM, trained by Hugging Face"],
        tokens: &["<tool_call>", "</tool_call>"],
        overrides: false,
        tools: ToolsPlace::Text,
        build: smollm3,
    },
];

impl Known {
    /// True if a model with this template and these tokens writes the format.
    pub fn fits(&self, template: &str, is_token: &dyn Fn(&str) -> bool) -> bool {
        self.texts.iter().all(|text| template.contains(text))
            && self.tokens.iter().all(|token| is_token(token))
    }

    /// The format.
    pub fn dialect(&self) -> Dialect {
        Dialect { name: self.name.to_owned(), ..(self.build)() }
    }
}

/// A system message that models need in order to call tools. Their template writes the tools behind it and leaves the message
/// itself to the application.
struct SystemMessage {
    /// Texts that the template holds, all of them.
    texts: &'static [&'static str],
    message: &'static str,
}

static SYSTEM_MESSAGES: &[SystemMessage] = &[
    // FunctionGemma's model card: without it, the model answers in words.
    SystemMessage {
        texts: &["<start_function_declaration>", "<start_function_call>"],
        message: "You are a model that can do function calling with the following functions",
    },
];

/// The system message that a model with `template` needs in order to call tools.
pub fn system_message(template: &str) -> Option<&'static str> {
    let fits = |needed: &&SystemMessage| needed.texts.iter().all(|text| template.contains(text));
    SYSTEM_MESSAGES.iter().find(fits).map(|needed| needed.message)
}

/// The dialect of `derived` as models write it whose template shows ids behind the arguments: with the id or without where the
/// template always has it, as Nemo's does; without where the last turn of a chat has none, as in Apriel's. `None` if it has no
/// such ids.
pub fn as_models_write(derived: &Derived) -> Option<Dialect> {
    with_ids(&derived.dialect, !derived.last_turn_lacks_ids)
}

/// `dialect` with ids behind the arguments that models may write, or without them; `None` if it has none.
fn with_ids(dialect: &Dialect, may_write: bool) -> Option<Dialect> {
    let cut = |pieces: &[Piece]| {
        let at = pieces.iter().position(|piece| matches!(piece, Piece::Id { .. }))?;
        let [Piece::Text(before), Piece::Id { length, .. }, Piece::Text(after), ..] =
            &pieces[at.checked_sub(1)?..]
        else {
            return None;
        };
        let before = before.strip_suffix(piece::ID_OPEN)?;
        let after = after.strip_prefix(piece::ID_CLOSE)?;
        let mut out = pieces[..at - 1].to_vec();
        if may_write {
            out.extend((!before.is_empty()).then(|| text(before)));
            out.push(Piece::optional_id(*length));
            out.push(text(after));
        } else {
            out.push(Piece::Text(format!("{before}{after}")));
        }
        out.extend_from_slice(&pieces[at + 2..]);
        Some(out)
    };
    let last = cut(&dialect.last)?;
    let next = match &dialect.next {
        Some(next) => Some(cut(next)?),
        None => None,
    };
    Some(Dialect { last, next, ..dialect.clone() })
}

/// True if `a` and `b` write the same calls.
pub fn same_calls(a: &Dialect, b: &Dialect) -> bool {
    let plain = |pieces: &[Piece]| -> Vec<Piece> {
        let mut out: Vec<Piece> = Vec::new();
        let is_written = |piece: &&Piece| {
            !matches!(piece, Piece::Optional { written: false, .. } | Piece::OptionalId { .. })
        };
        for piece in pieces.iter().filter(is_written) {
            match (out.last_mut(), piece) {
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(more),
                _ => out.push(piece.clone()),
            }
        }
        out
    };
    let next = |dialect: &Dialect| dialect.next.as_deref().map(plain);
    plain(&a.first) == plain(&b.first)
        && next(a) == next(b)
        && plain(&a.last) == plain(&b.last)
        && a.arguments == b.arguments
        && a.count == b.count
}

/// JSON objects with `name` and `arguments` in a list.
fn json_list(open: &str, close: &str) -> Dialect {
    let call = |open: &str| {
        let open = format!("{open}{{\"name\": \"");
        vec![text(&open), Piece::Name(NameForm::Json), text("\", \"arguments\": ")]
    };
    Dialect {
        next: Some(call("}, ")),
        ..entries::json("", call(&format!("{open}[")), &format!("}}]{close}"))
    }
}

/// `<|tool_call|>[{"name": f, "arguments": {..}}]`.
fn granite3() -> Dialect {
    json_list("<|tool_call|>", "")
}

/// `<|tool_call|>[{"name": f, "arguments": {..}}]<|/tool_call|>`.
fn phi4_mini() -> Dialect {
    json_list("<|tool_call|>", "<|/tool_call|>")
}

/// A JSON list in a bare fence, as its system text asks for it.
fn hammer() -> Dialect {
    json_list("```\n", "\n```")
}

/// As Hermes' format.
fn smollm3() -> Dialect {
    Dialect { thought: thought("\n</think>\n"), ..entries::hermes() }
}

/// Python calls in a list: `<|tool_call_start|>[f(k='v', n=7), g()]<|tool_call_end|>`.
fn lfm2() -> Dialect {
    let form = |encoding: Encoding| ValueForm { before: vec![text("=")], encoding, after: Vec::new() };
    let values = ByType {
        string: form(Encoding::PythonString { escaped: true }),
        number: form(Encoding::Json(JsonStyle::Spaced)),
        boolean: form(Encoding::Python),
        null: form(Encoding::Python),
        array: form(Encoding::Python),
        object: form(Encoding::Python),
    };
    let members = Members {
        open: String::new(),
        separator: ", ".into(),
        close: String::new(),
        key: KeyForm::Identifier,
        sorted: false,
        values,
    };
    let call = |open: &str| vec![text(open), Piece::Name(NameForm::Plain), text("(")];
    Dialect {
        first: call("<|tool_call_start|>["),
        next: Some(call("), ")),
        last: vec![text(")]<|tool_call_end|>")],
        arguments: Arguments::Members(members),
        ..json_list("", "")
    }
}

/// Harmony with the channel first, as the models write it; their template has the recipient first.
fn gpt_oss() -> Dialect {
    let call = |open: &str, close: &str| vec![text(open), Piece::Name(NameForm::Plain), text(close)];
    Dialect {
        first: call("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>"),
        next: None,
        last: Vec::new(),
        end: vec!["<|call|>".into()],
        also_first: vec![
            call(" to=functions.", "<|channel|>commentary <|constrain|>json<|message|>"),
            call(" to=functions.", "<|channel|>commentary json<|message|>"),
        ],
        text: TextPlace::Dropped,
        thought: Some(Thought {
            open: "<|channel|>analysis<|message|>".into(),
            close: "<|end|><|start|>assistant".into(),
            none: String::new(),
        }),
        ..json_list("", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_format_is_a_valid_dialect_and_needs_all_of_its_signs() {
        for known in KNOWN {
            let dialect = known.dialect();
            dialect.check().unwrap();
            assert_eq!(Dialect::parse(&serde_json::to_vec(&dialect).unwrap()).unwrap(), dialect);
            let template = known.texts.concat();
            assert!(known.fits(&template, &|_| true), "{}", known.name);
            assert!(!known.fits("", &|_| true), "{}", known.name);
            assert!(known.tokens.is_empty() || !known.fits(&template, &|_| false), "{}", known.name);
        }
    }

    #[test]
    fn an_id_behind_the_arguments_is_left_to_the_history() {
        let id = |previous| Piece::Id { length: 9, previous };
        let name = || Piece::Name(NameForm::Json);
        let mut with = json_list("<c>", "</c>");
        let without = with.clone();
        assert_eq!(with_ids(&without, true), None);
        with.last = vec![text(", \"id\": \""), id(false), text("\"}]</c>")];
        let next = [text(", \"id\": \""), id(true), text("\"}, {\"name\": \""), name()];
        with.next = Some(next.into_iter().chain([text("\", \"arguments\": ")]).collect());
        let left_out = with_ids(&with, false).unwrap();
        assert!(same_calls(&left_out, &without) && !left_out.has_ids());
        let optional = with_ids(&with, true).unwrap();
        assert!(same_calls(&optional, &without) && optional.has_ids());
        assert_eq!(optional.last, [Piece::optional_id(9), text("}]</c>")]);
    }
}
