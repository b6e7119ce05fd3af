//! Arrays: prefix items one by one, further items with counters.

use serde_json::Value;

use crate::schema::emit::grammar::Compiler;
use crate::schema::normal::conjunction::{Item, types};
use crate::schema::normal::shape::Shape;
use crate::schema::report::Status;

/// Most distinct values for `uniqueItems`, each a bit of a rule's parameter.
const MAX_UNIQUE: usize = 60;

impl<'a> Compiler<'a, '_> {
    /// The rule for the arrays of a shape; `None` if there are none.
    pub(crate) fn array(&mut self, shape: &Shape<'a>) -> Option<String> {
        let min = usize::try_from(shape.min_items).ok()?;
        let mut max = shape.max_items.and_then(|n| usize::try_from(n).ok());
        if max.is_some_and(|m| m < min) {
            return None;
        }
        let prefix = shape.arrays.iter().map(|p| p.prefix.len()).max().unwrap_or(0);
        let mut items = Vec::new();
        for i in 0..prefix.min(max.unwrap_or(usize::MAX)) {
            let conjunction = self.item_items(shape, Some(i));
            let value = if conjunction.is_empty() { Some(self.anything()) } else { self.value(&conjunction) };
            match value {
                Some(value) => items.push(value),
                None => {
                    max = Some(i);
                    break;
                }
            }
        }
        let conjunction = self.item_items(shape, None);
        let rest = if max.is_some_and(|m| m <= items.len()) {
            None
        } else if conjunction.is_empty() {
            Some(self.anything())
        } else {
            self.value(&conjunction)
        };
        if rest.is_none() {
            max = Some(max.map_or(items.len(), |m| m.min(items.len())));
        }
        if max.is_some_and(|m| m < min) {
            return None;
        }
        if !shape.unique.is_empty()
            && items.is_empty()
            && shape.contains.is_empty()
            && let Some(name) = self.unique(shape, &conjunction, min, max)
        {
            return Some(name);
        }
        for id in &shape.unique {
            if max.is_some_and(|m| m <= 1) {
                self.mark(*id, "uniqueItems", Status::Enforced, "");
            } else {
                self.relax(*id, "uniqueItems", "each item is compared with those before it");
            }
        }
        if let Some(name) = self.containing(shape, &conjunction, &items, min, max) {
            return name;
        }

        let name = self.fresh("a");
        let separated = |rest: &str, low: usize, high: Option<usize>| match high {
            Some(0) => String::new(),
            Some(high) => format!("(\", \" {rest}){{{low},{high}}}"),
            None if low == 0 => format!("(\", \" {rest})*"),
            None => format!("(\", \" {rest}){{{low},}}"),
        };
        let mut body = Vec::new();
        if min == 0 {
            body.push("\"[\" \"]\"".to_string());
        }
        if items.is_empty() {
            if let Some(rest) = &rest
                && max != Some(0)
            {
                let tail = separated(rest, min.saturating_sub(1), max.map(|m| m - 1));
                body.push(format!("\"[\" {rest} {tail} \"]\""));
            }
        } else {
            let mut tail = match &rest {
                Some(rest) => format!(
                    "{} \"]\"",
                    separated(rest, min.saturating_sub(items.len()), max.map(|m| m - items.len()))
                ),
                None => "\"]\"".to_string(),
            };
            for i in (1..items.len()).rev() {
                let tail_name = self.fresh("t");
                let close = if i >= min { "\"]\" | " } else { "" };
                self.rule(tail_name.clone(), format!("{close}\", \" {} {tail}", items[i]));
                tail = tail_name;
            }
            body.push(format!("\"[\" {} {tail}", items[0]));
        }
        if body.is_empty() {
            return None;
        }
        self.rule(name.clone(), body.join(" | "));
        Some(name)
    }

    /// The conjunction for the item at `index`, or for any item after the prefixes.
    fn item_items(&mut self, shape: &Shape<'a>, index: Option<usize>) -> Vec<Item> {
        let mut out = Vec::new();
        let at = |prefix: &'a [Value]| index.and_then(|i| prefix.get(i));
        for part in &shape.arrays {
            if let Some(child) = at(part.prefix).or(part.rest) {
                out.push(Item::Schema(self.document.child(part.id, child)));
            }
        }
        for id in shape.flat.unevaluated.clone() {
            let Some(child) = self.unevaluated(id, "unevaluatedItems") else { continue };
            let covered = self.covered(id);
            let seen = shape
                .arrays
                .iter()
                .filter(|p| covered.contains(&p.id))
                .any(|p| p.rest.is_some() || at(p.prefix).is_some());
            if !seen {
                out.push(Item::Schema(child));
            }
        }
        out
    }

    /// The rule for arrays of enumerated items, each at most once; `None` if the items are not enumerated.
    fn unique(
        &mut self,
        shape: &Shape<'a>,
        conjunction: &[Item],
        min: usize,
        max: Option<usize>,
    ) -> Option<String> {
        if conjunction.is_empty() {
            return None;
        }
        let flat = self.flatten(conjunction);
        if flat.never || !flat.choices.is_empty() {
            return None;
        }
        let items = self.shape(flat);
        let values: Vec<&Value> = match &items.values {
            Some(values) => {
                let mut distinct: Vec<&Value> = Vec::new();
                for value in values {
                    if !distinct.iter().any(|v| crate::schema::normal::shape::equal(v, value)) {
                        distinct.push(value);
                    }
                }
                distinct
            }
            None if items.types & !(types::NULL | types::BOOLEAN) == 0 => {
                let all = [
                    (types::NULL, &Value::Null),
                    (types::BOOLEAN, &Value::Bool(true)),
                    (types::BOOLEAN, &Value::Bool(false)),
                ];
                all.iter().filter(|(t, _)| items.types & t != 0).map(|(_, v)| *v).collect()
            }
            None => return None,
        };
        if values.len() > MAX_UNIQUE || min > values.len() {
            return None;
        }
        let n = values.len();
        for id in &shape.unique {
            self.mark(*id, "uniqueItems", Status::Enforced, "");
        }
        let (name, first, item, rest) = (self.fresh("a"), self.fresh("f"), self.fresh("i"), self.fresh("r"));
        let most = max.unwrap_or(n).min(n);
        if most == 0 {
            self.rule(name.clone(), "\"[\" \"]\"".into());
            return Some(name);
        }
        let close = if min > 0 { format!(" %if bit_count_ge(_, {min})") } else { String::new() };
        let each: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(i, v)| format!("{} {rest}::set_bit({i}) %if bit_clear({i})", self.constant(v)))
            .collect();
        self.rule(format!("{item}::_"), each.join(" | "));
        let more = format!(" %if bit_count_lt(_, {most})");
        self.rule(format!("{first}::_"), format!("\"]\"{close} | {item}::_{more}"));
        self.rule(format!("{rest}::_"), format!("\"]\"{close} | \", \" {item}::_{more}"));
        self.rule(name.clone(), format!("\"[\" {first}::0x0"));
        Some(name)
    }

    /// The rule for `contains`, which counts the matching items. The outer `None` means that no counter is
    /// needed or possible here.
    fn containing(
        &mut self,
        shape: &Shape<'a>,
        conjunction: &[Item],
        prefix: &[String],
        min: usize,
        max: Option<usize>,
    ) -> Option<Option<String>> {
        let mut needed = Vec::new();
        for (id, child) in &shape.contains {
            let map = self.document.value(*id);
            let newer = !self.before_2019();
            let count = |word: &str| map.get(word).filter(|_| newer).and_then(Value::as_f64);
            let least = count("minContains").unwrap_or(1.0).max(0.0) as u64;
            if newer {
                for word in ["minContains", "maxContains"] {
                    if map.get(word).is_some() {
                        self.mark(*id, word, Status::Enforced, "");
                    }
                }
            }
            self.mark(*id, "contains", Status::Enforced, "");
            if count("maxContains").is_some() {
                self.relax(*id, "maxContains", "counted when the array is closed");
            }
            if least > 0 {
                needed.push((*id, *child, least));
            }
        }
        let (id, child, least) = *needed.first()?;
        if needed.len() > 1 || !prefix.is_empty() || least > 4000 || min > 1 << 20 {
            for (id, _, _) in &needed {
                self.relax(*id, "contains", "counted when the array is closed");
            }
            return None;
        }
        let least = usize::try_from(least).unwrap_or(usize::MAX);
        if max.is_some_and(|m| m < least) {
            return Some(None);
        }
        let child = self.document.child(id, child);
        let wanted = self.value(&[conjunction, &[Item::Schema(child)]].concat());
        let Some(wanted) = wanted else { return Some(None) };
        let any = if conjunction.is_empty() { Some(self.anything()) } else { self.value(conjunction) };
        let Some(any) = any else { return Some(None) };
        let (name, first, item, counted, rest) =
            (self.fresh("a"), self.fresh("f"), self.fresh("i"), self.fresh("n"), self.fresh("r"));
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
        self.rule(
            format!("{item}::_"),
            format!("{wanted} {counted}::incr([0:12]){with_room} | {any} {counted}::_{with_spare}"),
        );
        let step = if floor > least || max.is_some() { "incr([12:36])" } else { "_" };
        self.rule(format!("{counted}::_"), format!("{rest}::{step}"));
        self.rule(format!("{rest}::_"), format!("\"]\" %if {close} | \", \" {item}::_{with_room}"));
        self.rule(format!("{first}::_"), format!("{item}::_"));
        self.rule(name.clone(), format!("\"[\" {first}::0x0"));
        Some(Some(name))
    }
}
