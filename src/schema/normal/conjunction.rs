//! Schemas that apply to the same value, with in-place applicators resolved.
//!
//! A value must satisfy every [`Item`] of a conjunction. `$ref` and `allOf` only add items. Each `anyOf`,
//! `oneOf`, `if`, `not` and dependency is a [`Choice`] between further conjunctions, unless it only depends on
//! the presence of keys ([`Formula`](crate::schema::normal::presence::Formula)).

use std::collections::BTreeSet;
use std::rc::Rc;

use referencing::Draft;
use serde_json::Value;

use crate::json;

use crate::schema::emit::grammar::Compiler;
use crate::schema::read::document::{Id, Target, not_here};
use crate::schema::report::Status;

/// Sets of JSON types as bits; integers are separate from other numbers.
pub(crate) mod types {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const INTEGER: u8 = 4;
    pub const FRACTION: u8 = 8;
    pub const STRING: u8 = 16;
    pub const ARRAY: u8 = 32;
    pub const OBJECT: u8 = 64;
    pub const ALL: u8 = 127;

    /// The set for a name in `type`.
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

    /// The types that a keyword constrains.
    pub fn spoken_of(word: &str) -> u8 {
        match word {
            "minLength" | "maxLength" | "pattern" | "format" => STRING,
            "minItems" | "maxItems" => ARRAY,
            "minProperties" | "maxProperties" => OBJECT,
            _ => INTEGER | FRACTION,
        }
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

/// The keywords that choose between schemas for the same value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Choice {
    AnyOf,
    OneOf,
    If,
    Not,
    /// `dependentSchemas`, `dependentRequired` or `dependencies`, for one key.
    Dependent(&'static str, Rc<str>),
}

impl Choice {
    pub(crate) fn keyword(&self) -> &'static str {
        match self {
            Choice::AnyOf => "anyOf",
            Choice::OneOf => "oneOf",
            Choice::If => "if",
            Choice::Not => "not",
            Choice::Dependent(keyword, _) => keyword,
        }
    }
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Item {
    /// A schema with everything in it.
    Schema(Id),
    /// A schema's own keywords, without choices and in-place references.
    Local(Id),
    /// One of the alternatives of a schema's keyword holds.
    Choice(Id, Choice),
    /// A choice that is only a condition on keys.
    Presence(Id, Choice),
    /// A schema's `unevaluatedProperties` and `unevaluatedItems`.
    Unevaluated(Id),
    /// One of these types.
    Types(u8),
    /// An object with this key.
    Present(Rc<str>),
    /// No object with this key.
    Absent(Rc<str>),
    /// If the value is an object with this key, the value under it satisfies the item.
    Property(Rc<str>, Box<Item>),
    /// None of the values of the schema's `enum` or `const`.
    Exclude(Id),
    /// A violation of one keyword of the schema, by a value of a type that the keyword constrains.
    Against(Id, &'static str),
}

/// A conjunction with `$ref` and `allOf` resolved.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    pub(crate) never: bool,
    pub(crate) types: u8,
    pub(crate) locals: BTreeSet<Id>,
    pub(crate) choices: BTreeSet<(Id, Choice)>,
    pub(crate) presence: BTreeSet<(Id, Choice)>,
    pub(crate) unevaluated: BTreeSet<Id>,
    pub(crate) present: BTreeSet<Rc<str>>,
    pub(crate) absent: BTreeSet<Rc<str>>,
    pub(crate) properties: BTreeSet<(Rc<str>, Item)>,
    pub(crate) exclude: BTreeSet<Id>,
    pub(crate) against: BTreeSet<(Id, &'static str)>,
}

impl Flat {
    /// The conjunction as sorted items; equal conjunctions have equal items.
    pub(crate) fn items(&self) -> Vec<Item> {
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
        items.extend(self.against.iter().map(|(id, word)| Item::Against(*id, word)));
        items
    }
}

impl Compiler<'_, '_> {
    /// Resolves the references of `items`.
    pub(crate) fn flatten(&mut self, items: &[Item]) -> Flat {
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
            against: BTreeSet::new(),
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
            Item::Against(id, word) => {
                flat.types &= types::spoken_of(word);
                flat.against.insert((*id, word));
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
                let found = json::type_name(other);
                self.refuse(id, "", &format!("a schema is an object or a boolean, not {found}"));
                return;
            }
        };
        if let Some(Value::String(reference)) = map.get("$ref") {
            self.follow(id, reference, flat, seen);
            if self.before_2019() {
                for key in
                    map.keys().filter(|k| *k != "$ref" && !crate::schema::read::keyword::is_container(k))
                {
                    self.mark(id, key, Status::Annotation, "ignored beside $ref in this draft");
                }
                return;
            }
        }
        for dynamic in ["$dynamicRef", "$recursiveRef"] {
            if !self.knows(dynamic) {
                continue;
            }
            if let Some(reference) = self.document.static_reference(map, dynamic) {
                self.mark(id, dynamic, Status::Enforced, "");
                self.follow(id, reference, flat, seen);
            } else if map.contains_key(dynamic) {
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

    /// Narrows the types by `type`; for tools without it, by the types that the other keywords constrain.
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
            None if self.options.meaning == crate::schema::Meaning::Tool => {
                if let Some(set) = crate::schema::read::keyword::implied_types(map) {
                    flat.types &= set;
                }
            }
            None => {}
        }
    }

    pub(crate) fn before_2019(&self) -> bool {
        matches!(self.document.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
    }
}
