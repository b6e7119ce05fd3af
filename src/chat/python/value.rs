//! Python's containers, and values by their Python types.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;
use minijinja::value::{ObjectRepr, ValueKind};
use minijinja::{Error, State, Value};

use super::contents::Contents;
use super::error::python_error;
use super::fuel;

/// Most levels of nested containers; JSON input is limited to 128.
pub(super) const MAX_DEPTH: usize = 160;

/// Python type of a [`Sequence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SequenceKind {
    List,
    Tuple,
    /// Result of `keys`, `values` and `items`: it has a length and no subscripts.
    View(&'static str),
    /// Result of `map`, `select` and others: it can be read once and has no length.
    Generator,
}

/// Values in a container, and what is known of them.
#[derive(Debug)]
struct Held<T> {
    values: T,
    depth: usize,
    holds_namespace: bool,
}

/// Items in order.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) kind: SequenceKind,
    held: Contents<Held<Vec<Value>>>,
    /// Number of items read from a generator.
    taken: AtomicUsize,
}

impl Sequence {
    /// All items; for a generator also those already read.
    pub(super) fn items(&self) -> &[Value] {
        &self.held.now().values
    }

    /// Puts `items` in the place of its items.
    ///
    /// # Errors
    /// If it would be nested deeper than [`MAX_DEPTH`].
    pub(super) fn change(&self, items: Vec<Value>) -> Result<(), Error> {
        let (depth, holds_namespace) = checked_depth(items.iter())?;
        self.held.change(Held { values: items, depth, holds_namespace });
        Ok(())
    }

    /// The remaining items; exhausts a generator.
    pub(super) fn rest(&self) -> &[Value] {
        match self.kind {
            SequenceKind::Generator => {
                let items = self.items();
                let from = self.taken.swap(items.len(), Ordering::Relaxed);
                &items[from.min(items.len())..]
            }
            _ => self.items(),
        }
    }

    /// The next item of a generator; otherwise the first item.
    pub(super) fn first(&self) -> Option<&Value> {
        match self.kind {
            SequenceKind::Generator => {
                let next = self.taken.fetch_add(1, Ordering::Relaxed);
                self.items().get(next)
            }
            _ => self.items().first(),
        }
    }

    /// True for lists and tuples, whose items `[...]` can read.
    pub(super) fn has_subscripts(&self) -> bool {
        matches!(self.kind, SequenceKind::List | SequenceKind::Tuple)
    }
}

/// A dictionary in insertion order.
#[derive(Debug)]
pub(super) struct Dict {
    held: Contents<Held<IndexMap<Value, Value>>>,
}

impl Dict {
    pub(super) fn get(&self, key: &Value) -> Option<&Value> {
        // As in Python, a float with an integer value equals that integer as a key.
        self.map().get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.map().iter()
    }

    pub(super) fn len(&self) -> usize {
        self.map().len()
    }

    /// Puts `pairs` in the place of its entries.
    ///
    /// # Errors
    /// As [`dict`].
    pub(super) fn change(&self, pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<(), Error> {
        self.held.change(entries(pairs)?);
        Ok(())
    }

    fn map(&self) -> &IndexMap<Value, Value> {
        &self.held.now().values
    }
}

/// Result of `namespace()`.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    fields: Mutex<IndexMap<String, Value>>,
}

impl Namespace {
    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.lock().get(name).cloned()
    }

    /// Sets a field.
    ///
    /// # Errors
    /// Names that start with an underscore, as in `transformers`. Values that contain a namespace, since the
    /// depth of such chains would be unbounded.
    pub(super) fn set(&self, name: &str, value: Value) -> Result<(), Error> {
        if name.starts_with('_') {
            return Err(python_error(format!(
                "cannot store the underscore-prefixed attribute '{name}' on a namespace"
            )));
        }
        if holds_namespace(&value) {
            return Err(python_error("a namespace inside a namespace is not supported"));
        }
        self.lock().insert(name.to_owned(), value);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IndexMap<String, Value>> {
        self.fields.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A method as a value: `{{ x.items }}`.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) receiver: Value,
    pub(super) name: String,
}

/// A value by its Python type.
pub(super) enum Py<'a> {
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'a str),
    Seq(&'a Sequence),
    Dict(&'a Dict),
    Namespace(&'a Namespace),
    /// Functions, macros, `loop` and the like.
    Other,
}

pub(super) fn view(value: &Value) -> Py<'_> {
    match value.kind() {
        ValueKind::Undefined => Py::Undefined,
        ValueKind::None => Py::None,
        ValueKind::Bool => Py::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => match i128::try_from(value.clone()) {
            Ok(int) => Py::Int(int),
            Err(_) => Py::Other,
        },
        ValueKind::Number => f64::try_from(value.clone()).map_or(Py::Other, Py::Float),
        ValueKind::String => value.as_str().map_or(Py::Other, Py::Str),
        _ => {
            if let Some(sequence) = value.downcast_object_ref::<Sequence>() {
                Py::Seq(sequence)
            } else if let Some(dict) = value.downcast_object_ref::<Dict>() {
                Py::Dict(dict)
            } else if let Some(namespace) = value.downcast_object_ref::<Namespace>() {
                Py::Namespace(namespace)
            } else {
                Py::Other
            }
        }
    }
}

/// Python's name for the type of `value`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match view(value) {
        Py::Undefined => "Undefined",
        Py::None => "NoneType",
        Py::Bool(_) => "bool",
        Py::Int(_) => "int",
        Py::Float(_) => "float",
        Py::Str(_) => "str",
        Py::Seq(sequence) => match sequence.kind {
            SequenceKind::List => "list",
            SequenceKind::Tuple => "tuple",
            SequenceKind::View(name) => name,
            SequenceKind::Generator => "generator",
        },
        Py::Dict(_) => "dict",
        Py::Namespace(_) => "Namespace",
        Py::Other => "object",
    }
}

