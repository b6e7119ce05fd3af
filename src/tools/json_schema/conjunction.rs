//! Schemas that apply to one value together: in-place applicators taken apart.
//!
//! A value has to satisfy every [`Item`] of a conjunction. `$ref` and `allOf` only add items; each
//! `anyOf`, `oneOf`, `if`, `not` and dependency is a [`Choice`] between further conjunctions, unless
//! it speaks of nothing but the presence of keys ([`Formula`]).

use std::collections::BTreeSet;
use std::rc::Rc;

use referencing::Draft;
use serde_json::Value;

use super::document::{Id, Target, not_here};
use super::grammar::Compiler;
use super::presence::Formula;
use super::report::Status;

/// The types of values, with the integers apart from the other numbers.
pub(super) mod types {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const INTEGER: u8 = 4;
    pub const FRACTION: u8 = 8;
    pub const STRING: u8 = 16;
    pub const ARRAY: u8 = 32;
    pub const OBJECT: u8 = 64;
    pub const ALL: u8 = 127;

    /// The set that a word of `type` stands for.
    pub fn named(word: &str) -> Option<u8> {
        Some(match word {
            "null" => NULL,
            "boolean" => BOOLEAN,
            "integer" => INTEGER,
            "number" => INTEGER | FRACTION,
            "string" => STRING,
            "array" => ARRAY,
            "object" => OBJECT,
            "any" => ALL,
            _ => return None,
        })
    }

    /// The type of a value.
    pub fn of(value: &serde_json::Value) -> u8 {
        use serde_json::Value;
        match value {
            Value::Null => NULL,
            Value::Bool(_) => BOOLEAN,
            Value::Number(n) => {
                let whole = n.is_i64() || n.is_u64() || n.as_f64().is_some_and(|f| f.fract() == 0.0);
                if whole { INTEGER } else { FRACTION }
            }
            Value::String(_) => STRING,
            Value::Array(_) => ARRAY,
            Value::Object(_) => OBJECT,
        }
    }
}

/// The keywords that choose between schemas in place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Choice {
    AnyOf,
    OneOf,
    If,
    Not,
    /// `dependentSchemas`, `dependentRequired` or `dependencies`, for one key.
    Dependent(&'static str, Rc<str>),
}

impl Choice {
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Choice::AnyOf => "anyOf",
            Choice::OneOf => "oneOf",
            Choice::If => "if",
            Choice::Not => "not",
            Choice::Dependent(keyword, _) => keyword,
        }
    }
}

/// One thing that a value has to satisfy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// A schema with all that is in it.
    Schema(Id),
    /// A schema's keywords that choose nothing and refer to nothing in place.
    Local(Id),
    /// One of the alternatives of a schema's keyword.
    Choice(Id, Choice),
    /// A choice that is a condition on keys.
    Presence(Id, Choice),
    /// A schema's `unevaluatedProperties` and `unevaluatedItems`.
    Unevaluated(Id),
    /// Only these types.
    Types(u8),
    /// An object that holds this key.
    Present(Rc<str>),
    /// If an object, without this key.
    Absent(Rc<str>),
    /// If an object with this key, then with such a value under it.
    Property(Rc<str>, Box<Item>),
    /// None of the values of the schema's `enum` or `const`.
    Exclude(Id),
}

/// A conjunction with `$ref` and `allOf` followed.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    pub(super) never: bool,
    pub(super) types: u8,
    pub(super) locals: BTreeSet<Id>,
    pub(super) choices: BTreeSet<(Id, Choice)>,
    pub(super) presence: BTreeSet<(Id, Choice)>,
    pub(super) unevaluated: BTreeSet<Id>,
    pub(super) present: BTreeSet<Rc<str>>,
    pub(super) absent: BTreeSet<Rc<str>>,
    pub(super) properties: BTreeSet<(Rc<str>, Item)>,
    pub(super) exclude: BTreeSet<Id>,
}

