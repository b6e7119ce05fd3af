//! Methods that change a list or dictionary.
//!
//! The sandbox of `transformers` refuses them, so templates that call them render elsewhere alone, such as in llama.cpp and
//! vLLM: Kimi K2's first ones do, and many that are written by hand.
//!
//! A change puts copies of values as they are then into a container. So no container can come to hold itself, and
//! nesting stays bounded: by [`MAX_DEPTH`](super::value::MAX_DEPTH) in what changes put there, and by as much around it.

use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::fuel;
use super::operators::equal;
use super::text;
use super::value::{
    Dict, Py, Sequence, SequenceKind, dict, dict_pairs, holds_namespace, iterate, sequence, type_name, view,
};

/// `receiver.name(*args)` for the methods that change their receiver; `None` for others.
pub(super) fn call(
    state: &State,
    receiver: &Value,
    name: &str,
    args: &[Value],
) -> Option<Result<Value, Error>> {
    match view(receiver) {
        Py::Seq(list) if list.kind == SequenceKind::List => {
            Some(changed_list(state, list, list_method(name)?, Arguments::new(args)))
        }
        Py::Dict(dict) => Some(changed_dict(state, dict, dict_method(name)?, Arguments::new(args))),
        _ => None,
    }
}

type Method<T> = fn(&State, &mut Vec<T>, Arguments) -> Result<Value, Error>;
type Pair = (Value, Value);

fn list_method(name: &str) -> Option<Method<Value>> {
    Some(match name {
        "append" => append,
        "clear" => clear,
        "extend" => extend,
        "insert" => insert,
        "pop" => pop,
        "remove" => remove,
        "reverse" => reverse,
        _ => return None,
    })
}

fn dict_method(name: &str) -> Option<Method<Pair>> {
    Some(match name {
        "clear" => clear,
        "pop" => pop_key,
        "setdefault" => set_default,
        "update" => update,
        _ => return None,
    })
}

fn changed_list(
    state: &State,
    list: &Sequence,
    method: Method<Value>,
    args: Arguments,
) -> Result<Value, Error> {
    state.consume_fuel(fuel::CALL)?;
    fuel::items(state, list.items().len())?;
    let mut items = list.items().to_vec();
    let result = method(state, &mut items, args)?;
    fuel::items(state, items.len())?;
    list.change(items)?;
    Ok(result)
}

fn changed_dict(state: &State, dict: &Dict, method: Method<Pair>, args: Arguments) -> Result<Value, Error> {
    state.consume_fuel(fuel::CALL)?;
    fuel::containers(state, dict.len())?;
    let mut pairs: Vec<Pair> = dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let result = method(state, &mut pairs, args)?;
    fuel::containers(state, pairs.len())?;
    dict.change(pairs)?;
    Ok(result)
}

/// A copy of `value` in which nothing can be changed from outside.
fn copied(state: &State, value: &Value) -> Result<Value, Error> {
    if holds_namespace(value) {
        return Err(python_error(format!("a {} cannot be put into a list or dictionary", type_name(value))));
    }
    match view(value) {
        Py::Seq(items) => {
            fuel::containers(state, 1 + items.items().len())?;
            let copies = items.rest().iter().map(|item| copied(state, item));
            sequence(items.kind, copies.collect::<Result<_, _>>()?)
        }
        Py::Dict(entries) => {
            fuel::containers(state, 1 + entries.len())?;
            let copies = entries.iter().map(|(key, value)| Ok((key.clone(), copied(state, value)?)));
            dict(copies.collect::<Result<Vec<_>, Error>>()?)
        }
        _ => Ok(value.clone()),
    }
}

const NONE: () = ();

fn append(state: &State, items: &mut Vec<Value>, mut args: Arguments) -> Result<Value, Error> {
    let item = args.required("object")?;
    args.finish()?;
    items.push(copied(state, &item)?);
    Ok(NONE.into())
}

fn clear<T>(_: &State, items: &mut Vec<T>, args: Arguments) -> Result<Value, Error> {
    args.finish()?;
    items.clear();
    Ok(NONE.into())
}

