//! Attributes, subscripts, container literals and loops.

use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::fuel;
use super::methods;
use super::value::{self, Bound, Py, SequenceKind, iterate, view};

fn undefined(what: Option<Value>) -> Error {
    match what.as_ref().and_then(Value::as_str) {
        Some(name) => Error::new(ErrorKind::UndefinedError, format!("'{name}' is undefined")),
        None => Error::new(ErrorKind::UndefinedError, "the value is undefined"),
    }
}

/// `value.name`: an attribute, or else an item, as in Jinja2.
pub(super) fn attribute(_: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let (value, name) = (args.required("value")?, args.required("name")?);
    if value.is_undefined() {
        return Err(undefined(args.next()));
    }
    let word = name.as_str().unwrap_or_default();
    if methods::exists(&value, word) {
        return Ok(bound(value, word));
    }
    Ok(match view(&value) {
        Py::Dict(dict) => dict.get(&name).cloned().unwrap_or_default(),
        Py::Namespace(namespace) => namespace.get(word).unwrap_or_default(),
        Py::Other => value.get_attr(word)?,
        _ => Value::UNDEFINED,
    })
}

/// `value[key]`: an item, or else an attribute, as in Jinja2.
pub(super) fn item(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let (value, key) = (args.required("value")?, args.required("key")?);
    if value.is_undefined() {
        return Err(undefined(args.next()));
    }
    get_item(state, &value, &key)
}

/// `value[key]` of a value that is not undefined; undefined if there is no such item.
pub(super) fn get_item(state: &State, value: &Value, key: &Value) -> Result<Value, Error> {
    // For its hash.
    fuel::bytes(state, key.as_str().map_or(0, str::len))?;
    let found = match view(value) {
        // A container is never a key here, and the cost of its hash would not be covered by fuel.
        Py::Dict(_) if key.as_object().is_some() => None,
        Py::Dict(dict) => dict.get(key).cloned(),
        Py::Namespace(namespace) => key.as_str().and_then(|name| namespace.get(name)),
        Py::Seq(items) if items.has_subscripts() => {
            index(key, items.items().len()).and_then(|i| items.items().get(i).cloned())
        }
        Py::Str(text) => {
            fuel::bytes(state, text.len() / 2)?;
            index(key, text.chars().count()).and_then(|i| text.chars().nth(i)).map(Value::from)
        }
        Py::Other if value.as_object().is_some() => Some(value.get_item(key)?),
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    match key.as_str() {
        Some(name) if methods::exists(value, name) => Ok(bound(value.clone(), name)),
        _ => Ok(Value::UNDEFINED),
    }
}

/// The index that an integer key means among `len` items; negative keys count from the end.
fn index(key: &Value, len: usize) -> Option<usize> {
    let at = match view(key) {
        Py::Int(int) => int,
        Py::Bool(bool) => i128::from(bool),
        _ => return None,
    };
    let at = if at < 0 { at.checked_add(len as i128)? } else { at };
    usize::try_from(at).ok().filter(|&at| at < len)
}

/// The method `name` of `receiver`, as a value.
pub(super) fn bound(receiver: Value, name: &str) -> Value {
    Value::from_object(Bound { receiver, name: name.to_owned() })
}

/// The attribute path `a.b.0` of the filters; undefined if the last part is missing.
///
/// # Errors
/// If the path continues after an undefined value.
pub(super) fn path(state: &State, value: &Value, path: &Value) -> Result<Value, Error> {
    let Py::Str(path) = view(path) else { return get_item(state, value, path) };
    let mut at = value.clone();
    for part in path.split('.') {
        state.consume_fuel(2)?;
        if at.is_undefined() {
            return Err(undefined(None));
        }
        let key = match part.parse::<u32>() {
            Ok(index) => Value::from(index),
            Err(_) => Value::from(part),
        };
        at = get_item(state, &at, &key)?;
    }
    Ok(at)
}

/// [`path`], or `default` in place of an undefined value.
pub(super) fn path_or(
    state: &State,
    value: &Value,
    at: &Value,
    default: Option<&Value>,
) -> Result<Value, Error> {
    let found = path(state, value, at)?;
    Ok(if found.is_undefined() { default.cloned().unwrap_or(found) } else { found })
}

/// `{% set value.name = new %}`.
pub(super) fn set_attribute(_: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let (value, name, new) = (args.required("value")?, args.required("name")?, args.required("new")?);
    let Py::Namespace(namespace) = view(&value) else {
        return Err(python_error("cannot assign attribute on non-namespace object"));
    };
    namespace.set(name.as_str().unwrap_or_default(), new)?;
    Ok(Value::from(""))
}

/// The value that `{% for x in value %}` iterates over.
pub(super) fn loop_over(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let value = args.required("value")?;
    // For the loop's variables.
    fuel::containers(state, 1)?;
    match view(&value) {
        // A list may change while it is iterated over.
        Py::Seq(items) if items.kind == SequenceKind::Tuple => Ok(value),
        _ => value::list(iterate(state, &value)?),
    }
}

/// Fails for a tag that needs another template.
pub(super) fn no_templates(_: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let tag = args.required("tag")?;
    Err(python_error(format!("the tag `{tag}` needs another template, and a chat template has none")))
}

/// `[a, b]`.
pub(super) fn list(_: &mut State, args: Arguments) -> Result<Value, Error> {
    value::list(args.into_rest().0)
}

/// `(a, b)`.
pub(super) fn tuple(_: &mut State, args: Arguments) -> Result<Value, Error> {
    value::tuple(args.into_rest().0)
}

/// `{a: b, c: d}`, given as `a, b, c, d`.
pub(super) fn map(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (values, _) = args.into_rest();
    fuel::containers(state, values.len() / 2)?;
    values.chunks_exact(2).try_for_each(|pair| fuel::bytes(state, pair[0].as_str().map_or(0, str::len)))?;
    value::dict(values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())))
}