impl Flat {
    /// The conjunction as items, sorted: equal for conjunctions that are equal.
    pub(super) fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        items.extend(self.locals.iter().map(|id| Item::Local(*id)));
        items.extend(self.choices.iter().map(|(id, c)| Item::Choice(*id, c.clone())));
        items.extend(self.presence.iter().map(|(id, c)| Item::Presence(*id, c.clone())));
        items.extend(self.unevaluated.iter().map(|id| Item::Unevaluated(*id)));
        if self.types != types::ALL {
            items.push(Item::Types(self.types));
        }
        items.extend(self.present.iter().cloned().map(Item::Present));
        items.extend(self.absent.iter().cloned().map(Item::Absent));
        items.extend(self.properties.iter().map(|(k, i)| Item::Property(k.clone(), Box::new(i.clone()))));
        items.extend(self.exclude.iter().map(|id| Item::Exclude(*id)));
        items
    }
}

/// Alternatives, each a conjunction, and whether together they are exactly the keyword.
pub(super) struct Options {
    pub(super) options: Vec<Vec<Item>>,
    pub(super) exact: bool,
}

impl Compiler<'_, '_> {
    /// Follows the references of `items`.
    pub(super) fn flatten(&mut self, items: &[Item]) -> Flat {
        let mut flat = Flat {
            never: false,
            types: types::ALL,
            locals: BTreeSet::new(),
            choices: BTreeSet::new(),
            presence: BTreeSet::new(),
            unevaluated: BTreeSet::new(),
            present: BTreeSet::new(),
            absent: BTreeSet::new(),
            properties: BTreeSet::new(),
            exclude: BTreeSet::new(),
        };
        let mut seen = BTreeSet::new();
        for item in items {
            self.add(item, &mut flat, &mut seen);
        }
        if flat.types == 0 || flat.present.intersection(&flat.absent).next().is_some() {
            flat.never = true;
        }
        flat
    }

    fn add(&mut self, item: &Item, flat: &mut Flat, seen: &mut BTreeSet<Id>) {
        match item {
            Item::Schema(id) => self.add_schema(*id, flat, seen),
            Item::Local(id) => {
                flat.locals.insert(*id);
                self.local_types(*id, flat);
            }
            Item::Choice(id, choice) => {
                flat.choices.insert((*id, choice.clone()));
            }
            Item::Presence(id, choice) => {
                flat.presence.insert((*id, choice.clone()));
            }
            Item::Unevaluated(id) => {
                flat.unevaluated.insert(*id);
            }
            Item::Types(set) => flat.types &= set,
            Item::Present(key) => {
                flat.types &= types::OBJECT;
                flat.present.insert(key.clone());
            }
            Item::Absent(key) => {
                flat.absent.insert(key.clone());
            }
            Item::Property(key, item) => {
                flat.properties.insert((key.clone(), (**item).clone()));
            }
            Item::Exclude(id) => {
                flat.exclude.insert(*id);
            }
        }
    }

