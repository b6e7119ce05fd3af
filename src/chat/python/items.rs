//! Jinja2's filters on collections: length, order, groups and sums.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, int};
use super::error::python_error;
use super::fuel;
use super::lookup::{path, path_or};
use super::operators::{add, equal, sort_by_key};
use super::text::str;
use super::value::{Py, SequenceKind, dict_pairs, generator, iterate, list, tuple, type_name, view};

type Outcome = Result<Value, Error>;

/// `value|length`.
pub(super) fn length(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("obj")?;
    args.finish()?;
    match view(&value) {
        Py::Undefined => Ok(Value::from(0)),
        Py::Str(text) => {
            fuel::bytes(state, text.len() / 4)?;
            Ok(Value::from(text.chars().count()))
        }
        Py::Seq(items) if items.kind != SequenceKind::Generator => Ok(Value::from(items.items().len())),
        Py::Dict(dict) => Ok(Value::from(dict.len())),
        _ => Err(python_error(format!("object of type '{}' has no len()", type_name(&value)))),
    }
}

/// `value|list`.
pub(super) fn to_list(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    list(iterate(state, &value)?)
}

/// `value|items`.
pub(super) fn items(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    match view(&value) {
        Py::Undefined => generator(Vec::new()),
        Py::Dict(dict) => generator(dict_pairs(state, dict)?),
        _ => Err(python_error("Can only get item pairs from a mapping.")),
    }
}

/// `value|first`.
pub(super) fn first(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("seq")?;
    args.finish()?;
    match view(&value) {
        Py::Seq(items) => Ok(items.first().cloned().unwrap_or_default()),
        Py::Str(text) => Ok(text.chars().next().map(Value::from).unwrap_or_default()),
        _ => Ok(iterate(state, &value)?.into_iter().next().unwrap_or_default()),
    }
}

/// `value|last`.
pub(super) fn last(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("seq")?;
    args.finish()?;
    match view(&value) {
        Py::Seq(items) if items.kind == SequenceKind::Generator => {
            Err(python_error("'generator' object is not reversible"))
        }
        Py::Seq(items) => Ok(items.items().last().cloned().unwrap_or_default()),
        Py::Str(text) => Ok(text.chars().next_back().map(Value::from).unwrap_or_default()),
        _ => Ok(iterate(state, &value)?.pop().unwrap_or_default()),
    }
}

/// `value|reverse`.
pub(super) fn reverse(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    if let Py::Str(text) = view(&value) {
        fuel::bytes(state, text.len())?;
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = iterate(state, &value)?;
    items.reverse();
    generator(items)
}

/// `value|join(d, attribute)`.
pub(super) fn join(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let separator = args.optional("d").map_or(Ok(String::new()), |d| str(state, &d))?;
    let attribute = args.given("attribute");
    args.finish()?;
    let mut out = String::new();
    for (i, item) in iterate(state, &value)?.iter().enumerate() {
        let item = match &attribute {
            Some(attribute) => path(state, item, attribute)?,
            None => item.clone(),
        };
        let item = str(state, &item)?;
        // Twice, since a text doubles as it grows.
        fuel::bytes(state, (separator.len() + item.len()).saturating_mul(2))?;
        if i > 0 {
            out.push_str(&separator);
        }
        out.push_str(&item);
    }
    Ok(Value::from(out))
}

/// Sort key of a value; texts are lower-cased unless `case_sensitive`.
fn folded(state: &State, value: Value, case_sensitive: bool) -> Result<Value, Error> {
    match view(&value) {
        Py::Str(text) if !case_sensitive => {
            fuel::bytes(state, text.len().saturating_mul(4))?;
            Ok(Value::from(text.to_lowercase()))
        }
        _ => Ok(value),
    }
}

/// The sort keys of `items`, after the last two parameters of `sort`, `min`, `max` and `unique`: the items, an
/// `attribute`, or several separated by commas; texts are lower-cased unless `case_sensitive`.
fn keys(state: &State, items: &[Value], mut args: Arguments) -> Result<Vec<Value>, Error> {
    let case_sensitive = args.flag("case_sensitive");
    let attribute = args.given("attribute");
    args.finish()?;
    fuel::containers(state, items.len())?;
    items
        .iter()
        .map(|item| match attribute.as_ref().map(view) {
            None => folded(state, item.clone(), case_sensitive),
            Some(Py::Str(names)) if names.contains(',') => list(
                names
                    .split(',')
                    .map(|name| {
                        fuel::containers(state, 1)?;
                        folded(state, path(state, item, &Value::from(name))?, case_sensitive)
                    })
                    .collect::<Result<_, Error>>()?,
            ),
            Some(_) => {
                let key = path(state, item, attribute.as_ref().unwrap_or(&Value::UNDEFINED))?;
                folded(state, key, case_sensitive)
            }
        })
        .collect()
}

fn sorted(state: &State, items: Vec<Value>, keys: Vec<Value>, reverse: bool) -> Result<Vec<Value>, Error> {
    fuel::containers(state, items.len())?;
    let mut pairs: Vec<(Value, Value)> = keys.into_iter().zip(items).collect();
    // Like Python, reversed before and after sorting, so that equal items keep their order.
    if reverse {
        pairs.reverse();
    }
    sort_by_key(state, &mut pairs, |(key, _)| key.clone())?;
    if reverse {
        pairs.reverse();
    }
    Ok(pairs.into_iter().map(|(_, item)| item).collect())
}

/// `value|sort(reverse, case_sensitive, attribute)`.
pub(super) fn sort(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let reverse = args.flag("reverse");
    let keys = keys(state, &items, args)?;
    list(sorted(state, items, keys, reverse)?)
}

/// `value|dictsort(case_sensitive, by, reverse)`.
pub(super) fn dictsort(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let case_sensitive = args.flag("case_sensitive");
    let by = args.optional("by").unwrap_or_else(|| Value::from("key"));
    let reverse = args.flag("reverse");
    args.finish()?;
    let Py::Dict(dict) = view(&value) else {
        return Err(python_error(format!("'{}' object has no attribute 'items'", type_name(&value))));
    };
    let by_value = match by.as_str() {
        Some("key") => false,
        Some("value") => true,
        _ => return Err(python_error("You can only sort by either \"key\" or \"value\"")),
    };
    fuel::containers(state, dict.len())?;
    let keys = dict.iter().map(|(key, value)| if by_value { value } else { key });
    let keys = keys.map(|key| folded(state, key.clone(), case_sensitive)).collect::<Result<_, _>>()?;
    list(sorted(state, dict_pairs(state, dict)?, keys, reverse)?)
}

/// `value|min(case_sensitive, attribute)` and `|max`.
pub(super) fn extreme(state: &mut State, mut args: Arguments, name: &str) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let keys = keys(state, &items, args)?;
    // Reversed order keeps the first of equal items in front, as `max` does.
    Ok(sorted(state, items, keys, name == "max")?.into_iter().next().unwrap_or_default())
}

