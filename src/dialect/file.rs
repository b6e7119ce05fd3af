//! Dialects in files: one JSON object with the fields of [`Dialect`].

use super::{
    Arguments, ByType, Dialect, Encoding, Error, Members, Piece, TextPlace, ValueForm, error::Result, head,
};
use crate::{json, tools};

/// Most bytes of a file.
const MAX_BYTES: usize = 64 << 10;
/// Most pieces of a text, and most tokens or ways in a list.
const MAX_PIECES: usize = 64;
/// Most bytes of a literal text.
const MAX_TEXT: usize = 4 << 10;
/// Longest id.
const MAX_ID: u32 = 64;

impl Dialect {
    /// Reads a dialect from JSON and checks it.
    ///
    /// # Errors
    /// [`Error::Utf8`], [`Error::TooLarge`], and [`Error::Json`] or [`Error::Field`] with the field.
    pub fn parse(bytes: &[u8]) -> Result<Dialect> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::TooLarge { bytes: bytes.len(), most: MAX_BYTES });
        }
        let text = json::text(bytes).map_err(Error::Utf8)?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let dialect: Dialect = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
            let field = match error.path().to_string() {
                path if path == "." => String::new(),
                path => path,
            };
            Error::Json { field, source: error.into_inner() }
        })?;
        parser.end().map_err(|source| Error::Json { field: String::new(), source })?;
        dialect.check()?;
        Ok(dialect)
    }

    /// Checks that the dialect can be written and read.
    ///
    /// # Errors
    /// [`Error::Field`] with the field.
    pub fn check(&self) -> Result<()> {
        if self.name.is_empty() || self.name.len() > 64 || self.name.contains(char::is_control) {
            return Err(wrong("name", "has to be one to 64 printable characters"));
        }
        self.check_calls()?;
        for (field, list) in [("end", self.end.len()), ("also_first", self.also_first.len())] {
            if list > MAX_PIECES {
                return Err(wrong(field, format!("has {list} items; at most {MAX_PIECES} are read")));
            }
        }
        for (nth, token) in self.end.iter().enumerate() {
            literal(&format!("end[{nth}]"), token)?;
            if token.is_empty() {
                return Err(wrong(&format!("end[{nth}]"), "is empty"));
            }
        }
        if let TextPlace::Before { open, close } = &self.text {
            literal("text.before.open", open)?;
            literal("text.before.close", close)?;
        }
        if let Some(thought) = &self.thought {
            literal("thought.open", &thought.open)?;
            literal("thought.close", &thought.close)?;
            literal("thought.none", &thought.none)?;
            if thought.close.is_empty() {
                return Err(wrong("thought.close", "is empty, so that no thought could end"));
            }
        }
        if let Arguments::Members(members) = &self.arguments {
            check_members(members)?;
        }
        self.check_heads()?;
        match self.notation() {
            Ok(_) => Ok(()),
            Err(tools::Error::Dialect { problem, .. }) => {
                Err(wrong("arguments", format!("cannot be enforced: {problem}")))
            }
            Err(other) => Err(wrong("arguments", other.to_string())),
        }
    }

    /// Checks that every name ends.
    fn check_heads(&self) -> Result<()> {
        let heads = self.heads().map_err(|error| wrong("first", error.to_string()))?;
        let also = (0..).map(|nth| format!("also_first[{nth}]"));
        let fields = std::iter::once("first".to_owned()).chain(also).zip(&heads.first);
        let next = heads.next.iter().map(|head| ("next".to_owned(), head));
        match fields.chain(next).find_map(|(field, head)| Some((field, head.problem()?))) {
            Some((field, problem)) => Err(wrong(&field, format!("has what {problem}"))),
            None => Ok(()),
        }
    }

    fn check_calls(&self) -> Result<()> {
        let firsts = self.also_first.iter().enumerate();
        let firsts = firsts.map(|(nth, pieces)| (format!("also_first[{nth}]"), pieces));
        for (field, pieces) in std::iter::once(("first".to_owned(), &self.first)).chain(firsts) {
            self.around_call(&field, pieces, false)?;
            names(&field, pieces)?;
        }
        if let Some(next) = &self.next {
            self.around_call("next", next, true)?;
            names("next", next)?;
        }
        self.around_call("last", &self.last, false)
    }

    fn around_call(&self, field: &str, pieces: &[Piece], between: bool) -> Result<()> {
        check_pieces(field, pieces)?;
        for (nth, piece) in pieces.iter().enumerate() {
            let wrong = |problem: &str| Err(wrong(&format!("{field}[{nth}]"), problem));
            match piece {
                Piece::Key => return wrong("is a key; only the text around a value has one"),
                Piece::Count if self.count.is_none() => {
                    return wrong("is a counter, but there is no `count` that says where it starts");
                }
                Piece::Id { previous: true, .. } if !between => {
                    return wrong("is the id of a call before, which only `next` can have");
                }
                Piece::Id { length, .. } | Piece::OptionalId { length, .. }
                    if *length == 0 || *length > MAX_ID =>
                {
                    return wrong("is an id whose length is not from 1 to 64");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn wrong(field: &str, problem: impl Into<String>) -> Error {
    Error::Field { field: field.to_owned(), problem: problem.into() }
}

/// Checks that there is a name, and that a text follows it. Others behind it repeat it.
fn names(field: &str, pieces: &[Piece]) -> Result<()> {
    let Some(at) = pieces.iter().position(|piece| matches!(piece, Piece::Name(_))) else {
        return Err(wrong(field, "has no {\"name\": ...}, so no tool could be called"));
    };
    match pieces.get(at + 1) {
        None | Some(Piece::Text(_)) => Ok(()),
        Some(_) => Err(wrong(&format!("{field}[{}]", at + 1), "has to be a text, which ends the name")),
    }
}

fn check_pieces(field: &str, pieces: &[Piece]) -> Result<()> {
    if pieces.len() > MAX_PIECES {
        return Err(wrong(field, format!("has {} pieces; at most {MAX_PIECES} are read", pieces.len())));
    }
    for (nth, pair) in pieces.windows(2).enumerate() {
        let (Piece::Optional { text: begins, .. } | Piece::OptionalId { before: begins, .. }) = &pair[0]
        else {
            continue;
        };
        if head::starts(&pair[1..]).iter().any(|next| next.starts_with(begins.as_str())) {
            let problem = "is optional, but what follows begins in the same way";
            return Err(wrong(&format!("{field}[{nth}]"), problem));
        }
    }
    for (nth, piece) in pieces.iter().enumerate() {
        let texts = match piece {
            Piece::Text(text) | Piece::Optional { text, .. } => vec![text],
            Piece::OptionalId { before, after, .. } => vec![before, after],
            _ => Vec::new(),
        };
        texts.into_iter().try_for_each(|text| literal(&format!("{field}[{nth}]"), text))?;
    }
    Ok(())
}

fn literal(field: &str, text: &str) -> Result<()> {
    match text.len() {
        bytes @ MAX_TEXT.. => Err(wrong(field, format!("has {bytes} bytes; at most {MAX_TEXT} are read"))),
        _ => Ok(()),
    }
}

fn check_members(members: &Members) -> Result<()> {
    for (field, text) in
        [("open", &members.open), ("separator", &members.separator), ("close", &members.close)]
    {
        literal(&format!("arguments.members.{field}"), text)?;
    }
    let ByType { string, number, boolean, null, array, object } = &members.values;
    for (kind, form) in [
        ("string", string),
        ("number", number),
        ("boolean", boolean),
        ("null", null),
        ("array", array),
        ("object", object),
    ] {
        check_value(&format!("arguments.members.values.{kind}"), form, members)?;
    }
    Ok(())
}

fn check_value(field: &str, form: &ValueForm, members: &Members) -> Result<()> {
    for (side, pieces) in [("before", &form.before), ("after", &form.after)] {
        let side = format!("{field}.{side}");
        check_pieces(&side, pieces)?;
        let odd = pieces.iter().position(|piece| !matches!(piece, Piece::Text(_) | Piece::Key));
        if let Some(nth) = odd {
            return Err(wrong(&format!("{side}[{nth}]"), "is neither a text nor the key"));
        }
    }
    if form.before.is_empty() {
        return Err(wrong(&format!("{field}.before"), "is empty, so that no key could end"));
    }
    let delimiter = match &form.encoding {
        Encoding::Delimited { delimiter } => Some(delimiter),
        Encoding::Nested(nested) => Some(&nested.delimiter),
        _ => None,
    };
    if delimiter.is_some_and(String::is_empty) {
        return Err(wrong(&format!("{field}.encoding"), "has an empty delimiter"));
    }
    let raw = matches!(form.encoding, Encoding::Raw | Encoding::RawTrimmed | Encoding::RawOrCdata);
    let ends = !form.after.is_empty() || (!members.separator.is_empty() && !members.close.is_empty());
    if raw && !ends {
        return Err(wrong(&format!("{field}.after"), "is empty, so that no text could end"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn xml() -> Value {
        let value = |encoding: Value| json!({"before": [">\n"], "encoding": encoding});
        let json_value = value(json!({"json": "spaced"}));
        json!({
            "name": "mine",
            "first": ["<call>\n<f=", {"name": "plain"}, ">\n"],
            "next": ["</f>\n</call>\n<call>\n<f=", {"name": "plain"}, ">\n"],
            "last": ["</f>\n</call>"],
            "arguments": {"members": {
                "open": "<p=", "separator": "\n</p>\n<p=", "close": "\n</p>\n",
                "values": {"string": value(json!("raw")), "number": json_value, "boolean": json_value,
                           "null": json_value, "array": json_value, "object": json_value},
            }},
        })
    }

    #[test]
    fn a_dialect_is_written_to_json_and_read_again() {
        let dialect = Dialect::parse(xml().to_string().as_bytes()).unwrap();
        let text = serde_json::to_vec(&dialect).unwrap();
        assert_eq!(Dialect::parse(&text).unwrap(), dialect);
    }

    #[test]
    fn texts_that_read_like_pieces_come_back_as_texts() {
        for text in ["count", "key", "name", "text", "{\"text\": \"x\"}", ""] {
            let mut document = xml();
            document["first"] = json!([{"text": text}, {"name": "plain"}, ">\n"]);
            let dialect = Dialect::parse(document.to_string().as_bytes()).unwrap();
            assert_eq!(dialect.first[0], Piece::Text(text.to_owned()));
            let again = Dialect::parse(&serde_json::to_vec(&dialect).unwrap()).unwrap();
            assert_eq!(again, dialect, "{text}");
        }
        let mut document = xml();
        document["first"] = json!(["<f=", {"name": "plain"}, ":", "count"]);
        document["count"] = json!({"start": 0, "conversation": false});
        assert_eq!(Dialect::parse(document.to_string().as_bytes()).unwrap().first[3], Piece::Count);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let change = |pointer: &str, value: Value| {
            let mut document = xml();
            match document.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => document[&pointer[1..]] = value,
            }
            let error = Dialect::parse(document.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.kind(), crate::kind::Kind::Data);
            match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }
        };
        let values = "/arguments/members/values";
        for (pointer, value, expected) in [
            ("/first".to_owned(), json!(["<call>"]), "`first` has no {\"name\""),
            ("/first".to_owned(), json!([{"name": "plain"}, "count"]), "`first[1]` is a counter"),
            ("/last".to_owned(), json!([{"id": {"length": 0}}]), "`last[0]` is an id"),
            (
                "/last".to_owned(),
                json!([{"id": {"length": 9, "previous": true}}]),
                "`last[0]` is the id of a call before",
            ),
            ("/first/1/name".to_owned(), json!("loud"), "first[1]"),
            ("/first/1".to_owned(), json!({"id": {"length": 9, "prevous": true}}), "unknown field `prevous`"),
            ("/first/1".to_owned(), json!({"optional": {"text": "x"}}), "missing field `written`"),
            ("/first/1".to_owned(), json!({"nme": "plain"}), "unknown variant `nme`"),
            ("/first/1".to_owned(), json!(7), "invalid type: integer `7`, expected a text"),
            ("/first".to_owned(), json!(["<f>", {"name": "json"}, ">"]), "`first` has what is a JSON name"),
            ("/first".to_owned(), json!(["<f>", {"name": "json"}]), "`first` has what is a JSON name"),
            (
                "/last".to_owned(),
                json!([{"optional": {"text": "</", "written": false}}, "</f>"]),
                "`last[0]` is optional, but",
            ),
            (
                "/last".to_owned(),
                json!([{"optional_id": {"before": "", "length": 4, "after": ""}}, "</f>"]),
                "`last[0]` is optional, but",
            ),
            (
                "/arguments/members/separator".to_owned(),
                json!("</p>"),
                "`arguments` cannot be enforced: no text ends a string",
            ),
            ("/name".to_owned(), json!(""), "`name`"),
            ("/nme".to_owned(), json!(""), "unknown field `nme`"),
            (format!("{values}/null/before"), json!([]), "`arguments.members.values.null.before` is empty"),
            (format!("{values}/string/encoding"), json!({"delimited": {"delimiter": ""}}), "empty delimiter"),
            (format!("{values}/string/encoding"), json!("rae"), "arguments.members.values.string.encoding"),
            ("/arguments/members/close".to_owned(), json!(""), "values.string.after` is empty"),
            ("/end".to_owned(), json!(["x".repeat(5000)]), "`end[0]` has 5000 bytes"),
        ] {
            let message = change(&pointer, value);
            assert!(message.contains(expected), "{pointer}: {message}");
        }
        for bytes in [&b""[..], b"[]", b"{", &[0xff, 0xfe, 0], &vec![b' '; MAX_BYTES + 1]] {
            assert!(Dialect::parse(bytes).is_err());
        }
    }
}