    fn add_schema(&mut self, id: Id, flat: &mut Flat, seen: &mut BTreeSet<Id>) {
        if !seen.insert(id) {
            return;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return,
            Value::Bool(false) => {
                flat.never = true;
                return;
            }
            Value::Object(map) => map,
            other => {
                let found = kind(other);
                self.refuse(id, "", &format!("a schema is an object or a boolean, not {found}"));
                return;
            }
        };
        if let Some(Value::String(reference)) = map.get("$ref") {
            self.follow(id, reference, flat, seen);
            if self.before_2019() {
                for key in map.keys().filter(|k| *k != "$ref" && !super::keyword::is_container(k)) {
                    self.mark(id, key, Status::Annotation, "ignored beside $ref in this draft");
                }
                return;
            }
        }
        for dynamic in ["$dynamicRef", "$recursiveRef"] {
            if self.knows(dynamic) && map.contains_key(dynamic) {
                self.dynamic = true;
                self.relax(id, dynamic, "depends on how the validation got here");
            }
        }
        if let Some(Value::Array(each)) = map.get("allOf") {
            self.mark(id, "allOf", Status::Enforced, "");
            for child in each {
                let child = self.document.child(id, child);
                self.add_schema(child, flat, seen);
            }
        }
        let mut choices = Vec::new();
        for (keyword, choice) in
            [("anyOf", Choice::AnyOf), ("oneOf", Choice::OneOf), ("if", Choice::If), ("not", Choice::Not)]
        {
            if map.contains_key(keyword) && self.knows(keyword) {
                if choice == Choice::If && !map.contains_key("then") && !map.contains_key("else") {
                    self.mark(id, "if", Status::Annotation, "has neither then nor else");
                } else {
                    choices.push(choice);
                }
            }
        }
        for keyword in ["dependentSchemas", "dependentRequired", "dependencies"] {
            if let Some(Value::Object(each)) = map.get(keyword)
                && self.knows(keyword)
            {
                choices.extend(each.keys().map(|k| Choice::Dependent(keyword, k.as_str().into())));
            }
        }
        for choice in choices {
            if self.formula(id, &choice).is_some() {
                flat.presence.insert((id, choice));
            } else {
                flat.choices.insert((id, choice));
            }
        }
        if self.knows("unevaluatedProperties")
            && (map.contains_key("unevaluatedProperties") || map.contains_key("unevaluatedItems"))
        {
            flat.unevaluated.insert(id);
        }
        flat.locals.insert(id);
        self.local_types(id, flat);
    }

    fn follow(&mut self, id: Id, reference: &str, flat: &mut Flat, seen: &mut BTreeSet<Id>) {
        match self.document.resolve(id, reference) {
            Target::Inside(target) => {
                self.mark(id, "$ref", Status::Enforced, "");
                self.add_schema(target, flat, seen);
            }
            Target::Bundled => self.relax(id, "$ref", "a meta-schema of the standard"),
            Target::Outside => self.refuse(id, "$ref", &not_here(reference)),
        }
    }

    /// Narrows the types by `type`; for tools also by what the other keywords speak of.
    fn local_types(&mut self, id: Id, flat: &mut Flat) {
        let Value::Object(map) = self.document.value(id) else { return };
        let word = |value: &Value| value.as_str().and_then(types::named);
        match map.get("type") {
            Some(Value::Array(words)) => {
                let set = words.iter().filter_map(word).fold(0, |a, b| a | b);
                flat.types &= set;
                self.mark(id, "type", Status::Enforced, "");
            }
            Some(value) => match word(value) {
                Some(set) => {
                    flat.types &= set;
                    self.mark(id, "type", Status::Enforced, "");
                }
                None => self.refuse(id, "type", &format!("{value} is not a type")),
            },
            None if self.options.meaning == super::Meaning::Tool => {
                if let Some(set) = super::keyword::implied_types(map) {
                    flat.types &= set;
                }
            }
            None => {}
        }
    }

    pub(super) fn before_2019(&self) -> bool {
        matches!(self.document.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
    }

    /// A choice as a condition on keys, if it is nothing more.
    pub(super) fn formula(&mut self, id: Id, choice: &Choice) -> Option<Formula> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let each = |compiler: &mut Self, keyword: &str| -> Option<Vec<Formula>> {
            let Some(Value::Array(children)) = map.get(keyword) else { return None };
            children
                .iter()
                .map(|child| {
                    let child = compiler.document.child(id, child);
                    compiler.schema_formula(child, 0)
                })
                .collect()
        };
        match choice {
            Choice::AnyOf => Some(Formula::Any(each(self, "anyOf")?)),
            Choice::OneOf => Some(Formula::One(each(self, "oneOf")?)),
            Choice::Not => {
                let child = self.document.child(id, map.get("not")?);
                Some(Formula::not(self.schema_formula(child, 0)?))
            }
            Choice::If => self.if_formula(id, 0),
            Choice::Dependent(keyword, key) => {
                let Some(Value::Object(each)) = map.get(*keyword) else { return None };
                let then = match each.get(&**key)? {
                    Value::Array(keys) => {
                        Formula::All(keys.iter().filter_map(Value::as_str).map(Formula::required).collect())
                    }
                    child => {
                        let child = self.document.child(id, child);
                        self.schema_formula(child, 0)?
                    }
                };
                Some(Formula::Any(vec![Formula::forbidden(key), then]))
            }
        }
    }

