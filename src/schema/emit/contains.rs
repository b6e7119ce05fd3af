//! Arrays with `contains`: a rule whose parameter counts the matching items.

use serde_json::Value;

use super::around::Brackets;
use super::array::Items;
use super::emitter::Emitter;
use super::shortest::Length;
use crate::schema::normal::{Contains, Item, Shape};
use crate::schema::report::Status;

/// Most matching items that a rule's parameter counts.
const MAX_COUNTED: u64 = 4000;

/// The numbers of items that an array needs.
struct Counts {
    /// Matching items.
    least: usize,
    /// All items.
    min: usize,
    max: Option<usize>,
}

impl<'a> Emitter<'a> {
    /// The rule for `contains`, which counts the matching items. The outer `None` means that no counter is
    /// needed or possible here.
    pub(super) fn containing(&mut self, shape: &Shape<'a>, items: &Items) -> Option<Option<String>> {
        let mut needed = Vec::new();
        for contains in &shape.contains {
            let least = self.least_contained(contains);
            if least > 0 {
                needed.push((contains, least));
            }
        }
        let (contains, least) = *needed.first()?;
        if needed.len() > 1 || !items.prefix.is_empty() || least > MAX_COUNTED || items.min > 1 << 20 {
            for (contains, _) in &needed {
                self.normal.relax(contains.id, "contains", "counted when the array is closed");
            }
            return None;
        }
        let least = usize::try_from(least).unwrap_or(usize::MAX);
        if items.max.is_some_and(|m| m < least) {
            return Some(None);
        }
        let child = self.normal.document.child(contains.id, contains.schema);
        let wanted = self.item(&[items.rest_items.as_slice(), &[Item::Schema(child)]].concat());
        let Some(wanted) = wanted else { return Some(None) };
        let Some(any) = self.item(&items.rest_items) else { return Some(None) };
        let counts = Counts { least, min: items.min, max: items.max };
        Some(Some(self.counted(&wanted, &any, counts)))
    }

    /// The least number of matching items.
    fn least_contained(&mut self, contains: &Contains<'a>) -> u64 {
        let Contains { id, min, max, .. } = *contains;
        for (word, limit) in [("minContains", min), ("maxContains", max)] {
            if limit.is_some() {
                self.normal.mark(id, word, Status::Enforced, "");
            }
        }
        self.normal.mark(id, "contains", Status::Enforced, "");
        if max.and_then(Value::as_f64).is_some() {
            self.normal.relax(id, "maxContains", "counted when the array is closed");
        }
        min.and_then(Value::as_f64).unwrap_or(1.0).max(0.0) as u64
    }

    /// The rule for arrays of `any` items, of which some are `wanted`.
    fn counted(&mut self, wanted: &str, any: &str, counts: Counts) -> String {
        let Counts { least, min, max } = counts;
        let Brackets { open, first: before, comma, close: end } = self.brackets();
        let (name, first, item) = (self.rules.fresh("a"), self.rules.fresh("f"), self.rules.fresh("i"));
        let (counted, rest) = (self.rules.fresh("n"), self.rules.fresh("r"));
        let floor = min.max(least);
        let close = if floor > least {
            format!("and(ge([0:12], {least}), ge([12:36], {floor}))")
        } else {
            format!("ge([0:12], {least})")
        };
        // With few places left, only matching items may take them.
        let room = max.map(|m| format!("lt([12:36], {m})"));
        let spare = max.map(|m| {
            let mut all = vec![format!("ge([0:12], {least})")];
            for have in 0..least.min(16) {
                let free = m - (least - have);
                all.push(format!("and(ge([0:12], {have}), lt([12:36], {free}))"));
            }
            all.into_iter().reduce(|a, b| format!("or({a}, {b})")).unwrap_or_default()
        });
        let guard = |extra: Option<&String>| match (&room, extra) {
            (Some(room), Some(extra)) => format!(" %if and({room}, {extra})"),
            (Some(room), None) => format!(" %if {room}"),
            _ => String::new(),
        };
        let (with_room, with_spare) = (guard(None), guard(spare.as_ref()));
        self.rules.add(
            format!("{item}::_"),
            format!("{wanted} {counted}::incr([0:12]){with_room} | {any} {counted}::_{with_spare}"),
        );
        let step = if floor > least || max.is_some() { "incr([12:36])" } else { "_" };
        self.rules.add(format!("{counted}::_"), format!("{rest}::{step}"));
        self.rules.add(format!("{rest}::_"), format!("{end} %if {close} | {comma} {item}::_{with_room}"));
        self.rules.add(format!("{first}::_"), format!("{before} {item}::_"));
        let needed = vec![(least as u64, wanted.to_owned()), ((floor - least) as u64, any.to_owned())];
        self.rules.lengths.add(&name, Length::Sum(2 * floor as u64, needed));
        self.rules.add(name.clone(), format!("{open} {first}::0x0"));
        name
    }
}
