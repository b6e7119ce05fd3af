//! A dialect for people: an example call, two in one turn, and what it cannot say.

use super::{
    Arguments, Choice, Dialect, Encoding, KeyForm, Members, NameForm, Piece, Source, TextPlace, WrittenCall,
};
use crate::display::{Align, Table};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{borrow::Cow, fmt};

/// A dialect in examples.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// A turn with one call.
    pub one: String,
    /// A turn with two calls; `None` if a turn has one.
    pub two: Option<String>,
    /// Values that cannot be written; one sentence each.
    pub limits: Vec<String>,
}

impl Dialect {
    /// Examples of the dialect.
    pub fn example(&self) -> Example {
        let arguments: Map<String, Value> = [
            ("city".to_owned(), json!("Leeds")),
            ("days".to_owned(), json!(3)),
            ("hourly".to_owned(), json!(true)),
            ("fields".to_owned(), json!(["rain", "wind"])),
        ]
        .into_iter()
        .collect();
        let call = |name: &'static str, arguments: Map<String, Value>| WrittenCall {
            name: name.into(),
            arguments: Cow::Owned(arguments),
            id: None,
        };
        let end = self.end.first().map_or("", String::as_str);
        let one = self.write_calls(&[call("forecast", arguments.clone())], 0) + end;
        let two = self
            .next
            .is_some()
            .then(|| self.write_calls(&[call("forecast", arguments), call("get_time", Map::new())], 0) + end);
        Example { one, two, limits: self.limits() }
    }

    /// Values, keys and names that the dialect cannot say; one sentence each.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if let Some(end) = name_end(&self.first) {
            limits.push(format!("a tool's name cannot hold {end:?}"));
        }
        if self.next.is_none() {
            limits.push("a turn has one call".into());
        }
        if let Arguments::Members(members) = &self.arguments {
            members.limits(&mut limits);
        }
        limits
    }
}

/// The text that ends a plain name.
fn name_end(first: &[Piece]) -> Option<&str> {
    first.iter().zip(first.iter().skip(1)).find_map(|pair| match pair {
        (Piece::Name(NameForm::Plain), Piece::Text(text)) => Some(stem(text)),
        _ => None,
    })
}

/// The beginning of `text` up to where its first tag is told from others.
pub(super) fn stem(text: &str) -> &str {
    let text = match text.trim_start() {
        "" => text,
        trimmed => trimmed,
    };
    match text.find(['>', '\n']) {
        Some(at) if at > 0 && text.starts_with('<') => &text[..at],
        _ => text,
    }
}

impl Members {
    /// The text that ends a raw string.
    fn raw_end(&self) -> String {
        let literal = self.values.string.after.iter().find_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            _ => None,
        });
        stem(literal.unwrap_or(&self.separator)).to_owned()
    }

    fn limits(&self, limits: &mut Vec<String>) {
        match &self.values.string.encoding {
            Encoding::Raw => limits.push(format!("a text cannot hold {:?}", self.raw_end())),
            Encoding::RawTrimmed => {
                limits.push(format!("a text cannot hold {:?}, nor blanks at its ends", self.raw_end()));
            }
            Encoding::RawOrCdata => {
                limits.push("a text with `<`, `&` or a line end cannot hold \"]]>\"".into())
            }
            Encoding::Delimited { delimiter } => limits.push(format!("a text cannot hold {delimiter:?}")),
            Encoding::PythonString { escaped: false } => limits.push(
                "the template writes quotes in a text unescaped, so that a history may not be read again"
                    .into(),
            ),
            _ => {}
        }
        match self.key {
            KeyForm::Identifier => limits.push("a parameter's name has to be a name of Python's".into()),
            KeyForm::Plain => {
                if let Some(Piece::Text(text)) = self.values.string.before.first() {
                    limits.push(format!("a parameter's name cannot hold {:?}", stem(text)));
                }
            }
            _ => {}
        }
        if matches!(self.values.null.encoding, Encoding::Omitted) {
            limits.push("null is left out with its parameter".into());
        }
        if let Encoding::Elements(elements) = &self.values.object.encoding {
            let lists = if elements.drops_null { " and lists" } else { "" };
            limits.push(format!(
                "inside objects{lists}, null is left out, and only declared parameters can be written"
            ));
            limits.push("a parameter's name cannot hold blanks, quotes, `<`, `>`, `/` or `&`".into());
        }
        if let Encoding::Nested(nested) = &self.values.object.encoding {
            let delimiter = &nested.delimiter;
            limits.push(format!(
                "inside objects and lists, a text cannot hold {delimiter:?}, and a key no `:`, `,`, brackets or braces"
            ));
        }
    }
}

