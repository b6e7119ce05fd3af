//! Undeclared keys: a terminal for each set of patterns that they match.

use std::rc::Rc;

use super::emitter::Emitter;
use super::place::{Level, Place};
use crate::json;
use crate::schema::normal::{Item, Shape};
use crate::schema::notation::{KeySyntax, Members, ValueSyntax};
use crate::schema::terminal::encode::Spelling;
use crate::schema::terminal::pattern;
use crate::schema::value::matcher::matches;
use crate::schema::value::types;

/// Most patterns whose subsets are enumerated.
const MAX_PATTERNS: usize = 4;

/// The patterns of `patternProperties` in a shape.
struct KeyPatterns<'a> {
    patterns: Vec<&'a str>,
    /// True if there are further patterns, which no terminal describes.
    more: bool,
}

impl<'a> Emitter<'a> {
    /// Terminals for undeclared keys, by the set of patterns that they match, with the rules of their values.
    pub(super) fn others(
        &mut self,
        shape: &Shape<'a>,
        keys: &[Rc<str>],
        closed: bool,
    ) -> Vec<(String, String)> {
        // Nothing tells that the key in the text after a value is the one before it.
        let has_key = |members: &Members| members.values.iter().any(ValueSyntax::has_key);
        if self.members_here().is_some_and(has_key) {
            return Vec::new();
        }
        let Some(mut base) = self.names(shape) else { return Vec::new() };
        let names: Vec<String> = keys.iter().filter_map(|k| self.key_literal(k)).collect();
        if !names.is_empty() {
            let declared = self.rules.terminal(names.join(" | "));
            base.push(format!("~{declared}"));
        }
        let KeyPatterns { patterns, more } = self.key_patterns(shape);
        let (key, spelling) = (self.key_terminal(), self.key_spelling());
        let written: Vec<String> = patterns
            .iter()
            .filter_map(|t| pattern::written(t, spelling).ok())
            .map(|regex| self.rules.terminal(format!("/{regex}/")))
            .collect();
        let names_only = self.members_here().is_some_and(|members| members.key == KeySyntax::Identifier);
        let mut out = Vec::new();
        for subset in 0..1_usize << patterns.len() {
            let has =
                |text: &str| patterns.iter().position(|p| *p == text).is_some_and(|i| subset >> i & 1 == 1);
            let value = if more && subset == 0 {
                let place = self.member_place(None, &[]);
                Some(self.within(place, Emitter::anything))
            } else {
                // Python's names hold none of the characters that patterns of keys are for, such as `^x-`; a rule without a
                // text would lead nowhere.
                if (subset == 0 && closed) || (subset != 0 && names_only) {
                    continue;
                }
                let items = self.normal.other_items(shape, &has);
                let place = self.member_place(None, &items);
                self.within(place, |inner| inner.value_or_anything(&items))
            };
            let Some(value) = value else { continue };
            let mut parts = vec![key.clone()];
            parts.extend(
                written
                    .iter()
                    .enumerate()
                    .map(|(i, name)| if subset >> i & 1 == 1 { name.clone() } else { format!("~{name}") }),
            );
            parts.extend(base.iter().cloned());
            let terminal =
                if parts.len() == 1 { key.clone() } else { self.rules.terminal(parts.join(" & ")) };
            out.push((terminal, value));
        }
        out
    }

    /// Terminals that `propertyNames` requires of every key; `None` if no key satisfies it.
    fn names(&mut self, shape: &Shape<'a>) -> Option<Vec<String>> {
        let mut terminals = Vec::new();
        for (id, child) in &shape.names {
            let child = self.normal.document.child(*id, child);
            let conjunction = self.normal.flatten(&[Item::Schema(child), Item::Types(types::STRING)]);
            if conjunction.never {
                return None;
            }
            if !conjunction.choices.is_empty() {
                self.normal.relax(*id, "propertyNames", "chooses between alternatives");
                continue;
            }
            let names = self.normal.shape(conjunction);
            if let Some(values) = &names.values {
                let texts: Vec<String> =
                    values.iter().filter_map(|v| self.key_literal(json::string_text(v)?)).collect();
                if texts.is_empty() {
                    return None;
                }
                terminals.push(self.rules.terminal(texts.join(" | ")));
            } else {
                match self.key_parts(&names) {
                    Some(parts) => terminals.extend(parts),
                    None => return None,
                }
            }
            // If something in the schema is relaxed, so is `propertyNames`.
            let pointer = self.normal.document.pointer(child);
            if self.normal.report.is_checked(&pointer) {
                self.normal.relax(*id, "propertyNames", "");
            }
        }
        Some(terminals)
    }

    /// Terminals that a key must all match as a string of the shape.
    fn key_parts(&mut self, shape: &Shape<'a>) -> Option<Vec<String>> {
        match self.key_spelling() {
            Spelling::Raw => {
                let raw =
                    Place::Member { level: Level::Whole, key: None, inside: None, types: types::STRING };
                self.within(raw, |inner| inner.string_parts(shape))
            }
            _ => self.string_parts(shape),
        }
    }

    /// The patterns that terminals describe.
    fn key_patterns(&mut self, shape: &Shape<'a>) -> KeyPatterns<'a> {
        let mut patterns: Vec<&'a str> = Vec::new();
        let mut more = false;
        for part in &shape.objects {
            for (text, _) in &part.patterns {
                if pattern::written(text, Spelling::Json).is_err() || matches(text, "").is_none() {
                    self.normal.relax(part.id, "patternProperties", "a pattern that no grammar describes");
                    more = true;
                } else if !patterns.contains(text) {
                    patterns.push(text);
                }
            }
        }
        if patterns.len() > MAX_PATTERNS {
            for part in &shape.objects {
                if !part.patterns.is_empty() {
                    self.normal.relax(part.id, "patternProperties", "too many patterns to spell out");
                }
            }
            patterns.clear();
            more = true;
        }
        KeyPatterns { patterns, more }
    }
}
