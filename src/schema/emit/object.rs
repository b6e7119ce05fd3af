//! Objects: a rule whose parameter has one bit for each key that was written.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use crate::schema::emit::grammar::Compiler;
use crate::schema::normal::conjunction::{Item, types};
use crate::schema::normal::presence::Formula;
use crate::schema::normal::shape::{ObjectPart, Shape};
use crate::schema::read::document::{Id, Target};
use crate::schema::report::Status;
use crate::schema::terminal::pattern::{self, literal, printed};
use crate::schema::{KeyOrder, Meaning};

/// Number of bits in a rule's parameter.
pub(crate) const BITS: usize = 64;
/// Bits that count the members, if a count is needed that the keys' bits do not give.
pub(crate) const COUNTER: (usize, usize) = (48, 64);
/// Most patterns whose subsets are enumerated for undeclared keys.
const MAX_PATTERNS: usize = 4;

/// A declared key, and the rule of its value.
pub(crate) struct Member {
    pub(crate) key: Rc<str>,
    pub(crate) required: bool,
    pub(crate) value: String,
}

/// An object's members, as input for its rules.
#[derive(Default)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
    /// Terminals of undeclared keys, with the rules of their values.
    pub(crate) others: Vec<(String, String)>,
    pub(crate) formulas: Vec<Formula>,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
}