/// The report of `inspect` on a model's dialect.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The dialect, as a file takes it.
    #[serde(flatten)]
    dialect: Dialect,
    #[serde(skip)]
    choice: Choice,
}

impl Report {
    /// The report of a choice.
    pub fn new(choice: Choice) -> Report {
        Report { dialect: (*choice.dialect).clone(), choice }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { dialect, choice } = self;
        let example = dialect.example();
        writeln!(f, "{}: {}\n", dialect.name, origin(choice))?;
        writeln!(f, "A call:\n{}\n", indented(&example.one))?;
        match &example.two {
            Some(two) => writeln!(f, "Two calls in a turn:\n{}\n", indented(two))?,
            None => writeln!(f, "A turn has one call.\n")?,
        }
        let mut table = Table::new(&["part", "text"], &[Align::Left; 2]);
        for (part, text) in dialect.parts() {
            table.row([part.to_owned(), text]);
        }
        write!(f, "{table}")?;
        let mut list = |title: &str, lines: &[String]| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{title}:")?;
            lines.iter().try_for_each(|line| writeln!(f, "- {}", line.replace(char::is_control, " ")))
        };
        list("It cannot say", &example.limits)?;
        list("Notes", &choice.notes)
    }
}

fn origin(choice: &Choice) -> &'static str {
    match choice.source {
        Source::Derived => "derived from the chat template",
        Source::Entry => "known for models like this one; the chat template does not tell it",
        Source::Named => "asked for by name",
        Source::File => "from a file",
        Source::Generic => "the generic format; the chat template tells none",
    }
}

/// Text of a model, which may hold control characters, indented.
fn indented(text: &str) -> String {
    let shown: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    shown.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

impl Dialect {
    /// The parts of the dialect in words.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let mut parts = vec![("before a call", shown(&self.first))];
        parts.extend(self.next.as_ref().map(|next| ("between calls", shown(next))));
        parts.push(("after the last call", shown(&self.last)));
        parts.extend((!self.end.is_empty()).then(|| ("end of turn", format!("{:?}", self.end.join(" or ")))));
        match &self.arguments {
            Arguments::Json(style) => parts.push(("arguments", format!("one JSON object, {}", word(style)))),
            Arguments::Members(members) => {
                parts.push(("before the first key", format!("{:?}", members.open)));
                parts.push(("between arguments", format!("{:?}", members.separator)));
                parts.push(("after the last value", format!("{:?}", members.close)));
                let values = &members.values;
                for (kind, form) in [
                    ("text", &values.string),
                    ("number", &values.number),
                    ("boolean", &values.boolean),
                    ("null", &values.null),
                    ("list", &values.array),
                    ("object", &values.object),
                ] {
                    parts.push((kind, format!("{} behind {}", word(&form.encoding), shown(&form.before))));
                }
            }
        }
        parts.push((
            "text beside a call",
            match &self.text {
                TextPlace::Dropped => "left out".into(),
                TextPlace::Behind => "behind the calls".into(),
                TextPlace::Before { close, .. } => format!("before the calls, then {close:?}"),
            },
        ));
        parts.extend(
            self.thought.as_ref().map(|thought| ("end of a thought", format!("{:?}", thought.close))),
        );
        parts
    }
}

/// A value of the data in its JSON spelling.
fn word(value: &impl Serialize) -> String {
    crate::json::spaced(value).replace(['"', '{', '}'], "")
}

fn shown(pieces: &[Piece]) -> String {
    let shown = |piece: &Piece| match piece {
        Piece::Text(text) => format!("{text:?}"),
        Piece::Optional { text, .. } => format!("[{text:?}]"),
        Piece::OptionalId { before, after, .. } => format!("[{before:?} ID {after:?}]"),
        Piece::Name(_) => "NAME".into(),
        Piece::Id { previous: true, .. } => "ID OF THE CALL BEFORE".into(),
        Piece::Id { .. } => "ID".into(),
        Piece::Count => "NUMBER".into(),
        Piece::Key => "KEY".into(),
    };
    pieces.iter().map(shown).collect::<Vec<_>>().join(" ")
}
