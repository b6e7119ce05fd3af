//! Values of one terminal: null, booleans, numbers, enumerations.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::around::Brackets;
use super::emitter::Emitter;
use super::members::{Member, Members};
use super::place::{Level, Place};
use super::syntax::either;
use crate::json;
use crate::schema::normal::Shape;
use crate::schema::notation::{Form, ITEMS, KINDS, Style, inside, marked, until};
use crate::schema::options::Meaning;
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::literal::spelled;
use crate::schema::terminal::multiple;
use crate::schema::terminal::number::{self, Limits};
use crate::schema::terminal::range::{self, READABLE_DIGITS};
use crate::schema::value::types;

/// Integer digits of the bound next to zero, if all numbers are on one side of zero.
fn near_digits(shape: &Shape<'_>) -> usize {
    let low = shape.low.as_ref().filter(|bound| !bound.value.negative);
    let high = shape.high.as_ref().filter(|bound| bound.value.negative);
    low.into_iter().chain(high).map(|bound| bound.value.integer.len()).max().unwrap_or(0)
}

/// Integer digits of the longest readable bound.
fn bound_digits(shape: &Shape<'_>) -> usize {
    let digits = shape.low.iter().chain(&shape.high).map(|bound| bound.value.integer.len());
    digits.filter(|digits| *digits <= READABLE_DIGITS).max().unwrap_or(0)
}

impl<'a> Emitter<'a> {
    /// An expression for each type that the shape allows.
    pub(super) fn expressions(&mut self, shape: &Shape<'a>) -> Vec<String> {
        match self.place() {
            Place::Styled(_) => self.styled(shape),
            Place::Member { .. } => self.member_value(shape),
            Place::Root => self.whole(shape),
            // Their members and items are values, they themselves a part of one.
            Place::Elements(_) => Vec::new(),
        }
    }