fn extend(state: &State, items: &mut Vec<Value>, mut args: Arguments) -> Result<Value, Error> {
    let more = iterate(state, &args.required("iterable")?)?;
    args.finish()?;
    for item in &more {
        items.push(copied(state, item)?);
    }
    Ok(NONE.into())
}

fn insert(state: &State, items: &mut Vec<Value>, mut args: Arguments) -> Result<Value, Error> {
    let at = args.required("index")?;
    let item = args.required("object")?;
    args.finish()?;
    let length = items.len() as i128;
    let at = index(&at)?;
    let at = if at < 0 { at.saturating_add(length).max(0) } else { at.min(length) };
    items.insert(usize::try_from(at).unwrap_or(0), copied(state, &item)?);
    Ok(NONE.into())
}

fn pop(_: &State, items: &mut Vec<Value>, mut args: Arguments) -> Result<Value, Error> {
    let at = args.next().map_or(Ok(-1), |at| index(&at))?;
    args.finish()?;
    if items.is_empty() {
        return Err(python_error("pop from empty list"));
    }
    let at = if at < 0 { at.saturating_add(items.len() as i128) } else { at };
    match usize::try_from(at) {
        Ok(at) if at < items.len() => Ok(items.remove(at)),
        _ => Err(python_error("pop index out of range")),
    }
}

fn remove(state: &State, items: &mut Vec<Value>, mut args: Arguments) -> Result<Value, Error> {
    let wanted = args.required("value")?;
    args.finish()?;
    for at in 0..items.len() {
        if equal(state, &items[at], &wanted)? {
            items.remove(at);
            return Ok(NONE.into());
        }
    }
    Err(python_error("list.remove(x): x not in list"))
}

#[allow(clippy::ptr_arg, reason = "the type of all methods")]
fn reverse(_: &State, items: &mut Vec<Value>, args: Arguments) -> Result<Value, Error> {
    args.finish()?;
    items.reverse();
    Ok(NONE.into())
}

fn index(value: &Value) -> Result<i128, Error> {
    match view(value) {
        Py::Int(int) => Ok(int),
        Py::Bool(bool) => Ok(i128::from(bool)),
        _ => Err(python_error(format!("'{}' object cannot be interpreted as an integer", type_name(value)))),
    }
}

/// The place of `key` among the entries. As in Python, a number with an integer value is that integer.
fn place(state: &State, entries: &[Pair], key: &Value) -> Result<Option<usize>, Error> {
    if key.as_object().is_some() {
        return Err(python_error(format!("unhashable type: '{}'", type_name(key))));
    }
    fuel::bytes(state, key.as_str().map_or(0, str::len))?;
    Ok(entries.iter().position(|(known, _)| known == key))
}

fn pop_key(state: &State, entries: &mut Vec<Pair>, mut args: Arguments) -> Result<Value, Error> {
    let key = args.required("key")?;
    let default = args.next();
    args.finish()?;
    match (place(state, entries, &key)?, default) {
        (Some(at), _) => Ok(entries.remove(at).1),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(python_error(format!("KeyError: {}", text::repr(state, &key)?))),
    }
}

fn set_default(state: &State, entries: &mut Vec<Pair>, mut args: Arguments) -> Result<Value, Error> {
    let key = args.required("key")?;
    let default = args.next().unwrap_or_else(|| NONE.into());
    args.finish()?;
    if let Some(at) = place(state, entries, &key)? {
        return Ok(entries[at].1.clone());
    }
    let copy = copied(state, &default)?;
    entries.push((key, copy.clone()));
    Ok(copy)
}

fn update(state: &State, entries: &mut Vec<Pair>, mut args: Arguments) -> Result<Value, Error> {
    let more = match args.next() {
        None => Vec::new(),
        Some(more) => match view(&more) {
            Py::Dict(more) => dict_pairs(state, more)?,
            _ => iterate(state, &more)?,
        },
    };
    let (rest, named) = args.into_rest();
    if !rest.is_empty() {
        return Err(python_error("update expected at most 1 argument"));
    }
    for pair in &more {
        let [key, value] = &*iterate(state, pair)? else { return Err(python_error("update needs pairs")) };
        entries.push((key.clone(), copied(state, value)?));
    }
    for (name, value) in named {
        entries.push((Value::from(name), copied(state, &value)?));
    }
    // Where an entry comes twice, the later one counts, at the first one's place.
    Ok(NONE.into())
}

