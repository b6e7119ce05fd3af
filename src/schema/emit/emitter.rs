//! Conjunctions to rules, and the expansion of choices.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::around::Around;
use super::place::{KeyPath, Place};
use super::rules::Rules;
use super::shortest::Length;
use crate::schema::normal::{Choice, Conjunction, Item, Normalizer};
use crate::schema::notation::{KeyTypes, Notation};
use crate::schema::options::KeyOrder;
use crate::schema::read::{Document, Id};
use crate::schema::report::Status;
use crate::schema::value::types;

/// Number of rules from which choices are checked afterwards instead of being expanded.
const MAX_RULES: usize = 12_000;
/// Most bytes of the rules and terminals; larger grammars take gigabytes when they are loaded.
const MAX_GRAMMAR_BYTES: usize = 8 << 20;
/// Most conjunctions inside of each other.
const MAX_DEPTH: usize = 500;
/// Most bytes that a value must have; no context holds more.
const MAX_SHORTEST: u64 = 1 << 16;
/// Most alternatives that one conjunction is expanded into.
const MAX_ALTERNATIVES: usize = 128;

/// A conjunction, and the index of its place.
type Key = (usize, Vec<Item>);

/// Facts that rules depend on and that are found while they are made.
#[derive(Default)]
pub(super) struct Known {
    /// Conjunctions without values.
    impossible: HashSet<Key>,
    key_types: KeyTypes,
}

enum Slot {
    /// Being compiled; the name is for references from within.
    Open(String),
    Done(Option<String>),
}

/// The rules so far, and the conjunctions that they are for.
pub(super) struct Emitter<'a> {
    pub(super) normal: Normalizer<'a>,
    pub(super) key_order: KeyOrder,
    pub(super) rules: Rules,
    pub(super) notation: Notation,
    /// The places so far; conjunctions are told apart by them.
    pub(super) places: Vec<Place>,
    /// Index of the current place.
    pub(super) place: usize,
    /// Types of the values under the keys of the notation's members.
    pub(super) key_types: KeyTypes,
    /// Keys for which rules were made.
    pub(super) seen_keys: HashSet<KeyPath>,
    /// True if the types of a key have grown after rules were made for it, so that the rules must be made again.
    pub(super) types_grew: bool,
    memo: HashMap<Key, Slot>,
    /// Conjunctions that refer to themselves.
    recursive: HashSet<Key>,
    /// Conjunctions without any value, to which something referred.
    impossible: HashSet<Key>,
    /// Number of conjunctions that are being compiled.
    depth: usize,
    /// True if `impossible` has grown, so that the rules must be made again.
    again: bool,
}