    /// Expressions for the objects whose members have a notation.
    fn whole(&mut self, shape: &Shape<'a>) -> Vec<String> {
        match &shape.values {
            Some(values) => {
                let values: Vec<_> = values.iter().copied().filter(|value| value.is_object()).collect();
                let values = self.written_members(shape, values);
                values.into_iter().map(|value| self.constant(value)).collect()
            }
            None if shape.types & types::OBJECT != 0 => self.object(shape).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Expressions for values in the current style.
    fn styled(&mut self, shape: &Shape<'a>) -> Vec<String> {
        if let Some(values) = &shape.values {
            return self.enumerated(shape, values);
        }
        if shape.types == types::ALL && shape.conjunction.items().is_empty() {
            return vec![self.anything()];
        }
        let mut out = Vec::new();
        if shape.types & types::NULL != 0 {
            out.extend(self.null(shape));
        }
        if shape.types & types::BOOLEAN != 0 {
            out.extend(self.booleans(shape));
        }
        if shape.types & (types::INTEGER | types::FRACTION) != 0 {
            out.extend(self.number(shape));
        }
        if shape.types & types::STRING != 0 {
            out.extend(self.string(shape));
        }
        if shape.types & types::ARRAY != 0 {
            out.extend(self.array(shape));
        }
        if shape.types & types::OBJECT != 0 {
            out.extend(self.object(shape));
        }
        out
    }

    /// Expressions for null, if the shape allows it.
    pub(super) fn null(&self, shape: &Shape<'a>) -> Vec<String> {
        let left = !shape.excluded.contains(&&Value::Null);
        self.style().nulls().iter().filter(|_| left).map(|word| format!("\"{word}\"")).collect()
    }

    /// Expressions for the booleans that the shape allows.
    pub(super) fn booleans(&self, shape: &Shape<'a>) -> Vec<String> {
        let left = |v: bool| !shape.excluded.contains(&&Value::Bool(v));
        let truths = self.style().truths();
        truths.iter().filter(|(value, _)| left(*value)).map(|(_, word)| format!("\"{word}\"")).collect()
    }

    pub(super) fn any_number(&mut self) -> String {
        let text = number::any(self.normal.limits());
        self.rules.terminal(format!("/{text}/"))
    }

    /// The rule or terminal of any string.
    pub(super) fn any_string(&mut self) -> String {
        let spelling = self.spelling();
        let (quote, character) = (spelling.quote(), spelling.any_char());
        let mut text = format!("/{quote}{character}*{quote}/");
        if spelling == Spelling::Python {
            text += &format!(" | /\"{}*\"/", character.replacen('\'', "\"", 1));
        }
        let terminal = self.rules.terminal(text);
        self.delimited(terminal)
    }

    /// A string that `terminal` describes, with the delimiters of the current style, if it has some.
    pub(super) fn delimited(&mut self, terminal: String) -> String {
        let style = self.style();
        let Style::Bare { delimiter } = &style else { return terminal };
        let Some(without) = self.without_delimiter(&style) else { return terminal };
        let inner = self.all_of(vec![terminal, without]);
        format!("{}{}", marked(delimiter), until(&inner, delimiter))
    }

    pub(super) fn number(&mut self, shape: &Shape<'a>) -> Option<String> {
        let limits = self.normal.limits();
        let whole = shape.types & types::FRACTION == 0;
        let mut parts = Vec::new();
        // Exclusions are expressed by digits, so exponents are not allowed with them.
        let plain =
            !shape.not_multiples.is_empty() || shape.excluded.iter().any(|v| json::number_text(v).is_some());
        let base = if shape.low.is_some() || shape.high.is_some() {
            range::range(shape.low.as_ref(), shape.high.as_ref(), whole, limits)?
        } else if whole {
            number::any_integer(limits)
        } else if plain {
            number::plain(limits)
        } else {
            number::any(limits)
        };
        parts.push(self.rules.terminal(format!("/{base}/")));
        // Bounds may lead to longer literals.
        let long =
            Limits { integer: limits.integer.max(near_digits(shape) + 1).max(bound_digits(shape)), ..limits };
        if shape.types & types::INTEGER == 0 {
            let integers = number::every_integer(long);
            parts.push(format!("~{}", self.rules.terminal(format!("/{integers}/"))));
        }
        for (id, divisor) in &shape.multiples {
            match multiple::multiples(divisor, whole, long) {
                Some(text) => parts.push(self.rules.terminal(format!("/{text}/"))),
                None => {
                    self.normal.relax(*id, "multipleOf", "its last digits do not tell a multiple");
                    // Few enough digits that all validators agree, with or without doubles.
                    let places = divisor.fraction.len();
                    let few = Limits { integer: 14_usize.saturating_sub(places), fraction: places, ..limits };
                    if self.normal.meaning == Meaning::Tool && near_digits(shape) <= few.integer + 1 {
                        parts.push(self.rules.terminal(format!("/{}/", number::plain(few))));
                    }
                }
            }
        }
        for value in &shape.excluded {
            if let Some(literal) = json::number_text(value) {
                let same = number::every_spelling(&literal, self.normal.meaning);
                parts.push(format!("~{}", self.rules.terminal(format!("/{same}/"))));
            }
        }
        for divisor in &shape.not_multiples {
            if let Some(text) = multiple::every_multiple(divisor, limits) {
                parts.push(format!("~{}", self.rules.terminal(format!("/{text}/"))));
            }
        }
        Some(self.all_of(parts))
    }

    /// The intersection of the terminals.
    pub(super) fn all_of(&mut self, parts: Vec<String>) -> String {
        if parts.len() == 1 {
            return parts.into_iter().next().expect("there is one");
        }
        self.rules.terminal(parts.join(" & "))
    }

    /// Terminals of enumerated values; strings share one, and so do numbers.
    pub(super) fn enumerated(&mut self, shape: &Shape<'a>, values: &[&'a Value]) -> Vec<String> {
        let style = self.style();
        let elements = match self.place() {
            Place::Elements(_) => self.notation().and_then(|members| members.elements.clone()),
            _ => None,
        };
        let mut written = Vec::new();
        for value in values {
            let part = match &elements {
                Some(elements) => elements.unwritable(value),
                None => style.unwritable(value),
            };
            match part {
                Some(part) => self.leave_out(shape, &part),
                None => written.push(*value),
            }
        }
        self.each_of(&written)
    }

    /// Those of the objects `values` whose members can all be written.
    fn written_members(&mut self, shape: &Shape<'a>, values: Vec<&'a Value>) -> Vec<&'a Value> {
        let Some(members) = self.notation().cloned() else { return values };
        let unwritable = |value: &Value| {
            value.as_object()?.iter().find_map(|(key, value)| match members.key(key) {
                Some(_) => members.unwritable(key, value, types::type_of(value)),
                None => Some(format!("the key {}", json::spaced(key))),
            })
        };
        let mut written = Vec::new();
        for value in values {
            match unwritable(value) {
                Some(part) => self.leave_out(shape, &part),
                None => written.push(value),
            }
        }
        written
    }

    /// Notes that a value of the `const` or `enum` of a shape is left out, since `part` of it cannot be written.
    pub(super) fn leave_out(&mut self, shape: &Shape<'a>, part: &str) {
        let mut found = false;
        for id in &shape.conjunction.locals {
            for word in ["const", "enum"] {
                if self.normal.document.value(*id).get(word).is_some() {
                    let pointer = self.normal.document.pointer(*id);
                    self.normal.report.leave_out(&pointer, word, part);
                    found = true;
                }
            }
        }
        if !found {
            let pointer = self.pointer(&shape.conjunction.items());
            self.normal.report.leave_out(&pointer, "enum", part);
        }
    }