/// `value|unique(case_sensitive, attribute)`.
pub(super) fn unique(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let keys = keys(state, &items, args)?;
    let mut seen: Vec<Value> = Vec::new();
    let mut kept = Vec::new();
    for (key, item) in keys.into_iter().zip(items) {
        let mut known = false;
        for other in &seen {
            known = known || equal(state, other, &key)?;
        }
        if !known {
            seen.push(key);
            kept.push(item);
        }
    }
    generator(kept)
}

/// `value|sum(attribute, start)`.
pub(super) fn sum(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("iterable")?)?;
    let attribute = args.given("attribute");
    let mut total = args.optional("start").unwrap_or_else(|| Value::from(0));
    args.finish()?;
    for item in items {
        state.consume_fuel(fuel::CALL)?;
        let item = match &attribute {
            Some(attribute) => path(state, &item, attribute)?,
            None => item,
        };
        total = add(state, Arguments::new(&[total, item]))?;
    }
    Ok(total)
}

/// `value|groupby(attribute, default, case_sensitive)`.
pub(super) fn groupby(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let attribute = args.required("attribute")?;
    let default = args.given("default");
    let case_sensitive = args.flag("case_sensitive");
    args.finish()?;
    let mut keyed = Vec::new();
    fuel::containers(state, items.len().saturating_mul(2))?;
    for item in items {
        let key = path_or(state, &item, &attribute, default.as_ref())?;
        keyed.push((folded(state, key.clone(), case_sensitive)?, key, item));
    }
    sort_by_key(state, &mut keyed, |(folded, _, _)| folded.clone())?;
    fuel::containers(state, keyed.len())?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (folded, key, item) in keyed {
        match groups.last_mut() {
            Some((last, _, members)) if equal(state, last, &folded)? => members.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    list(
        groups
            .into_iter()
            .map(|(_, key, members)| tuple(vec![key, list(members)?]))
            .collect::<Result<_, _>>()?,
    )
}

/// `value|batch(linecount, fill_with)`.
pub(super) fn batch(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let size = usize::try_from(int(Some(args.required("linecount")?), 0)?).unwrap_or(0).max(1);
    let fill = args.given("fill_with");
    args.finish()?;
    fuel::items(state, items.len())?;
    fuel::containers(state, items.len().div_ceil(size))?;
    let mut rows: Vec<Vec<Value>> = items.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(row), Some(fill)) = (rows.last_mut(), fill) {
        fuel::items(state, size)?;
        row.resize(size, fill);
    }
    generator(rows.into_iter().map(list).collect::<Result<_, _>>()?)
}

/// `value|slice(slices, fill_with)`.
pub(super) fn slice(state: &mut State, mut args: Arguments) -> Outcome {
    let items = iterate(state, &args.required("value")?)?;
    let slices = usize::try_from(int(Some(args.required("slices")?), 0)?).unwrap_or(0);
    let fill = args.given("fill_with");
    args.finish()?;
    if slices == 0 {
        return Err(python_error("integer division or modulo by zero"));
    }
    fuel::items(state, items.len())?;
    fuel::containers(state, slices)?;
    let (each, more) = (items.len() / slices, items.len() % slices);
    let mut at = 0;
    let mut rows = Vec::new();
    for i in 0..slices {
        let end = at + each + usize::from(i < more);
        let mut row = items[at..end].to_vec();
        if i >= more {
            row.extend(fill.clone());
        }
        rows.push(list(row)?);
        at = end;
    }
    generator(rows)
}