#[cfg(test)]
mod tests {
    use crate::chat::{RenderOptions, Template};
    use serde_json::json;

    fn rendered(template: &str) -> Result<String, String> {
        let messages = [json!({"role": "user", "content": "hi", "list": [1, 2]})];
        let render = |template: Template| template.render_values(&messages, None, &RenderOptions::default());
        Template::new(template).and_then(render).map_err(|error| error.to_string())
    }

    fn holds(table: &[(&str, &str)]) {
        for (template, expected) in table {
            assert_eq!(rendered(template).as_deref(), Ok(*expected), "{template}");
        }
    }

    fn fails(table: &[(&str, &str)]) {
        for (template, reason) in table {
            let error = rendered(template).expect_err(template);
            assert!(error.contains(reason), "{template}: {error}");
        }
    }

    #[test]
    fn lists_change_as_in_python() {
        holds(&[
            ("{% set l = [1] %}{% set _ = l.append('a') %}{{ l }}{{ _ }}", "[1, 'a']None"),
            (
                "{% set l = [] %}{% for i in range(3) %}{% set _ = l.append(i) %}{% endfor %}{{ l | tojson }}",
                "[0, 1, 2]",
            ),
            ("{% set l = [1, 2, 3] %}{{ l.pop() }}{{ l.pop(0) }}{{ l }}{{ l | length }}", "31[2]1"),
            (
                "{% set l = [1, 2, 3] %}{{ l.pop(-3) }}{% set _ = l.insert(0, 9) %}{% set _ = l.insert(99, 8) %}{% set _ = l.insert(-1, 7) %}{{ l }}",
                "1[9, 2, 3, 7, 8]",
            ),
            (
                "{% set l = [1] %}{% set _ = l.extend('ab') %}{% set _ = l.extend([2]) %}{% set _ = l.remove('a') %}{% set _ = l.reverse() %}{{ l }}",
                "[2, 'b', 1]",
            ),
            (
                "{% set l = [1] %}{% set m = l %}{% set c = l.copy() %}{% set _ = m.clear() %}{{ l }}{{ c }}",
                "[][1]",
            ),
            (
                "{% set ns = namespace(ids=[]) %}{% set _ = ns.ids.append('x') %}{{ ns.ids.pop(0) }}{{ ns.ids }}",
                "x[]",
            ),
            (
                "{% macro f(l) %}{% set _ = l.append(1) %}{% endmacro %}{% set l = [] %}{{ f(l) }}{{ f(l) }}{{ l }}",
                "[1, 1]",
            ),
            ("{% set _ = messages[0].list.append(3) %}{{ messages[0].list }}", "[1, 2, 3]"),
            // Not what is iterated over, but what is there afterwards.
            (
                "{% set l = [1, 2, 3] %}{% for x in l %}{{ x }}{% set _ = l.pop() %}{% endfor %}{{ l }}",
                "123[]",
            ),
            ("{{ [].append is defined }}", "False"),
        ]);
        fails(&[
            ("{{ [].pop() }}", "pop from empty list"),
            ("{{ [1].pop(1) }}", "pop index out of range"),
            ("{{ [1].remove(2) }}", "x not in list"),
            ("{{ [1].insert('a', 2) }}", "'str' object cannot be interpreted as an integer"),
            ("{{ [1].append() }}", "object"),
            ("{{ [1].append(1, 2) }}", "too many arguments"),
            ("{{ (1, 2).append(1) }}", "'tuple' object has no attribute 'append'"),
            ("{{ 'a'.append(1) }}", "'str' object has no attribute 'append'"),
        ]);
    }