    fn if_formula(&mut self, id: Id, depth: usize) -> Option<Formula> {
        let Value::Object(map) = self.document.value(id) else { return None };
        let mut part = |keyword: &str| match map.get(keyword) {
            Some(child) => {
                let child = self.document.child(id, child);
                self.schema_formula(child, depth + 1)
            }
            None => Some(Formula::True),
        };
        let (condition, then, otherwise) = (part("if")?, part("then")?, part("else")?);
        Some(Formula::Any(vec![
            Formula::All(vec![condition.clone(), then]),
            Formula::All(vec![Formula::not(condition), otherwise]),
        ]))
    }

    fn schema_formula(&mut self, id: Id, depth: usize) -> Option<Formula> {
        if depth > 8 {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(Formula::True),
            Value::Bool(false) => return Some(Formula::False),
            Value::Object(map) => map,
            _ => return None,
        };
        let mut all = Vec::new();
        let only_ref = map.contains_key("$ref") && self.before_2019();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            match keyword.as_str() {
                "required" => {
                    let keys = value.as_array()?;
                    all.extend(keys.iter().filter_map(Value::as_str).map(Formula::required));
                }
                "type" if value == "object" => all.push(Formula::Object),
                "properties" => {
                    for (key, child) in value.as_object()? {
                        let child = self.document.child(id, child);
                        match self.schema_formula(child, depth + 1)? {
                            Formula::True => {}
                            Formula::False => all.push(Formula::forbidden(key)),
                            Formula::All(parts) if parts.is_empty() => {}
                            // `{"not": {}}` is how older drafts say that a key is forbidden.
                            Formula::All(parts) if parts == [Formula::not(Formula::All(Vec::new()))] => {
                                all.push(Formula::forbidden(key));
                            }
                            _ => return None,
                        }
                    }
                }
                "not" => {
                    let child = self.document.child(id, value);
                    all.push(Formula::not(self.schema_formula(child, depth + 1)?));
                }
                "allOf" | "anyOf" | "oneOf" => {
                    let mut parts = Vec::new();
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        parts.push(self.schema_formula(child, depth + 1)?);
                    }
                    all.push(match keyword.as_str() {
                        "allOf" => Formula::All(parts),
                        "anyOf" => Formula::Any(parts),
                        _ => Formula::One(parts),
                    });
                }
                "if" => all.push(self.if_formula(id, depth)?),
                "then" | "else" if map.contains_key("if") => {}
                "$ref" => match self.document.resolve(id, value.as_str()?) {
                    Target::Inside(target) => all.push(self.schema_formula(target, depth + 1)?),
                    _ => return None,
                },
                word if super::keyword::is_annotation(word) => {}
                _ => return None,
            }
        }
        Some(Formula::All(all))
    }

    /// The alternatives of a choice.
    pub(super) fn options(&mut self, id: Id, choice: &Choice) -> Options {
        let Value::Object(map) = self.document.value(id) else {
            return Options { options: vec![vec![]], exact: true };
        };
        match choice {
            Choice::AnyOf | Choice::OneOf => {
                let mut options = Vec::new();
                if let Some(Value::Array(each)) = map.get(choice.keyword()) {
                    for child in each {
                        options.push(vec![Item::Schema(self.document.child(id, child))]);
                    }
                }
                // Whether the branches of oneOf exclude each other depends on what surrounds them.
                Options { options, exact: *choice == Choice::AnyOf }
            }
            Choice::Not => {
                let child = self.document.child(id, &map["not"]);
                match self.negate(child, 0) {
                    Some(options) => Options { options, exact: true },
                    None => Options { options: vec![vec![]], exact: false },
                }
            }
            Choice::If => {
                let condition = self.document.child(id, &map["if"]);
                let mut part =
                    |keyword: &str| map.get(keyword).map(|c| Item::Schema(self.document.child(id, c)));
                let (then, otherwise) = (part("then"), part("else"));
                let mut first = vec![Item::Schema(condition)];
                first.extend(then);
                let mut options = vec![first];
                let negation = self.negate(condition, 0).filter(|n| n.len() <= 8);
                let exact = negation.is_some();
                for mut rest in negation.unwrap_or_else(|| vec![vec![]]) {
                    rest.extend(otherwise.clone());
                    options.push(rest);
                }
                Options { options, exact }
            }
            Choice::Dependent(keyword, key) => {
                let mut with = vec![Item::Present(key.clone())];
                if let Some(child) = map.get(*keyword).and_then(|m| m.get(&**key)) {
                    with.push(Item::Schema(self.document.child(id, child)));
                }
                Options { options: vec![vec![Item::Absent(key.clone())], with], exact: true }
            }
        }
    }

    /// What a value satisfies exactly when it does not satisfy the schema: alternatives, or `None`
    /// where the grammar has no words for them.
    pub(super) fn negate(&mut self, id: Id, depth: usize) -> Option<Vec<Vec<Item>>> {
        if depth > 6 {
            return None;
        }
        let map = match self.document.value(id) {
            Value::Bool(true) => return Some(vec![]),
            Value::Bool(false) => return Some(vec![vec![]]),
            Value::Object(map) => map,
            _ => return None,
        };
        let only_ref = map.contains_key("$ref") && self.before_2019();
        let mut out: Vec<Vec<Item>> = Vec::new();
        for (keyword, value) in map {
            if only_ref && keyword != "$ref" {
                continue;
            }
            match keyword.as_str() {
                "type" => {
                    let set = match value {
                        Value::String(word) => types::named(word)?,
                        Value::Array(words) => words
                            .iter()
                            .filter_map(|w| w.as_str().and_then(types::named))
                            .fold(0, |a, b| a | b),
                        _ => return None,
                    };
                    out.push(vec![Item::Types(types::ALL & !set)]);
                }
                "enum" | "const" if self.knows(keyword) => {
                    let simple = |v: &Value| !v.is_array() && !v.is_object();
                    let fine = match value {
                        Value::Array(each) if keyword == "enum" => each.iter().all(simple),
                        other => simple(other),
                    };
                    if !fine || (map.contains_key("enum") && map.contains_key("const")) {
                        return None;
                    }
                    out.push(vec![Item::Exclude(id)]);
                }
                "required" => {
                    for key in value.as_array()?.iter().filter_map(Value::as_str) {
                        out.push(vec![Item::Types(types::OBJECT), Item::Absent(key.into())]);
                    }
                }
                "properties" => {
                    for (key, child) in value.as_object()? {
                        let child = self.document.child(id, child);
                        for option in self.negate(child, depth + 1)? {
                            let mut items = vec![Item::Present(key.as_str().into())];
                            items.extend(
                                option.into_iter().map(|i| Item::Property(key.as_str().into(), Box::new(i))),
                            );
                            out.push(items);
                        }
                    }
                }
                "allOf" => {
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        out.extend(self.negate(child, depth + 1)?);
                    }
                }
                "anyOf" => {
                    let mut product: Vec<Vec<Item>> = vec![vec![]];
                    for child in value.as_array()? {
                        let child = self.document.child(id, child);
                        let options = self.negate(child, depth + 1)?;
                        product = product
                            .iter()
                            .flat_map(|base| options.iter().map(move |o| [base.as_slice(), o].concat()))
                            .collect();
                        if product.len() > 16 {
                            return None;
                        }
                    }
                    out.extend(product);
                }
                "not" => out.push(vec![Item::Schema(self.document.child(id, value))]),
                "$ref" => match self.document.resolve(id, value.as_str()?) {
                    Target::Inside(target) => out.extend(self.negate(target, depth + 1)?),
                    _ => return None,
                },
                word if super::keyword::is_annotation(word) => {}
                _ => return None,
            }
        }
        if out.len() > 16 { None } else { Some(out) }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
