//! Arrays: prefix items one by one, further items with counters.

use std::collections::HashSet;

use serde_json::Value;

use super::around::Brackets;
use super::emitter::Emitter;
use super::shortest::{Length, bounded};
use crate::schema::normal::{Item, Shape};
use crate::schema::report::Status;
use crate::schema::value::{normal_text, types};

/// Most distinct values for `uniqueItems`, each a bit of a rule's parameter.
const MAX_UNIQUE: usize = 60;

/// Rules of an array's items, and limits on their number.
pub(super) struct Items {
    /// Rules of the first items, one by one.
    pub(super) prefix: Vec<String>,
    /// Rule of each further item, if there can be any.
    rest: Option<String>,
    /// Conditions on each further item.
    pub(super) rest_items: Vec<Item>,
    pub(super) min: usize,
    pub(super) max: Option<usize>,
}

impl<'a> Emitter<'a> {
    /// The rule for the arrays of a shape; `None` if there are none.
    pub(super) fn array(&mut self, shape: &Shape<'a>) -> Option<String> {
        let items = self.items(shape)?;
        if !shape.unique.is_empty()
            && items.prefix.is_empty()
            && shape.contains.is_empty()
            && let Some(name) = self.unique(shape, &items)
        {
            return Some(name);
        }
        for id in &shape.unique {
            if items.max.is_some_and(|m| m <= 1) {
                self.normal.mark(*id, "uniqueItems", Status::Enforced, "");
            } else {
                self.normal.relax(*id, "uniqueItems", "each item is compared with those before it");
            }
        }
        match self.containing(shape, &items) {
            Some(name) => name,
            None => self.sequence(&items),
        }
    }

    /// The rules of the items; `None` if there are too few.
    fn items(&mut self, shape: &Shape<'a>) -> Option<Items> {
        let min = usize::try_from(shape.min_items).ok()?;
        let mut max = shape.max_items.and_then(|n| usize::try_from(n).ok());
        if max.is_some_and(|m| m < min) {
            return None;
        }
        let longest = shape.arrays.iter().map(|p| p.prefix.len()).max().unwrap_or(0);
        let mut prefix = Vec::new();
        for i in 0..longest.min(max.unwrap_or(usize::MAX)) {
            let items = self.normal.item_items(shape, Some(i));
            match self.item(&items) {
                Some(value) => prefix.push(value),
                None => {
                    max = Some(i);
                    break;
                }
            }
        }
        let rest_items = self.normal.item_items(shape, None);
        let is_full = max.is_some_and(|m| m <= prefix.len());
        let rest = if is_full { None } else { self.item(&rest_items) };
        if rest.is_none() {
            max = Some(max.map_or(prefix.len(), |m| m.min(prefix.len())));
        }
        if max.is_some_and(|m| m < min) {
            return None;
        }
        Some(Items { prefix, rest, rest_items, min, max })
    }

    /// The rule for items in their order.
    fn sequence(&mut self, items: &Items) -> Option<String> {
        let Items { prefix, rest, min, max, .. } = items;
        let (min, max) = (*min, *max);
        let name = self.rules.fresh("a");
        let Brackets { open, first, comma, close } = self.brackets();
        let separated = |rest: &str, low: usize, high: Option<usize>| match high {
            Some(0) => String::new(),
            Some(high) => format!("({comma} {rest}){{{low},{high}}}"),
            None if low == 0 => format!("({comma} {rest})*"),
            None => format!("({comma} {rest}){{{low},}}"),
        };
        let mut body = Vec::new();
        if min == 0 {
            body.push(format!("{open} {close}"));
        }
        if prefix.is_empty() {
            if let Some(rest) = rest
                && max != Some(0)
            {
                let tail = separated(rest, min.saturating_sub(1), max.map(|m| m - 1));
                body.push(format!("{open} {first} {rest} {tail} {close}"));
            }
        } else {
            let mut tail = match rest {
                Some(rest) => format!(
                    "{} {close}",
                    separated(rest, min.saturating_sub(prefix.len()), max.map(|m| m - prefix.len()))
                ),
                None => close.clone(),
            };
            for i in (1..prefix.len()).rev() {
                let tail_name = self.rules.fresh("t");
                let or_close = if i >= min { format!("{close} | ") } else { String::new() };
                self.rules.add(tail_name.clone(), format!("{or_close}{comma} {} {tail}", prefix[i]));
                tail = tail_name;
            }
            body.push(format!("{open} {first} {} {tail}", prefix[0]));
        }
        if body.is_empty() {
            return None;
        }
        let mut needed: Vec<(u64, String)> =
            prefix.iter().take(min).map(|value| (1, value.clone())).collect();
        let further = bounded(min.saturating_sub(prefix.len()) as u64);
        needed.extend(rest.iter().filter(|_| further > 0).map(|value| (further, value.clone())));
        self.rules.lengths.add(&name, Length::Sum(2 * bounded(min as u64).max(1), needed));
        self.rules.add(name.clone(), body.join(" | "));
        Some(name)
    }

    /// The rule for arrays of enumerated items, each at most once; `None` if the items are not enumerated.
    fn unique(&mut self, shape: &Shape<'a>, items: &Items) -> Option<String> {
        let values = self.enumerated_items(&items.rest_items)?;
        let (min, n) = (items.min, values.len());
        if n > MAX_UNIQUE || min > n {
            return None;
        }
        for id in &shape.unique {
            self.normal.mark(*id, "uniqueItems", Status::Enforced, "");
        }
        let (name, first) = (self.rules.fresh("a"), self.rules.fresh("f"));
        let (item, rest) = (self.rules.fresh("i"), self.rules.fresh("r"));
        let most = items.max.unwrap_or(n).min(n);
        let Brackets { open, first: before, comma, close: end } = self.brackets();
        if most == 0 {
            self.rules.add(name.clone(), format!("{open} {end}"));
            return Some(name);
        }
        let close = if min > 0 { format!(" %if bit_count_ge(_, {min})") } else { String::new() };
        let each: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(i, v)| format!("{} {rest}::set_bit({i}) %if bit_clear({i})", self.constant_item(v)))
            .collect();
        self.rules.add(format!("{item}::_"), each.join(" | "));
        let more = format!(" %if bit_count_lt(_, {most})");
        self.rules.add(format!("{first}::_"), format!("{end}{close} | {before} {item}::_{more}"));
        self.rules.add(format!("{rest}::_"), format!("{end}{close} | {comma} {item}::_{more}"));
        self.rules.add(name.clone(), format!("{open} {first}::0x0"));
        Some(name)
    }

    /// The distinct values that satisfy `items`, if they are enumerated.
    fn enumerated_items(&mut self, items: &[Item]) -> Option<Vec<&'a Value>> {
        if items.is_empty() {
            return None;
        }
        let conjunction = self.normal.flatten(items);
        if conjunction.never || !conjunction.choices.is_empty() {
            return None;
        }
        let shape = self.normal.shape(conjunction);
        match shape.values {
            Some(values) => {
                let mut seen = HashSet::new();
                Some(values.into_iter().filter(|value| seen.insert(normal_text(value))).collect())
            }
            None if shape.types & !(types::NULL | types::BOOLEAN) == 0 => {
                let all = [
                    (types::NULL, &Value::Null),
                    (types::BOOLEAN, &Value::Bool(true)),
                    (types::BOOLEAN, &Value::Bool(false)),
                ];
                Some(all.iter().filter(|(t, _)| shape.types & t != 0).map(|(_, v)| *v).collect())
            }
            None => None,
        }
    }
}
