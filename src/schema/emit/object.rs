//! Objects: a rule whose parameter has one bit for each key that was written.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::emitter::Emitter;
use super::members::{COUNTER, Member, Members};
use crate::schema::normal::{Choice, Formula, Shape};
use crate::schema::options::KeyOrder;
use crate::schema::read::Id;
use crate::schema::report::Status;
use crate::schema::value::matcher::matches;

impl<'a> Emitter<'a> {
    /// The rule for the objects of a shape; `None` if there are none.
    pub(super) fn object(&mut self, shape: &Shape<'a>) -> Option<String> {
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
        shape.conjunction.properties.iter().for_each(|(k, _)| add(k));
        shape.conjunction.absent.iter().for_each(|k| add(k));
        let mut formulas = Vec::new();
        for (id, choice) in shape.conjunction.presence.clone() {
            let formula = self.normal.formula(id, &choice)?;
            let mut named = BTreeSet::new();
            formula.keys(&mut named);
            named.iter().for_each(|k| add(k));
            formulas.push((id, choice, formula));
        }

        if self.key_order == KeyOrder::Schema {
            for part in shape.objects.iter().filter(|p| p.properties.is_some_and(|m| m.len() > 1)) {
                let pointer = self.normal.document.pointer(part.id);
                self.normal.report.fix_order(&pointer);
            }
        }
        let closed = self.normal.is_closed(shape);
        let members = self.declared(shape, &keys, closed)?;
        let others = self.others(shape, &keys, closed);
        let formulas = self.expressible(formulas, &members);
        let (min, max) = (shape.min_properties, shape.max_properties);
        self.members(Members { members, others, formulas, min, max })
    }

    /// The declared keys with the rules of their values; `None` if a required one has no value.
    fn declared(&mut self, shape: &Shape<'a>, keys: &[Rc<str>], closed: bool) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        for key in keys {
            if self.normal.report.is_refused() {
                return None;
            }
            let declared = shape.objects.iter().any(|p| {
                p.additional.is_some()
                    || p.properties.is_some_and(|m| m.contains_key(&**key))
                    || p.patterns.iter().any(|(text, _)| matches(text, key) == Some(true))
            });
            let required = shape.required.contains(key);
            let value = if (closed && !declared && !required) || self.normal.name_refused(shape, key) {
                None
            } else {
                let items = self.normal.key_items(shape, key);
                let place = self.member_place(Some(key), &items);
                self.within(place, |inner| inner.value_or_anything(&items))
            };
            match value {
                Some(value) => match self.declared_key(key, required) {
                    Some(text) => members.push(Member { key: key.clone(), text, required, value }),
                    None if required => return None,
                    None => self.leave_out_key(shape, key),
                },
                None if required => return None,
                None => {}
            }
        }
        Some(members)
    }

    /// Notes that an optional key is left out, since it cannot be written.
    fn leave_out_key(&mut self, shape: &Shape<'a>, key: &str) {
        for part in shape.objects.iter().filter(|part| part.properties.is_some_and(|of| of.contains_key(key)))
        {
            let pointer = self.normal.document.pointer(part.id);
            let what = format!("the key {}", crate::json::spaced(&key));
            self.normal.report.leave_out(&pointer, "properties", &what);
        }
    }

    /// A key as a part of a rule; `None` if it cannot be written, and the schema refused if it is required.
    pub(super) fn declared_key(&mut self, key: &Rc<str>, required: bool) -> Option<String> {
        let text = self.key_literal(key);
        if text.is_none() && required {
            let note = format!("the call format cannot write the key {}", crate::json::spaced(&&**key));
            self.normal.report.refuse("#", "required", &note);
        }
        text
    }

    /// The formulas that the rules can follow; the others are left to the check.
    fn expressible(&mut self, formulas: Vec<(Id, Choice, Formula)>, members: &[Member]) -> Vec<Formula> {
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
                self.normal.mark(id, choice.keyword(), Status::Enforced, "");
                if choice == Choice::If {
                    self.normal.mark(id, "then", Status::Enforced, "");
                    self.normal.mark(id, "else", Status::Enforced, "");
                }
                kept.push(formula);
            } else {
                self.normal.relax(id, choice.keyword(), "the object has too many keys to keep count of");
            }
        }
        kept
    }
}