impl<'a> Emitter<'a> {
    /// An emitter that knows what an earlier one found.
    pub(super) fn new(
        normal: Normalizer<'a>,
        key_order: KeyOrder,
        notation: &Notation,
        known: Known,
    ) -> Emitter<'a> {
        let Known { impossible, key_types } = known;
        let place = match notation {
            Notation::Value(style) => Place::Styled(style.clone()),
            Notation::Members(_) => Place::Root,
        };
        Emitter {
            normal,
            key_order,
            rules: Rules::default(),
            notation: notation.clone(),
            places: vec![place],
            place: 0,
            key_types,
            seen_keys: HashSet::new(),
            types_grew: false,
            memo: HashMap::new(),
            recursive: HashSet::new(),
            impossible,
            depth: 0,
            again: false,
        }
    }

    /// Facts that turned out after rules depended on them, so that the rules must be made again: conjunctions without values, and
    /// types of keys. `None` if the rules are final.
    pub(super) fn take_known(&mut self) -> Option<Known> {
        (self.again || self.types_grew).then(|| Known {
            impossible: std::mem::take(&mut self.impossible),
            key_types: std::mem::take(&mut self.key_types),
        })
    }

    /// The rule or terminal for the values that satisfy `items`; `None` if there are none.
    pub(super) fn value(&mut self, items: &[Item]) -> Option<String> {
        let conjunction = self.normal.flatten(items);
        if conjunction.never || self.normal.report.is_refused() {
            return None;
        }
        let key = (self.place, conjunction.items());
        match self.memo.get(&key) {
            Some(Slot::Done(name)) => return name.clone(),
            Some(Slot::Open(name)) => {
                let name = name.clone();
                self.recursive.insert(key);
                return Some(name);
            }
            None => {}
        }
        if self.impossible.contains(&key) || self.is_spent(&key) {
            return None;
        }
        let name = self.rules.fresh("v");
        self.memo.insert(key.clone(), Slot::Open(name.clone()));
        self.depth += 1;
        let alternatives = if conjunction.choices.is_empty() {
            let shape = self.normal.shape(conjunction);
            self.expressions(&shape)
        } else {
            self.choose(conjunction)
        };
        self.depth -= 1;
        let referred = self.recursive.contains(&key);
        let result = if alternatives.is_empty() {
            if referred {
                // Other rules refer to it: start again, with this conjunction marked as impossible.
                self.impossible.insert(key.clone());
                self.again = true;
            }
            None
        } else if alternatives.len() == 1 && !referred {
            Some(alternatives.into_iter().next().expect("there is one"))
        } else {
            self.rules.add(name.clone(), alternatives.join(" | "));
            self.rules.lengths.add(&name, Length::Least(alternatives));
            Some(name)
        };
        self.memo.insert(key, Slot::Done(result.clone()));
        result
    }

    /// True, and the schema refused, if the grammar has become too large, or its conjunctions are too deep.
    fn is_spent(&mut self, key: &Key) -> bool {
        let message = if self.rules.bytes() > MAX_GRAMMAR_BYTES {
            format!("the grammar up to here has more than {MAX_GRAMMAR_BYTES} bytes")
        } else if self.depth > MAX_DEPTH {
            format!("more than {MAX_DEPTH} values are nested in each other up to here")
        } else {
            return false;
        };
        let pointer = self.pointer(&key.1);
        self.normal.report.refuse(&pointer, "", &message);
        true
    }

    /// JSON pointer of the last schema of a conjunction.
    pub(super) fn pointer(&self, key: &[Item]) -> Rc<str> {
        let id = key.iter().rev().find_map(|item| match item {
            Item::Local(id) | Item::Choice(id, _) => Some(*id),
            _ => None,
        });
        self.normal.document.pointer(id.unwrap_or(Document::ROOT))
    }

    /// Marks conjunctions as impossible that only endless texts satisfy, and refuses the schema if one needs more text
    /// than is ever generated.
    pub(super) fn refuse_endless(&mut self) {
        self.rules.lengths.solve();
        let mut longest: Option<(u64, &Key)> = None;
        for (key, slot) in &self.memo {
            let Slot::Done(Some(name)) = slot else { continue };
            match self.rules.lengths.get(name) {
                None => {
                    self.again |= self.impossible.insert(key.clone());
                }
                // The innermost of several is the shortest.
                Some(length) if length > MAX_SHORTEST && longest.is_none_or(|l| (length, key) < l) => {
                    longest = Some((length, key));
                }
                Some(_) => {}
            }
        }
        if let Some((length, key)) = longest {
            let pointer = self.pointer(&key.1);
            let message =
                format!("the shortest value has {length} bytes or more; at most {MAX_SHORTEST} are written");
            self.normal.report.refuse(&pointer, "", &message);
        }
    }

    /// The rule or terminal for the values that satisfy `items`, which may be none at all.
    pub(super) fn value_or_anything(&mut self, items: &[Item]) -> Option<String> {
        if items.is_empty() { Some(self.anything()) } else { self.value(items) }
    }

    /// Expands a choice: each alternative combined with the rest of the conjunction.
    fn choose(&mut self, mut conjunction: Conjunction) -> Vec<String> {
        let mut sized: Vec<(usize, Id, Choice)> = Vec::new();
        for (id, choice) in conjunction.choices.clone() {
            let size = self.normal.alternatives(id, &choice).conjunctions.len();
            sized.push((size, id, choice));
        }
        sized.sort();
        // If all together are too many, the smallest are expanded and the others are left to the check.
        let mut product = 1_usize;
        let mut kept = Vec::new();
        for (size, id, choice) in sized {
            let fits = kept.is_empty() || product.saturating_mul(size.max(1)) <= MAX_ALTERNATIVES;
            if fits && self.rules.len() < MAX_RULES {
                product = product.saturating_mul(size.max(1));
                kept.push((id, choice));
            } else {
                self.normal.relax(id, choice.keyword(), "too many alternatives to spell out together");
                conjunction.choices.remove(&(id, choice));
            }
        }
        let Some((id, choice)) = kept.first().cloned() else {
            return self.value(&conjunction.items()).into_iter().collect();
        };
        conjunction.choices.remove(&(id, choice.clone()));
        let found = self.normal.alternatives(id, &choice);
        let base = conjunction.items();
        let (options, exact): (Vec<Vec<Item>>, bool) = if choice == Choice::OneOf {
            let found = self.normal.exclusive(&base, &found.conjunctions);
            (found.conjunctions, found.exact)
        } else {
            let options = found.conjunctions.into_iter().map(|o| [base.as_slice(), &o].concat()).collect();
            (options, found.exact)
        };
        let note = match (&choice, exact) {
            (_, true) => "",
            (Choice::OneOf, _) => "the branches can overlap; give each one a required key with its own const",
            _ => "cannot be turned into a grammar; say what is allowed instead",
        };
        let status = if exact { Status::Enforced } else { Status::CheckedAfter };
        self.normal.mark(id, choice.keyword(), status, note);
        if choice == Choice::If {
            self.normal.mark(id, "then", status, "");
            self.normal.mark(id, "else", status, "");
        }
        let mut names = BTreeSet::new();
        let mut alternatives = Vec::new();
        for option in options {
            if let Some(name) = self.value(&option)
                && names.insert(name.clone())
            {
                alternatives.push(name);
            }
        }
        alternatives
    }

    /// The rule for any value.
    pub(super) fn anything(&mut self) -> String {
        let key = (self.place, vec![Item::Types(types::ALL)]);
        if let Some(Slot::Done(Some(name))) = self.memo.get(&key) {
            return name.clone();
        }
        if !matches!(self.place(), Place::Styled(_)) {
            return self.value(&key.1).unwrap_or_default();
        }
        let name = self.rules.fresh("v");
        self.memo.insert(key, Slot::Done(Some(name.clone())));
        let key = self.key_terminal();
        let (string, number) = (self.any_string(), self.any_number());
        let (member, object, array) = (self.rules.fresh("m"), self.rules.fresh("o"), self.rules.fresh("a"));
        let Around { first, separator, close, colon, .. } = self.around();
        let (style, bracket) = (self.style(), self.brackets().close);
        self.rules.add(member.clone(), format!("{key} {colon} {name}"));
        self.rules.add(
            object.clone(),
            format!("\"{{\" \"}}\" | \"{{\" {first} {member} ({separator} {member})* {close}"),
        );
        self.rules.add(
            array.clone(),
            format!("\"[\" \"]\" | \"[\" {first} {name} ({separator} {name})* {bracket}"),
        );
        let nulls = style.nulls().iter().map(|word| format!("\"{word}\""));
        let words: Vec<String> =
            nulls.chain(style.truths().iter().map(|(_, word)| format!("\"{word}\""))).collect();
        let words = words.join(" | ");
        self.rules.add(name.clone(), format!("{words} | {number} | {string} | {array} | {object}"));
        name
    }
}
