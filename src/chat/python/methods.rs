//! Methods of `str`, `list`, `tuple` and `dict`.
//!
//! Methods that modify their receiver (`append`, `update`, `pop` ...) are in [`super::changes`].

use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::changes;
use super::error::python_error;
use super::fuel;
use super::operators::equal;
use super::str_methods;
use super::text::marked;
use super::value::{Dict, Py, Sequence, SequenceKind, dict, dict_pairs, sequence, type_name, view};

const DICT: &[&str] = &["copy", "get", "items", "keys", "values"];
const LIST: &[&str] = &["copy", "count", "index"];
const TUPLE: &[&str] = &["count", "index"];

/// True if `name` is a method of `value`.
pub(super) fn exists(value: &Value, name: &str) -> bool {
    let methods = match view(value) {
        Py::Str(_) => str_methods::NAMES,
        Py::Dict(_) => DICT,
        Py::Seq(items) if items.kind == SequenceKind::List => LIST,
        Py::Seq(items) if items.kind == SequenceKind::Tuple => TUPLE,
        _ => return false,
    };
    methods.contains(&name)
}

/// `receiver.name(*args)`, for method calls that the engine cannot resolve.
///
/// # Errors
/// `UnknownMethod` if there is no such method; the engine then looks for a callable item.
pub(super) fn call(state: &mut State, receiver: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(changed) = changes::call(state, receiver, name, args) {
        return changed;
    }
    if !exists(receiver, name) {
        return Err(Error::new(
            ErrorKind::UnknownMethod,
            format!("'{}' object has no attribute '{name}'", type_name(receiver)),
        ));
    }
    let args = Arguments::new(args);
    match view(receiver) {
        Py::Str(text) => {
            state.consume_fuel(fuel::CALL)?;
            str_methods::pay(state, text, name)?;
            let is_markup = receiver.is_safe();
            let result = str_methods::call(state, text, name, args, is_markup)?;
            if is_markup { markup(state, result) } else { Ok(result) }
        }
        Py::Dict(dict) => {
            state.consume_fuel(fuel::CALL)?;
            dict_method(state, receiver, dict, name, args)
        }
        Py::Seq(items) => sequence_method(state, receiver, items, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// The result of a method of markup: texts in it become markup, alone or in a list.
fn markup(state: &State, result: Value) -> Result<Value, Error> {
    match view(&result) {
        Py::Str(text) => {
            fuel::bytes(state, text.len())?;
            Ok(marked(text, true))
        }
        Py::Seq(items) => {
            fuel::containers(state, items.items().len())?;
            let marked = items.items().iter().cloned().map(|item| markup(state, item));
            sequence(items.kind, marked.collect::<Result<_, _>>()?)
        }
        _ => Ok(result),
    }
}

fn dict_method(
    state: &State,
    receiver: &Value,
    entries: &Dict,
    name: &str,
    mut args: Arguments,
) -> Result<Value, Error> {
    match name {
        "get" => {
            let key = args.required("key")?;
            let default = args.next().unwrap_or_else(|| Value::from(()));
            args.finish()?;
            if key.as_object().is_some() {
                return Err(python_error(format!("unhashable type: '{}'", type_name(&key))));
            }
            fuel::bytes(state, key.as_str().map_or(0, str::len))?;
            Ok(entries.get(&key).cloned().unwrap_or(default))
        }
        "items" => {
            args.finish()?;
            sequence(SequenceKind::View("dict_items"), dict_pairs(state, entries)?)
        }
        "keys" => {
            args.finish()?;
            fuel::items(state, entries.len())?;
            sequence(SequenceKind::View("dict_keys"), entries.iter().map(|(key, _)| key.clone()).collect())
        }
        "values" => {
            args.finish()?;
            fuel::items(state, entries.len())?;
            sequence(
                SequenceKind::View("dict_values"),
                entries.iter().map(|(_, value)| value.clone()).collect(),
            )
        }
        _ => {
            args.finish()?;
            copy(state, receiver)
        }
    }
}

/// A copy of a list or dictionary: what is in it stays the same.
fn copy(state: &State, receiver: &Value) -> Result<Value, Error> {
    match view(receiver) {
        Py::Seq(items) => {
            fuel::items(state, items.items().len())?;
            sequence(items.kind, items.items().to_vec())
        }
        Py::Dict(entries) => {
            fuel::containers(state, entries.len())?;
            dict(entries.iter().map(|(key, value)| (key.clone(), value.clone())))
        }
        _ => Ok(receiver.clone()),
    }
}

fn sequence_method(
    state: &State,
    receiver: &Value,
    items: &Sequence,
    name: &str,
    mut args: Arguments,
) -> Result<Value, Error> {
    if name == "copy" {
        args.finish()?;
        return copy(state, receiver);
    }
    let wanted = args.required("value")?;
    args.finish()?;
    let mut count = 0;
    for (i, item) in items.items().iter().enumerate() {
        if equal(state, item, &wanted)? {
            if name == "index" {
                return Ok(Value::from(i));
            }
            count += 1;
        }
    }
    if name == "index" { Err(python_error("the value is not in the list")) } else { Ok(Value::from(count)) }
}