fn depth(value: &Value) -> usize {
    match view(value) {
        Py::Seq(sequence) => sequence.held.now().depth,
        Py::Dict(dict) => dict.held.now().depth,
        Py::Other => value.downcast_object_ref::<Bound>().map_or(0, |bound| 1 + depth(&bound.receiver)),
        _ => 0,
    }
}

/// True if `value` holds a namespace or an object of the engine, at any depth.
pub(super) fn holds_namespace(value: &Value) -> bool {
    match view(value) {
        Py::Seq(sequence) => sequence.held.now().holds_namespace,
        Py::Dict(dict) => dict.held.now().holds_namespace,
        Py::Namespace(_) => true,
        // A loop contains what it iterates over, a bound method its receiver.
        Py::Other => value.as_object().is_some(),
        _ => false,
    }
}

fn checked_depth<'a>(children: impl Iterator<Item = &'a Value>) -> Result<(usize, bool), Error> {
    let mut deepest = 0;
    let mut namespace = false;
    for child in children {
        deepest = deepest.max(depth(child));
        namespace |= holds_namespace(child);
    }
    if deepest >= MAX_DEPTH {
        return Err(python_error(format!("containers nest deeper than {MAX_DEPTH} levels")));
    }
    Ok((deepest + 1, namespace))
}

/// A sequence of `kind`.
///
/// # Errors
/// If it would be nested deeper than [`MAX_DEPTH`].
pub(super) fn sequence(kind: SequenceKind, items: Vec<Value>) -> Result<Value, Error> {
    let (depth, holds_namespace) = checked_depth(items.iter())?;
    let held = Contents::new(Held { values: items, depth, holds_namespace });
    Ok(Value::from_object(Sequence { kind, held, taken: AtomicUsize::new(0) }))
}

pub(super) fn list(items: Vec<Value>) -> Result<Value, Error> {
    sequence(SequenceKind::List, items)
}

pub(super) fn tuple(items: Vec<Value>) -> Result<Value, Error> {
    sequence(SequenceKind::Tuple, items)
}

pub(super) fn generator(items: Vec<Value>) -> Result<Value, Error> {
    sequence(SequenceKind::Generator, items)
}

/// Creates a dictionary; a repeated key keeps its first position and gets the last value.
///
/// # Errors
/// Containers as keys; nesting deeper than [`MAX_DEPTH`].
pub(super) fn dict(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Value, Error> {
    Ok(Value::from_object(Dict { held: Contents::new(entries(pairs)?) }))
}

fn entries(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Held<IndexMap<Value, Value>>, Error> {
    let mut map = IndexMap::new();
    for (key, value) in pairs {
        if key.as_object().is_some() || key.is_undefined() {
            return Err(python_error(format!("a {} cannot be a dictionary key here", type_name(&key))));
        }
        map.insert(key, value);
    }
    let (depth, holds_namespace) = checked_depth(map.values())?;
    Ok(Held { values: map, depth, holds_namespace })
}

/// The pairs of a dictionary as tuples.
///
/// # Errors
/// If one would be nested deeper than [`MAX_DEPTH`]; if the fuel runs out.
pub(super) fn dict_pairs(state: &State, dict: &Dict) -> Result<Vec<Value>, Error> {
    fuel::containers(state, dict.len())?;
    dict.iter().map(|(key, value)| tuple(vec![key.clone(), value.clone()])).collect()
}

/// Converts a JSON document to a template value.
///
/// # Errors
/// If it is nested deeper than [`MAX_DEPTH`].
pub(crate) fn from_json(json: &serde_json::Value) -> Result<Value, Error> {
    Ok(match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(bool) => Value::from(*bool),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => Value::from(int),
            (_, Some(int), _) => Value::from(int),
            (_, _, Some(float)) => Value::from(float),
            _ => return Err(python_error(format!("the number {number} cannot be held"))),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => list(items.iter().map(from_json).collect::<Result<_, _>>()?)?,
        serde_json::Value::Object(fields) => dict(
            fields
                .iter()
                .map(|(key, value)| Ok((Value::from(key.as_str()), from_json(value)?)))
                .collect::<Result<Vec<_>, Error>>()?,
        )?,
    })
}

/// The items of a `for` over `value`; exhausts a generator.
///
/// # Errors
/// If Python raises `TypeError: ... is not iterable`, or the fuel runs out.
pub(super) fn iterate(state: &State, value: &Value) -> Result<Vec<Value>, Error> {
    let items: Vec<Value> = match view(value) {
        Py::Undefined => Vec::new(),
        Py::Str(text) => {
            fuel::bytes(state, text.len())?;
            fuel::items(state, text.chars().count())?;
            text.chars().map(Value::from).collect()
        }
        Py::Seq(sequence) => {
            let rest = sequence.rest();
            fuel::items(state, rest.len())?;
            rest.to_vec()
        }
        Py::Dict(dict) => {
            fuel::items(state, dict.len())?;
            dict.iter().map(|(key, _)| key.clone()).collect()
        }
        Py::Other if value.as_object().is_some_and(|object| object.repr() != ObjectRepr::Plain) => {
            let paid = |item| fuel::items(state, 1).map(|()| item);
            value.try_iter()?.map(paid).collect::<Result<_, _>>()?
        }
        _ => return Err(python_error(format!("'{}' object is not iterable", type_name(value)))),
    };
    Ok(items)
}
