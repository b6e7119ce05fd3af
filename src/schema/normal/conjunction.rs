//! Schemas that apply to the same value, with in-place applicators resolved.
//!
//! A value must satisfy every [`Item`] of a conjunction. `$ref` and `allOf` only add items. Each `anyOf`,
//! `oneOf`, `if`, `not` and dependency is a [`Choice`] between further conjunctions, unless it only depends on
//! the presence of keys ([`Formula`](super::formula::Formula)).

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::schema::read::{Document, Id};
use crate::schema::value::types;

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
    Violates(Id, &'static str),
}

impl Item {
    /// The schema that the item comes from, or the document's root.
    pub(super) fn schema(&self) -> Id {
        match self {
            Item::Schema(id)
            | Item::Local(id)
            | Item::Choice(id, _)
            | Item::Presence(id, _)
            | Item::Unevaluated(id)
            | Item::Exclude(id)
            | Item::Violates(id, _) => *id,
            Item::Property(_, item) => item.schema(),
            Item::Types(_) | Item::Present(_) | Item::Absent(_) => Document::ROOT,
        }
    }
}

/// A conjunction with `$ref` and `allOf` resolved.
#[derive(Clone, Debug)]
pub(crate) struct Conjunction {
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
    pub(crate) violated: BTreeSet<(Id, &'static str)>,
}

impl Default for Conjunction {
    /// The conjunction of nothing, which every value satisfies.
    fn default() -> Conjunction {
        Conjunction {
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
            violated: BTreeSet::new(),
        }
    }
}

impl Conjunction {
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
        items.extend(self.violated.iter().map(|(id, word)| Item::Violates(*id, word)));
        items
    }
}
