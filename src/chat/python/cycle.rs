//! Jinja2's `cycler` and `joiner`, two stateful helpers for loops.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::value::list;

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
