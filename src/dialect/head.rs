//! The text before a call's arguments: written, found in a text, and as a part of a grammar.

use super::{NameForm, Piece, lark};
use crate::json;

/// Any text: a placeholder for what the next stage will constrain.
const ANYTHING: &str = "/(?s:.*)/";

/// The pieces before a call's arguments, apart at the name.
#[derive(Clone, Debug)]
pub(super) struct Head {
    before: Vec<Piece>,
    form: NameForm,
    after: Vec<Piece>,
    /// Texts that end a plain name.
    ends: Vec<String>,
}

impl Head {
    /// The head in `pieces`; `None` without a name in them. `then`: texts that may follow the whole head.
    pub(super) fn new(pieces: &[Piece], then: &[String]) -> Option<Head> {
        let at = pieces.iter().position(|piece| matches!(piece, Piece::Name(_)))?;
        let (before, rest) = pieces.split_at(at);
        let (Piece::Name(form), after) = rest.split_first()? else { return None };
        let ends = match after.iter().find_map(literal).filter(|text| !text.is_empty()) {
            Some(end) => vec![end.to_owned()],
            None => then.iter().filter(|text| !text.is_empty()).cloned().collect(),
        };
        Some(Head { before: before.to_vec(), form: *form, after: after.to_vec(), ends })
    }

    /// The head of a call behind a text: without the blanks that it starts with, which may be others there.
    pub(super) fn behind_text(self) -> Head {
        Head { before: behind_text(&self.before), ..self }
    }

    /// The text that ends a plain name and is in `name`, which therefore cannot be written.
    pub(super) fn end_in(&self, name: &str) -> Option<&str> {
        let plain = self.form != NameForm::Json;
        let written = self.written_name(name);
        self.ends.iter().map(String::as_str).find(|end| plain && written.contains(end))
    }

    /// A tool's name as the head writes it.
    pub(super) fn written_name(&self, name: &str) -> String {
        match self.form {
            NameForm::Plain => name.to_owned(),
            NameForm::Json => in_quotes(name),
            NameForm::Xml => xml(name),
        }
    }

    /// The text from the start of the head to the name, and that from the name's end to the arguments.
    pub(super) fn around(&self, name: &str, count: u32) -> [String; 2] {
        [text(&self.before, name, count), text(&self.after, name, count)]
    }

    /// The rest of `text` after the part before the name; `None` if it does not start with that.
    pub(super) fn strip_before<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        strip(&self.before, "", text)
    }

    /// True if the start of the head is somewhere in `text`.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let first = self.before.iter().find(|piece| !is_optional(piece));
        first.and_then(literal).is_none_or(|start| find(text, start.as_bytes()).is_some())
    }

    /// Splits the text from the name on into the name and the text of the arguments; `None` while the name is
    /// incomplete. The arguments are `None` until they may start.
    pub(super) fn split<'t>(&self, text: &'t [u8]) -> Option<(String, Option<&'t [u8]>)> {
        let at = match self.form {
            NameForm::Json => json_name_length(text)?,
            NameForm::Plain | NameForm::Xml => {
                self.ends.iter().filter_map(|end| find(text, end.as_bytes())).min()?
            }
        };
        let (name, rest) = text.split_at(at);
        let name = std::str::from_utf8(name).ok()?;
        let name = match self.form {
            NameForm::Json => serde_json::from_str(&format!("\"{name}\"")).ok()?,
            NameForm::Plain => name.to_owned(),
            NameForm::Xml => from_xml(name),
        };
        let arguments = self.strip_after(&name, rest);
        Some((name, arguments))
    }

    /// The rest of `text` after the part behind the name; `None` if it does not start with that.
    pub(super) fn strip_after<'t>(&self, name: &str, text: &'t [u8]) -> Option<&'t [u8]> {
        strip(&self.after, name, text)
    }

    /// The problem of a head behind whose name no text stands that ends it.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self.form {
            NameForm::Json
                if !self.after.first().and_then(literal).is_some_and(|text| text.starts_with('"')) =>
            {
                Some("is a JSON name, but the text behind it does not begin with a quote")
            }
            NameForm::Plain | NameForm::Xml if self.ends.is_empty() => Some("is a name that no text ends"),
            _ => None,
        }
    }

    /// The head as a part of a rule, followed by anything. A name at its end ends with what may follow it.
    pub(super) fn begun(&self, names: &[&str], count: u32, marks: lark::Marks<'_>) -> String {
        let ends: Vec<String> = match self.ends_with_name() {
            true => self.ends.iter().map(|end| lark::cut(end, marks)).collect(),
            false => Vec::new(),
        };
        let ends = if ends.is_empty() { String::new() } else { format!("({}) ", ends.join("| ")) };
        format!("{}{ends}{ANYTHING}", self.lark(names, count, marks))
    }

    /// True if no text of the head is behind the name.
    pub(super) fn ends_with_name(&self) -> bool {
        self.after.iter().find_map(literal).is_none_or(str::is_empty)
    }

    /// The head as a part of a rule, for a call of one of `names`.
    pub(super) fn lark(&self, names: &[&str], count: u32, marks: lark::Marks<'_>) -> String {
        let repeated = self.after.iter().any(|piece| matches!(piece, Piece::Name(_)));
        let before = pieces_lark(&self.before, "", count, marks);
        let written = |name: &&str| lark::cut(&self.written_name(name), &|_| None);
        if !repeated {
            let names: Vec<String> = names.iter().map(written).collect();
            let after = pieces_lark(&self.after, "", count, marks);
            let names = if names.len() == 1 { names.concat() } else { format!("({}) ", names.join("| ")) };
            return format!("{before}{names}{after}");
        }
        let whole =
            |name: &&str| format!("{}{}", written(name), pieces_lark(&self.after, name, count, marks));
        format!("{before}({}) ", names.iter().map(whole).collect::<Vec<_>>().join("| "))
    }
}