impl<'a> Compiler<'a, '_> {
    /// The conjunction for the value under `key`.
    pub(crate) fn key_items(&mut self, shape: &Shape<'a>, key: &str) -> Vec<Item> {
        let mut items = Vec::new();
        if shape.flat.absent.contains(key) {
            items.push(Item::Types(0));
        }
        for part in &shape.objects {
            let mut evaluated = false;
            if let Some(child) = part.properties.and_then(|p| p.get(key)) {
                items.push(Item::Schema(self.document.child(part.id, child)));
                evaluated = true;
            }
            for (text, child) in &part.patterns {
                if matches(text, key) == Some(true) {
                    items.push(Item::Schema(self.document.child(part.id, child)));
                    evaluated = true;
                }
            }
            let unsure = part.patterns.iter().any(|(text, _)| matches(text, key).is_none());
            if !evaluated
                && !unsure
                && let Some(child) = part.additional
            {
                items.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for (name, item) in &shape.flat.properties {
            if &**name == key {
                items.push(item.clone());
            }
        }
        for id in shape.flat.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedProperties") else { continue };
            let covered = self.covered(id);
            let seen = shape.objects.iter().filter(|p| covered.contains(&p.id)).any(|p| {
                p.additional.is_some()
                    || p.properties.is_some_and(|m| m.contains_key(key))
                    || p.patterns.iter().any(|(text, _)| matches(text, key) != Some(false))
            });
            if !seen {
                items.push(Item::Schema(child));
            }
        }
        items
    }

    /// The schema under `keyword` of `id`, if the grammar can determine what has been evaluated, which requires
    /// that `id` has no choices. `None` otherwise, and for schemas that constrain nothing.
    pub(crate) fn unevaluated(&mut self, id: Id, keyword: &'static str) -> Option<Id> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let child = self.document.child(id, map.get(keyword)?);
        let flat = self.flatten(&[Item::Schema(id)]);
        let items = keyword == "unevaluatedItems";
        let contains = items && flat.locals.iter().any(|l| self.document.value(*l).get("contains").is_some());
        let chooses = !flat.choices.is_empty()
            || flat.presence.iter().any(|(_, c)| {
                !matches!(c, crate::schema::normal::conjunction::Choice::Dependent("dependentRequired", _))
            });
        let chooses = chooses || flat.locals.iter().any(|l| self.document.value(*l).get("if").is_some());
        if self.is_trivial(child) {
            self.mark(id, keyword, Status::Enforced, "");
            return None;
        }
        if chooses || contains || self.dynamic || flat.unevaluated.len() > 1 {
            self.relax(id, keyword, "what is evaluated depends on a choice");
            return None;
        }
        self.mark(id, keyword, Status::Enforced, "");
        Some(child)
    }

    /// The schemas that apply to the same value as `id`, and `id` itself.
    pub(crate) fn covered(&mut self, id: Id) -> BTreeSet<Id> {
        self.flatten(&[Item::Schema(id)]).locals
    }

    /// The rule for the objects of a shape; `None` if there are none.
    pub(crate) fn object(&mut self, shape: &Shape<'a>) -> Option<String> {
        let mut keys: Vec<Rc<str>> = Vec::new();
        let mut add = |key: &str| {
            if !keys.iter().any(|k| &**k == key) {
                keys.push(key.into());
            }
        };
        for part in &shape.objects {
            part.properties.iter().flat_map(|p| p.keys()).for_each(|k| add(k));
        }
        shape.required.iter().for_each(|k| add(k));
        shape.flat.properties.iter().for_each(|(k, _)| add(k));
        shape.flat.absent.iter().for_each(|k| add(k));
        let mut formulas = Vec::new();
        for (id, choice) in shape.flat.presence.clone() {
            let formula = self.formula(id, &choice)?;
            let mut named = BTreeSet::new();
            formula.keys(&mut named);
            named.iter().for_each(|k| add(k));
            formulas.push((id, choice, formula));
        }

        if self.options.key_order == KeyOrder::Schema {
            for part in shape.objects.iter().filter(|p| p.properties.is_some_and(|m| m.len() > 1)) {
                let pointer = self.document.pointer(part.id).to_string();
                self.report.in_order.insert(pointer);
            }
        }
        let closed = self.is_closed(shape);
        let mut members = Vec::new();
        for key in &keys {
            let declared = shape.objects.iter().any(|p| {
                p.additional.is_some()
                    || p.properties.is_some_and(|m| m.contains_key(&**key))
                    || p.patterns.iter().any(|(text, _)| matches(text, key) == Some(true))
            });
            let required = shape.required.contains(key);
            let value = if (closed && !declared && !required) || self.name_refused(shape, key) {
                None
            } else {
                let items = self.key_items(shape, key);
                if items.is_empty() { Some(self.anything()) } else { self.value(&items) }
            };
            match value {
                Some(value) => members.push(Member { key: key.clone(), required, value }),
                None if required => return None,
                None => {}
            }
        }
        let others = self.others(shape, &keys, closed);

        let mut kept = Vec::new();
        for (id, choice, formula) in formulas {
            let mut named = BTreeSet::new();
            formula.keys(&mut named);
            // The key's bit must exist; with too many keys the condition is left to the check.
            let fits = members.len() <= COUNTER.0
                || named
                    .iter()
                    .all(|k| members.iter().position(|m| m.key == *k).is_none_or(|i| i < COUNTER.0));
            if fits {
                self.mark(id, choice.keyword(), Status::Enforced, "");
                if choice == crate::schema::normal::conjunction::Choice::If {
                    self.mark(id, "then", Status::Enforced, "");
                    self.mark(id, "else", Status::Enforced, "");
                }
                kept.push(formula);
            } else {
                self.relax(id, choice.keyword(), "the object has too many keys to keep count of");
            }
        }
        let (min, max) = (shape.min_properties, shape.max_properties);
        self.members(Members { members, others, formulas: kept, min, max })
    }

    /// True if undeclared keys are not generated.
    fn is_closed(&self, shape: &Shape<'a>) -> bool {
        if self.options.meaning == Meaning::Standard {
            return false;
        }
        let names = shape
            .objects
            .iter()
            .any(|p| p.properties.is_some_and(|m| !m.is_empty()) || !p.patterns.is_empty());
        let root = shape.flat.locals.contains(&crate::schema::read::document::Document::ROOT);
        let opened = shape.objects.iter().any(|p| p.additional.is_some())
            || shape
                .flat
                .unevaluated
                .iter()
                .any(|id| self.document.value(*id).get("unevaluatedProperties").is_some());
        (names || root) && !opened
    }

    /// True if `propertyNames` refuses a declared key.
    fn name_refused(&mut self, shape: &Shape<'a>, key: &str) -> bool {
        shape.names.iter().any(|(id, child)| {
            let child = self.document.child(*id, child);
            let pointer = self.document.pointer(child);
            !self.checks.accepts_at(&pointer, &Value::String(key.to_string()))
        })
    }

    /// Terminals for undeclared keys, by the set of patterns that they match.
    fn others(&mut self, shape: &Shape<'a>, keys: &[Rc<str>], closed: bool) -> Vec<(String, String)> {
        let mut base = Vec::new();
        for (id, child) in &shape.names {
            let child = self.document.child(*id, child);
            let flat = self.flatten(&[Item::Schema(child), Item::Types(types::STRING)]);
            if flat.never {
                return Vec::new();
            }
            if !flat.choices.is_empty() {
                self.relax(*id, "propertyNames", "chooses between alternatives");
                continue;
            }
            let names = self.shape(flat);
            if let Some(values) = &names.values {
                let texts: Vec<String> =
                    values.iter().filter_map(|v| v.as_str()).map(|t| literal(&printed(t))).collect();
                if texts.is_empty() {
                    return Vec::new();
                }
                base.push(self.terminal(texts.join(" | ")));
            } else {
                match self.string_parts(&names) {
                    Some(parts) => base.extend(parts),
                    None => return Vec::new(),
                }
            }
            // If something in the schema is relaxed, so is `propertyNames`.
            let pointer = self.document.pointer(child);
            if self.report.is_checked(&pointer) {
                self.relax(*id, "propertyNames", "");
            }
        }
        if !keys.is_empty() {
            let names: Vec<String> = keys.iter().map(|k| literal(&printed(k))).collect();
            let declared = self.terminal(names.join(" | "));
            base.push(format!("~{declared}"));
        }

        let mut patterns: Vec<&'a str> = Vec::new();
        let mut unknown = false;
        for part in &shape.objects {
            for (text, _) in &part.patterns {
                if pattern::written(text).is_err() || matches(text, "").is_none() {
                    self.relax(part.id, "patternProperties", "a pattern that no grammar describes");
                    unknown = true;
                } else if !patterns.contains(text) {
                    patterns.push(text);
                }
            }
        }
        if patterns.len() > MAX_PATTERNS {
            for part in &shape.objects {
                if !part.patterns.is_empty() {
                    self.relax(part.id, "patternProperties", "too many patterns to spell out");
                }
            }
            patterns.clear();
            unknown = true;
        }
        let key = self.key_terminal();
        let written: Vec<String> = patterns
            .iter()
            .filter_map(|t| pattern::written(t).ok())
            .map(|regex| self.terminal(format!("/{regex}/")))
            .collect();
        let mut out = Vec::new();
        for subset in 0..1_usize << patterns.len() {
            let has =
                |text: &str| patterns.iter().position(|p| *p == text).is_some_and(|i| subset >> i & 1 == 1);
            let value = if unknown && subset == 0 {
                Some(self.anything())
            } else {
                if subset == 0 && closed {
                    continue;
                }
                let items = self.other_items(shape, &has);
                if items.is_empty() { Some(self.anything()) } else { self.value(&items) }
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
            let terminal = if parts.len() == 1 { key.clone() } else { self.terminal(parts.join(" & ")) };
            out.push((terminal, value));
        }
        out
    }

    /// The conjunction for the value under an undeclared key that matches the patterns for which `has` is true.
    fn other_items(&mut self, shape: &Shape<'a>, has: &dyn Fn(&str) -> bool) -> Vec<Item> {
        let mut items = Vec::new();
        let evaluates = |part: &ObjectPart<'a>| part.patterns.iter().any(|(text, _)| has(text));
        for part in &shape.objects {
            for (text, child) in &part.patterns {
                if has(text) {
                    items.push(Item::Schema(self.document.child(part.id, child)));
                }
            }
            if !evaluates(part)
                && let Some(child) = part.additional
            {
                items.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for id in shape.flat.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedProperties") else { continue };
            let covered = self.covered(id);
            let seen = shape
                .objects
                .iter()
                .filter(|p| covered.contains(&p.id))
                .any(|p| p.additional.is_some() || evaluates(p));
            if !seen {
                items.push(Item::Schema(child));
            }
        }
        items
    }

    /// Resolves a reference for the graph of places.
    pub(crate) fn target(&mut self, id: Id, reference: &str) -> Option<Id> {
        match self.document.resolve(id, reference) {
            Target::Inside(target) => Some(target),
            _ => None,
        }
    }
}

/// True if `pattern` matches somewhere in `text`; `None` for a pattern that needs backtracking.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    compiled(pattern).map(|regex| regex.is_match(text))
}

/// Compiles the pattern for a linear-time engine; `None` if that is not possible.
pub(crate) fn compiled(pattern: &str) -> Option<regex::Regex> {
    let rust = jsonschema_regex::to_rust_regex(pattern).ok()?;
    regex::RegexBuilder::new(&rust).size_limit(1 << 20).build().ok()
}