    fn each_of(&mut self, values: &[&'a Value]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let (mut strings, mut numbers): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for value in values {
            if let Some(literal) = json::number_text(value) {
                let text = format!("/{}/", number::spellings(&literal, self.normal.meaning));
                if seen.insert(text.clone()) {
                    numbers.push(text);
                }
                continue;
            }
            match value {
                Value::String(text) => {
                    strings.extend(self.spelled(text).into_iter().filter(|text| seen.insert(text.clone())));
                }
                other => {
                    let text = self.constant(other);
                    if !out.contains(&text) {
                        out.push(text);
                    }
                }
            }
        }
        if !strings.is_empty() {
            let terminal = self.rules.terminal(strings.join(" | "));
            out.push(self.delimited(terminal));
        }
        if !numbers.is_empty() {
            out.push(self.rules.terminal(numbers.join(" | ")));
        }
        out
    }

    /// An expression for one value; an object's keys may come in any order.
    pub(super) fn constant(&mut self, value: &Value) -> String {
        if let Some(literal) = json::number_text(value) {
            let text = number::spellings(&literal, self.normal.meaning);
            return self.rules.terminal(format!("/{text}/"));
        }
        let style = self.style();
        match value {
            Value::Null => {
                let words = style.nulls().iter().map(|word| format!("\"{word}\""));
                either(&words.collect::<Vec<_>>())
            }
            Value::Bool(b) => {
                let words = style.truths().iter().filter(|(value, _)| value == b);
                either(&words.map(|(_, word)| format!("\"{word}\"")).collect::<Vec<_>>())
            }
            Value::Number(_) => unreachable!("every number has a text"),
            Value::String(text) => {
                let spelled = either(&self.spelled(text));
                match style {
                    Style::Bare { .. } => {
                        let terminal = self.rules.terminal(spelled);
                        self.delimited(terminal)
                    }
                    _ => spelled,
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|v| self.constant_item(v)).collect();
                let name = self.rules.fresh("c");
                let Brackets { open, first, comma, close } = self.brackets();
                let body = match items.is_empty() {
                    true => format!("{open} {close}"),
                    false => format!("{open} {first} {} {close}", items.join(&format!(" {comma} "))),
                };
                self.rules.add(name.clone(), body);
                name
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .filter_map(|(key, v)| {
                        let key: Rc<str> = key.as_str().into();
                        let text = self.declared_key(&key, true)?;
                        let value = self.constant_member(&key, v)?;
                        Some(Member { key, text, required: true, value })
                    })
                    .collect();
                self.members(Members { members, ..Members::default() }).unwrap_or_default()
            }
        }
    }

    /// An expression for the value of a constant's member.
    fn constant_member(&mut self, key: &Rc<str>, value: &Value) -> Option<String> {
        match self.place().clone() {
            Place::Root => self.constant_part(Level::Whole, None, key, value),
            Place::Elements(under) => self.constant_part(Level::Object, Some(&under), key, value),
            _ => Some(self.constant(value)),
        }
    }

    /// An expression for an item of a constant.
    pub(super) fn constant_item(&mut self, value: &Value) -> String {
        match self.place().clone() {
            Place::Elements(under) => {
                self.constant_part(Level::Array, Some(&under), ITEMS, value).unwrap_or_default()
            }
            _ => self.constant(value),
        }
    }

    /// An expression for a constant that is a member, or an item, of one of a notation's `level`.
    fn constant_part(
        &mut self,
        level: Level,
        under: Option<&str>,
        key: &str,
        value: &Value,
    ) -> Option<String> {
        let kind = KINDS.iter().position(|set| set & types::type_of(value) != 0)?;
        let syntax = self.members_of(level)?.value(kind).clone();
        self.key_types.add(under, Some(key), types::type_of(value));
        let (before, after) = (marked(&syntax.before(key)), syntax.after(key));
        match syntax.form {
            Form::Omitted => None,
            Form::Elements { .. } => {
                let place = Place::Elements(inside(under, key).into());
                let value = self.within(place, |inner| inner.constant(value));
                Some(format!("{before}{value} {}", marked(&after)))
            }
            Form::Styled(style) => {
                let value = self.within(Place::Styled(style), |inner| inner.constant(value));
                Some(format!("{before}{value} {}", marked(&after)))
            }
            Form::Raw | Form::Trimmed | Form::Cdata => {
                let terminal = self.rules.terminal(spelled(json::string_text(value)?, Spelling::Raw));
                Some(format!("{before}{}", until(&terminal, &after)))
            }
        }
    }
}
