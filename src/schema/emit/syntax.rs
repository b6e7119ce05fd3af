//! The syntax of values by their place.

use super::around::{Around, Brackets};
use super::emitter::Emitter;
use super::place::{Level, Place};
use crate::schema::notation::{KeySyntax, Members, Notation, Style, marked};
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::literal::{literal, spellings};

/// A line end and the next line's indentation; the model knows how deep it is.
const LINE: &str = "/\\n {0,200}/";

/// The expression for one of `ways`.
pub(super) fn either(ways: &[String]) -> String {
    match ways {
        [only] => only.clone(),
        _ => format!("({})", ways.join(" | ")),
    }
}

impl<'a> Emitter<'a> {
    /// Does `work` for values in `place`.
    pub(super) fn within<T>(&mut self, place: Place, work: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.places.iter().position(|known| *known == place).unwrap_or(self.places.len());
        if at == self.places.len() {
            self.places.push(place);
        }
        let outer = std::mem::replace(&mut self.place, at);
        let done = work(self);
        self.place = outer;
        done
    }

    /// The place of the current value.
    pub(super) fn place(&self) -> &Place {
        &self.places[self.place]
    }

    /// The notation of the members of the whole value.
    pub(super) fn notation(&self) -> Option<&Members> {
        if let Notation::Members(members) = &self.notation { Some(members) } else { None }
    }

    /// The notation of the members at the current place, if it is an object with one.
    pub(super) fn members_here(&self) -> Option<&Members> {
        match self.place() {
            Place::Root => self.notation(),
            Place::Elements(_) => self.members_of(Level::Object),
            Place::Member { .. } | Place::Styled(_) => None,
        }
    }

    /// The notation of the members of a level.
    pub(super) fn members_of(&self, level: Level) -> Option<&Members> {
        let whole = self.notation()?;
        match level {
            Level::Whole => Some(whole),
            Level::Object => whole.elements.as_ref().map(|elements| &*elements.objects),
            Level::Array => whole.elements.as_ref().map(|elements| &*elements.items),
        }
    }

    /// The texts around an array's items.
    pub(super) fn brackets(&self) -> Brackets {
        let items = match self.place() {
            Place::Elements(_) => self.members_of(Level::Array),
            _ => None,
        };
        match items {
            Some(items) => Brackets {
                open: String::new(),
                first: marked(&items.open),
                comma: marked(&items.separator),
                close: "\"\"".into(),
            },
            None => Brackets {
                open: "\"[\"".into(),
                first: self.line().into(),
                comma: self.comma(),
                close: self.closing("]"),
            },
        }
    }

    /// The style of the current value, and of what is inside of it.
    pub(super) fn style(&self) -> Style {
        if let Place::Styled(style) = self.place() { style.clone() } else { Style::default() }
    }

    /// The spelling of strings at the current place.
    pub(super) fn spelling(&self) -> Spelling {
        match self.place() {
            Place::Styled(Style::Json { .. }) | Place::Root | Place::Elements(_) => Spelling::Json,
            Place::Styled(Style::Python) => Spelling::Python,
            Place::Styled(Style::Bare { .. }) | Place::Member { .. } => Spelling::Raw,
        }
    }

    /// The spelling of keys at the current place.
    pub(super) fn key_spelling(&self) -> Spelling {
        match self.members_here() {
            Some(members) if members.key != KeySyntax::Json => Spelling::Raw,
            _ => self.spelling(),
        }
    }

    /// `text` as a string at the current place, in each spelling that templates write.
    pub(super) fn spelled(&self, text: &str) -> Vec<String> {
        let ascii = matches!(self.style(), Style::Json { ascii: true, .. });
        spellings(text, self.spelling(), ascii)
    }

    /// Between two items.
    pub(super) fn comma(&self) -> String {
        match self.style().is_indented() {
            true => format!("\",\" {LINE}"),
            false => literal(self.style().comma()),
        }
    }

    /// Before an item on a line of its own.
    fn line(&self) -> &'static str {
        if self.style().is_indented() { LINE } else { "" }
    }

    /// The bracket after the last item. It closes a value that was cut off, too, without a line of its own.
    fn closing(&self, bracket: &str) -> String {
        match self.style().is_indented() {
            true => format!("{LINE}? \"{bracket}\""),
            false => format!("\"{bracket}\""),
        }
    }

    /// The texts around an object's members.
    pub(super) fn around(&self) -> Around {
        match self.members_here() {
            Some(members) => Around {
                open: String::new(),
                first: marked(&members.open),
                separator: marked(&members.separator),
                close: if members.close.is_empty() { "\"\"".into() } else { marked(&members.close) },
                none: "\"\"".into(),
                colon: String::new(),
            },
            _ => Around {
                open: "\"{\"".into(),
                first: self.line().into(),
                separator: self.comma(),
                close: self.closing("}"),
                none: "\"}\"".into(),
                colon: literal(self.style().colon()),
            },
        }
    }

    /// A declared key as a part of a rule; `None` if it cannot be written.
    pub(super) fn key_literal(&self, key: &str) -> Option<String> {
        match (self.place(), self.members_here()) {
            (_, Some(members)) => Some(literal(&members.key(key)?)),
            (Place::Styled(style @ Style::Bare { .. }), _) => style.writes_key(key).then(|| literal(key)),
            _ => Some(either(&self.spelled(key))),
        }
    }

    /// The terminal of any key. It is canonical, so that equal keys have equal texts.
    pub(super) fn key_terminal(&mut self) -> String {
        let text = match (self.place(), self.members_here()) {
            (_, Some(members)) => match members.key {
                KeySyntax::Json => Spelling::Json.any_canonical(),
                KeySyntax::Identifier => "[A-Za-z_][A-Za-z0-9_]*".to_owned(),
                KeySyntax::Plain | KeySyntax::Xml | KeySyntax::Tag => {
                    let mut odd = String::new();
                    members.odd_in_keys().chars().chain("&<>".chars()).for_each(|c| {
                        odd.push_str(&format!("\\x{{{:x}}}", c as u32));
                    });
                    format!("[^{odd}\\x00-\\x1f]+")
                }
            },
            (Place::Styled(Style::Bare { .. }), _) => r"[^:,{}\[\]<\x00-\x20]+".to_owned(),
            _ => self.spelling().any_canonical(),
        };
        self.rules.terminal(format!("/{text}/"))
    }
}
