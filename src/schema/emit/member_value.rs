//! The values of members in a notation, each type in its own syntax.

use std::rc::Rc;

use serde_json::Value;

use super::emitter::Emitter;
use super::place::{Level, Place};
use crate::json;
use crate::schema::normal::{Item, Shape};
use crate::schema::notation::{
    Form, ITEMS, KINDS, Members, NULLS, Style, TRUTHS, ValueSyntax, inside, marked, stem, until,
};
use crate::schema::report::Status;
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::literal::literal;
use crate::schema::value::types;

/// Longest limit of a string's length in a terminal that must not hold a text; longer ones take it seconds.
const MAX_COUNTED: u64 = 40;

impl<'a> Emitter<'a> {
    /// An expression for each type that the shape of a member's value allows.
    pub(super) fn member_value(&mut self, shape: &Shape<'a>) -> Vec<String> {
        let Place::Member { level, key, inside, types: all } = self.place().clone() else {
            return Vec::new();
        };
        let Some(members) = self.members_of(level).cloned() else { return Vec::new() };
        let key = key.as_deref().unwrap_or("");
        let mut out = Vec::new();
        for (kind, set) in KINDS.into_iter().enumerate() {
            let values: Option<Vec<&Value>> = shape.values.as_ref().map(|values| {
                values.iter().copied().filter(|value| types::type_of(value) & set != 0).collect()
            });
            if values.as_ref().is_some_and(Vec::is_empty) || shape.types & set == 0 {
                continue;
            }
            let syntax = members.value(kind);
            let (before, after) = (syntax.before(key), syntax.after(key));
            let expressions = match &syntax.form {
                Form::Omitted => Vec::new(),
                form if form.is_raw() => {
                    let beside = members.told_from_string(key, all);
                    let terminal = self.raw_terminal(shape, values.as_deref(), &members, beside, &after);
                    let Some(terminal) = terminal else { continue };
                    self.raw(form, &terminal, &after)
                }
                Form::Styled(style) => {
                    let each = self.within(Place::Styled(style.clone()), |inner| {
                        inner.styled_kind(shape, values.as_deref(), set)
                    });
                    // Where a raw string might go on, the longer terminal wins: so this one has the same text after it.
                    let string = members.value(0);
                    let beside =
                        all & types::STRING != 0 && string.form.is_raw() && string.before(key) == before;
                    match beside && set & (types::ARRAY | types::OBJECT) == 0 {
                        true if each.is_empty() => each,
                        true => vec![until(&self.rules.terminal(each.join(" | ")), &after)],
                        false => {
                            each.into_iter().map(|value| format!("{value} {}", marked(&after))).collect()
                        }
                    }
                }
                Form::Elements { .. } => {
                    let Some(inside) = inside.clone() else { continue };
                    let each = self.within(Place::Elements(inside), |inner| {
                        inner.styled_kind(shape, values.as_deref(), set)
                    });
                    each.into_iter().map(|value| format!("{value} {}", marked(&after))).collect()
                }
                _ => Vec::new(),
            };
            out.extend(expressions.into_iter().map(|value| format!("{}{value}", marked(&before))));
        }
        out
    }

    /// Expressions for a raw string that `terminal` describes.
    fn raw(&mut self, form: &Form, terminal: &str, after: &str) -> Vec<String> {
        if *form != Form::Cdata {
            return vec![until(terminal, after)];
        }
        let plain = self.rules.terminal("/[^<&\\n]*/".into());
        let plain = self.all_of(vec![terminal.to_owned(), plain]);
        let inner = self.rules.terminal("/(?s:.*)/ & ~/(?s:.*)\\]\\]>(?s:.*)/".into());
        let inner = self.all_of(vec![terminal.to_owned(), inner]);
        let cdata = format!("{}{}{}", literal("<![CDATA["), until(&inner, "]]>"), marked(after));
        vec![until(&plain, after), cdata]
    }

    /// The terminal for the raw strings of a shape; `None` if there are none.
    fn raw_terminal(
        &mut self,
        shape: &Shape<'a>,
        values: Option<&[&Value]>,
        members: &Members,
        all: u8,
        after: &str,
    ) -> Option<String> {
        let syntax = members.value(0);
        if let Some(values) = values {
            let texts = values.iter().filter_map(|value| json::string_text(value));
            let (texts, left): (Vec<&str>, Vec<&str>) =
                texts.partition(|text| members.writes(text, syntax, all, after));
            left.iter().for_each(|text| self.leave_out(shape, &json::spaced(text)));
            let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
            return (!texts.is_empty()).then(|| self.rules.terminal(texts.join(" | ")));
        }
        let mut parts = self.string_parts(shape)?;
        if syntax.form != Form::Cdata {
            parts.push(format!(
                "~{}",
                self.rules.terminal(format!("/(?s:.*){}(?s:.*)/", escaped(stem(after))))
            ));
        }
        if syntax.form == Form::Trimmed {
            parts.push(self.rules.terminal("/(?:\\S(?:(?s:.*)\\S)?)?/".into()));
        }
        if let Some(other) = other_types(all & !types::STRING, members.container_starts()) {
            parts.push(format!("~{}", self.rules.terminal(other)));
        }
        Some(self.all_of(parts))
    }