    #[test]
    fn dictionaries_change_as_in_python() {
        holds(&[
            (
                "{% set d = {'a': 1} %}{% set _ = d.update({'b': 2, 'a': 3}, c=4) %}{{ d }}",
                "{'a': 3, 'b': 2, 'c': 4}",
            ),
            ("{% set d = {'a': 1, 'b': 2} %}{{ d.pop('a') }}{{ d.pop('x', 7) }}{{ d }}", "17{'b': 2}"),
            (
                "{% set d = {} %}{% set _ = d.update([('k', 1)]) %}{{ d.setdefault('k', 2) }}{{ d.setdefault('l', 3) }}{{ d }}",
                "13{'k': 1, 'l': 3}",
            ),
            ("{% set d = {} %}{% set _ = d.setdefault('k', []).append(1) %}{{ d }}", "{'k': [1]}"),
            ("{% set d = {1: 'a'} %}{{ d.pop(1.0) }}{% set _ = d.clear() %}{{ d }}", "a{}"),
        ]);
        fails(&[
            ("{{ {}.pop('a') }}", "KeyError: 'a'"),
            ("{% set d = {} %}{% set _ = d.update({}, {}) %}", "at most 1 argument"),
            ("{% set d = {} %}{% set _ = d.update([1]) %}", "not iterable"),
            ("{% set d = {} %}{% set _ = d.setdefault([], 1) %}", "unhashable type: 'list'"),
        ]);
    }

    #[test]
    fn no_container_comes_to_hold_itself_and_nothing_grows_without_end() {
        holds(&[
            (
                "{% set l = [1] %}{% set _ = l.append(l) %}{% set _ = l.append(l) %}{{ l }}",
                "[1, [1], [1, [1]]]",
            ),
            ("{% set a = [] %}{% set b = [a] %}{% set _ = a.append(b) %}{{ a }}{{ b }}", "[[[]]][[[[]]]]"),
        ]);
        fails(&[
            (
                "{% set l = [] %}{% for _ in range(400) %}{% set l2 = [l] %}{% set _ = l.append(l2) %}{% set _ = l.reverse() %}{% endfor %}{{ l }}",
                "without end",
            ),
            (
                "{% set l = [] %}{% for _ in range(400) %}{% set x = [l.copy()] %}{% set _ = l.clear() %}{% set _ = l.append(x) %}{% endfor %}{{ l }}",
                "deeper than 160",
            ),
            (
                "{% set l = [] %}{% for a in range(99999) %}{% for b in range(99999) %}{% set _ = l.append(a) %}{% endfor %}{% endfor %}",
                "without end",
            ),
            (
                "{% set d = {} %}{% for a in range(99999) %}{% for b in range(99999) %}{% set _ = d.update({b: a}) %}{% endfor %}{% endfor %}",
                "without end",
            ),
            ("{% set ns = namespace(l=[]) %}{% set _ = ns.l.append(ns) %}", "cannot be put"),
            ("{% set ns = namespace(l=[]) %}{% set _ = ns.l.append([{'a': ns}]) %}", "cannot be put"),
        ]);
    }

    #[test]
    fn json_texts_are_read() {
        holds(&[
            (
                "{% set a = '{\"b\": [1, 2.5, null, \"x\"]}' | from_json %}{{ a.b[1] }} {{ a | tojson }}",
                "2.5 {\"b\": [1, 2.5, null, \"x\"]}",
            ),
            ("{{ 'true' | fromjson }}", "True"),
            // No filter of Jinja2's, so templates that look for one go on as they do there.
            ("{{ 'from_json' is filter }} {{ 'tojson' is filter }}", "False True"),
        ]);
        let long = "{% set l = '[' ~ '[],' * 200000 ~ '1]' %}{% for a in range(9999) %}{% set _ = l | from_json %}{% endfor %}";
        fails(&[
            ("{{ messages[0] | from_json }}", "the JSON text must be str, not dict"),
            ("{{ '{' | from_json }}", "from_json: EOF"),
            ("{{ ('[' * 500) | from_json }}", "recursion limit"),
            (long, "without end"),
        ]);
    }

    #[test]
    fn generators_are_written_as_json() {
        holds(&[
            ("{{ messages | map(attribute='role') | tojson }}", "[\"user\"]"),
            ("{{ messages[0].list | select('odd') | tojson(indent=1) }}", "[\n 1\n]"),
            ("{{ {'a': 1}.values() | tojson }}", "[1]"),
        ]);
    }
}