/// The text of `pieces`, as it is written.
pub(super) fn text(pieces: &[Piece], name: &str, count: u32) -> String {
    let each = pieces.iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Optional { text, written: true } => text.clone(),
        Piece::Optional { written: false, .. } | Piece::OptionalId { .. } | Piece::Key => String::new(),
        Piece::Name(NameForm::Plain) => name.to_owned(),
        Piece::Name(NameForm::Json) => in_quotes(name),
        Piece::Name(NameForm::Xml) => xml(name),
        Piece::Id { length, .. } => "0".repeat(*length as usize),
        Piece::Count => count.to_string(),
    });
    each.collect()
}

/// The rest of `text` after `pieces`; `None` if it does not start with them.
pub(super) fn strip<'t>(pieces: &[Piece], name: &str, text: &'t [u8]) -> Option<&'t [u8]> {
    pieces.iter().try_fold(text, |rest, piece| match piece {
        Piece::Text(text) => rest.strip_prefix(text.as_bytes()),
        Piece::Optional { text, .. } => Some(rest.strip_prefix(text.as_bytes()).unwrap_or(rest)),
        Piece::OptionalId { before, length, after } => match rest.strip_prefix(before.as_bytes()) {
            Some(rest) => strip_id(*length, rest)?.strip_prefix(after.as_bytes()),
            None => Some(rest),
        },
        Piece::Key => Some(rest),
        Piece::Name(_) => rest.strip_prefix(self::text(std::slice::from_ref(piece), name, 0).as_bytes()),
        Piece::Id { length, .. } => strip_id(*length, rest),
        Piece::Count => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // More digits may follow at the end of an incomplete text.
            (digits > 0 && digits < rest.len()).then(|| &rest[digits..])
        }
    })
}

/// The rest of `text` after an id of `length` letters and digits; `None` if it does not start with one.
fn strip_id(length: u32, text: &[u8]) -> Option<&[u8]> {
    let (id, rest) = text.split_at_checked(length as usize)?;
    id.iter().all(u8::is_ascii_alphanumeric).then_some(rest)
}

/// `pieces` before the name of a call that follows a text: without the blanks at their start.
pub(super) fn behind_text(pieces: &[Piece]) -> Vec<Piece> {
    let is_blank = |piece: &&Piece| matches!(piece, Piece::Optional { text, .. } | Piece::Text(text) if text.trim().is_empty());
    let blanks = pieces.iter().take_while(is_blank).count();
    match &pieces[blanks..] {
        [Piece::Text(text), rest @ ..] => [&[Piece::Text(text.trim_start().to_owned())], rest].concat(),
        // Nothing else tells where the call begins.
        _ => pieces.to_vec(),
    }
}

/// The texts that `pieces` may start with.
pub(super) fn starts(pieces: &[Piece]) -> Vec<String> {
    let mut starts = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Optional { text, .. } | Piece::OptionalId { before: text, .. } => {
                starts.push(text.clone())
            }
            _ => {
                starts.push(pieces[at..].iter().map_while(literal).collect());
                break;
            }
        }
    }
    starts
}

/// True for a piece that a model may leave out.
fn is_optional(piece: &Piece) -> bool {
    matches!(piece, Piece::Optional { .. } | Piece::OptionalId { .. })
}

/// `pieces` as a part of a rule.
pub(super) fn pieces_lark(pieces: &[Piece], name: &str, count: u32, marks: lark::Marks<'_>) -> String {
    let (mut out, mut pending) = (String::new(), String::new());
    for piece in pieces {
        match piece {
            Piece::Optional { text, .. } => {
                out += &lark::cut(&std::mem::take(&mut pending), marks);
                out += &format!("({})? ", lark::cut(text, marks));
            }
            Piece::OptionalId { before, length, after } => {
                out += &lark::cut(&std::mem::take(&mut pending), marks);
                let (before, after) = (lark::cut(before, marks), lark::cut(after, marks));
                out += &format!("({before}{}{after})? ", id_lark(*length));
            }
            Piece::Id { length, .. } => {
                out += &lark::cut(&std::mem::take(&mut pending), marks);
                out += &id_lark(*length);
            }
            other => pending += &text(std::slice::from_ref(other), name, count),
        }
    }
    out + &lark::cut(&pending, marks)
}

/// An id of `length` letters and digits as a part of a rule.
fn id_lark(length: u32) -> String {
    format!("/[a-zA-Z0-9]{{{length}}}/ ")
}

/// The literal text of a piece.
pub(super) fn literal(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Text(text) => Some(text),
        _ => None,
    }
}

/// Length of a name inside of JSON's quotes; `None` while its closing quote is missing.
fn json_name_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `text` as it is inside of JSON's quotes.
fn in_quotes(text: &str) -> String {
    let quoted = json::spaced(&text);
    quoted[1..quoted.len() - 1].to_owned()
}

/// `text` with the characters escaped that end a quoted attribute.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;")
}

/// The text that [`xml`] escaped.
pub(super) fn from_xml(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Offset of `part` in `text`.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}