    /// Expressions for the values of one type in the current style.
    fn styled_kind(&mut self, shape: &Shape<'a>, values: Option<&[&'a Value]>, set: u8) -> Vec<String> {
        if let Some(values) = values {
            return self.enumerated(shape, values);
        }
        match set {
            types::STRING => self.string(shape).into_iter().collect(),
            types::NULL => self.null(shape),
            types::BOOLEAN => self.booleans(shape),
            types::ARRAY => self.array(shape).into_iter().collect(),
            types::OBJECT => self.object(shape).into_iter().collect(),
            _ => self.number(shape).into_iter().collect(),
        }
    }

    /// The types of the values that satisfy `items`, or more.
    pub(super) fn types_of(&mut self, items: &[Item], depth: usize) -> u8 {
        if items.is_empty() {
            return types::ALL;
        }
        let mut conjunction = self.normal.flatten(items);
        if conjunction.never {
            return 0;
        }
        let Some((id, choice)) = conjunction.choices.iter().next().cloned() else {
            let shape = self.normal.shape(conjunction);
            return match &shape.values {
                Some(values) => values.iter().fold(0, |all, value| all | types::type_of(value)),
                None => shape.types,
            };
        };
        if depth == 0 {
            return conjunction.types;
        }
        conjunction.choices.remove(&(id, choice.clone()));
        let base = conjunction.items();
        let found = self.normal.alternatives(id, &choice);
        found
            .conjunctions
            .iter()
            .fold(0, |all, option| all | self.types_of(&[&base, &**option].concat(), depth - 1))
    }

    /// The place of the value of a member; `None` for the members of a value in a style.
    pub(super) fn member_place(&mut self, key: Option<&Rc<str>>, items: &[Item]) -> Place {
        match self.place().clone() {
            Place::Root => self.place_of(Level::Whole, None, key, items),
            Place::Elements(under) => self.place_of(Level::Object, Some(under), key, items),
            other => other,
        }
    }

    /// The rule or terminal for an array's item that satisfies `items`; `None` if there is none.
    pub(super) fn item(&mut self, items: &[Item]) -> Option<String> {
        let place = match self.place().clone() {
            Place::Elements(under) => self.place_of(Level::Array, Some(under), Some(&ITEMS.into()), items),
            other => other,
        };
        self.within(place, |inner| inner.value_or_anything(items))
    }

    fn place_of(
        &mut self,
        level: Level,
        under: Option<Rc<str>>,
        key: Option<&Rc<str>>,
        items: &[Item],
    ) -> Place {
        const CHOICES: usize = 4;
        let found = self.types_of(items, CHOICES);
        let seen = (under.clone(), key.cloned());
        let (under, name) = (under.as_deref(), key.map(|key| &**key));
        if self.key_types.add(under, name, found) && self.seen_keys.contains(&seen) {
            self.types_grew = true;
        }
        self.seen_keys.insert(seen);
        let types = self.key_types.types(under, name);
        let has_key =
            self.members_of(level).is_some_and(|members| members.values.iter().any(ValueSyntax::has_key));
        let has_elements = self.notation().is_some_and(|members| members.elements.is_some());
        let inside = name.filter(|_| has_elements).map(|key| inside(under, key).into());
        Place::Member { level, key: key.filter(|_| has_key).cloned(), inside, types }
    }

    /// Leaves limits of a string's length to the check that a terminal cannot count up to.
    pub(super) fn counted_lengths(&mut self, shape: &Shape<'_>) -> (u64, Option<u64>) {
        if self.spelling() != Spelling::Raw {
            return (shape.min_length, shape.max_length);
        }
        let (min, max) = (shape.min_length, shape.max_length);
        let ids: Vec<_> = shape.conjunction.locals.iter().copied().collect();
        for (word, limit) in [("minLength", Some(min)), ("maxLength", max)] {
            if limit.is_some_and(|limit| limit > MAX_COUNTED) {
                for id in &ids {
                    if self.normal.document.value(*id).get(word).is_some() {
                        self.normal.mark(
                            *id,
                            word,
                            Status::CheckedAfter,
                            "too long to be counted in raw text",
                        );
                    }
                }
            }
        }
        (if min > MAX_COUNTED { 1 } else { min }, max.filter(|max| *max <= MAX_COUNTED))
    }

    /// The condition that a string does not hold the text that ends it.
    pub(super) fn without_delimiter(&mut self, style: &Style) -> Option<String> {
        let Style::Bare { delimiter } = style else { return None };
        Some(format!("~{}", self.rules.terminal(format!("/(?s:.*){}(?s:.*)/", escaped(delimiter)))))
    }
}

/// The texts that read as values of `set`, and all that begin as arrays and objects do, as the body of a terminal.
fn other_types(set: u8, [array, object]: [&str; 2]) -> Option<String> {
    let mut texts = Vec::new();
    if set & types::NULL != 0 {
        texts.extend(NULLS.iter().map(|word| (*word).to_owned()));
    }
    if set & types::BOOLEAN != 0 {
        texts.extend(TRUTHS.iter().map(|(_, word)| (*word).to_owned()));
    }
    if set & (types::INTEGER | types::FRACTION) != 0 {
        texts.push(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+\-]?[0-9]+)?".into());
    }
    if set & types::ARRAY != 0 {
        texts.push(format!("{}(?s:.*)", escaped(array)));
    }
    if set & types::OBJECT != 0 {
        texts.push(format!("{}(?s:.*)", escaped(object)));
    }
    (!texts.is_empty()).then(|| format!("/{}/", texts.join("|")))
}

/// `text` as a regular expression.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", c as u32) })
        .collect()
}
