//! Jinja2's `cycler` and `joiner`, two stateful helpers for loops.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::fuel;
use super::value::{Py, list, view};

/// Returns its items in turn, starting again after the last.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str()? == "current").then(|| self.items[self.at.load(Ordering::Relaxed)].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        _: &[Value],
    ) -> Result<Value, Error> {
        let at = self.at.load(Ordering::Relaxed);
        match method {
            "next" => {
                self.at.store((at + 1) % self.items.len(), Ordering::Relaxed);
                Ok(self.items[at].clone())
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Cycler>")
    }
}

/// `cycler(*items)`.
pub(super) fn cycler(_: &mut State, args: Arguments) -> Result<Value, Error> {
    let (items, named) = args.into_rest();
    if items.is_empty() || !named.is_empty() {
        return Err(python_error("cycler takes items, at least one"));
    }
    // `list` checks the depth of the items. The cycler itself is a foreign object, whose depth never counts
    // inside another value.
    list(items.clone())?;
    Ok(Value::from_object(Cycler { items, at: AtomicUsize::new(0) }))
}

/// The arguments of `loop.cycle` and `loop.changed` as a list, after paying for their whole contents.
pub(super) fn loop_arguments(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (items, _) = args.into_rest();
    if items.is_empty() {
        return Err(python_error("no items for cycling given"));
    }
    for item in &items {
        pay_for_contents(state, item)?;
    }
    list(items)
}

fn pay_for_contents(state: &State, value: &Value) -> Result<(), Error> {
    match view(value) {
        Py::Str(text) => fuel::bytes(state, text.len()),
        Py::Seq(sequence) => {
            fuel::items(state, sequence.items().len())?;
            sequence.items().iter().try_for_each(|item| pay_for_contents(state, item))
        }
        Py::Dict(dict) => {
            fuel::containers(state, dict.len())?;
            dict.iter().try_for_each(|(key, value)| {
                fuel::bytes(state, key.as_str().map_or(0, str::len))?;
                pay_for_contents(state, value)
            })
        }
        _ => Ok(()),
    }
}

/// Returns an empty text the first time, and its separator from then on.
#[derive(Debug)]
struct Joiner {
    separator: Value,
    calls: AtomicUsize,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        let first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        Ok(if first { Value::from("") } else { self.separator.clone() })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Joiner>")
    }
}

/// `joiner(sep=', ')`.
pub(super) fn joiner(_: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let separator = args.optional("sep").unwrap_or_else(|| Value::from(", "));
    args.finish()?;
    if separator.as_str().is_none() {
        return Err(python_error("joiner takes a text"));
    }
    Ok(Value::from_object(Joiner { separator, calls: AtomicUsize::new(0) }))
}
