//! Arguments bound to parameters as in Python.

use std::collections::VecDeque;

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Error, Value};

use super::error::python_error;
use super::value::{Py, view};

/// The arguments of a call, read parameter by parameter in the order of the signature.
pub(super) struct Arguments {
    positional: VecDeque<Value>,
    named: Vec<(String, Value)>,
}

impl Arguments {
    pub(super) fn new(values: &[Value]) -> Arguments {
        let (values, named) = match values.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest, named(last)),
            _ => (values, Vec::new()),
        };
        Arguments { positional: values.iter().cloned().collect(), named }
    }

    /// The next parameter, positional or by name.
    pub(super) fn optional(&mut self, name: &str) -> Option<Value> {
        self.positional.pop_front().or_else(|| self.named(name))
    }

    /// The next parameter as a boolean, false if it was not given.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        self.optional(name).is_some_and(|value| value.is_true())
    }

    /// The next parameter, unless it was not given or is none.
    pub(super) fn given(&mut self, name: &str) -> Option<Value> {
        self.optional(name).filter(|value| !value.is_none())
    }

    /// The next parameter as an integer; `default` if it was not given or is none.
    ///
    /// # Errors
    /// A value of another type.
    pub(super) fn int(&mut self, name: &str, default: i64) -> Result<i64, Error> {
        int(self.optional(name), default)
    }

    /// The next parameter, positional or by name.
    ///
    /// # Errors
    /// If it was not given.
    pub(super) fn required(&mut self, name: &str) -> Result<Value, Error> {
        self.optional(name).ok_or_else(|| python_error(format!("missing the argument '{name}'")))
    }

    /// A keyword-only parameter.
    pub(super) fn named(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(key, _)| key == name)?;
        Some(self.named.remove(at).1)
    }

    /// The next positional argument.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.positional.pop_front()
    }

    /// All remaining arguments: positional, and by name.
    pub(super) fn into_rest(self) -> (Vec<Value>, Vec<(String, Value)>) {
        (self.positional.into(), self.named)
    }

    /// Checks that no arguments remain.
    ///
    /// # Errors
    /// On arguments that the call does not take.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if self.positional.pop_front().is_some() {
            return Err(python_error("too many arguments"));
        }
        match self.named.first() {
            Some((name, _)) => Err(python_error(format!("got an unexpected keyword argument '{name}'"))),
            None => Ok(()),
        }
    }
}

impl From<Rest<ValueOrKwargs>> for Arguments {
    fn from(rest: Rest<ValueOrKwargs>) -> Arguments {
        Arguments::new(&rest.into_values())
    }
}

fn named(kwargs: &Value) -> Vec<(String, Value)> {
    let Ok(kwargs) = Kwargs::try_from(kwargs.clone()) else { return Vec::new() };
    kwargs.args().filter_map(|name| Some((name.to_owned(), kwargs.peek::<Value>(name).ok()?))).collect()
}

/// The arguments of a filter or test of `value`, in the engine's form: positional, then by name.
pub(super) fn applied_to(value: Value, positional: &[Value], named: &[(String, Value)]) -> Vec<Value> {
    let mut all = vec![value];
    all.extend_from_slice(positional);
    if !named.is_empty() {
        all.push(named.iter().cloned().collect::<Kwargs>().into());
    }
    all
}

/// An integer argument; `default` if absent or none.
pub(super) fn int(value: Option<Value>, default: i64) -> Result<i64, Error> {
    match value.as_ref().map(view) {
        None | Some(Py::None) => Ok(default),
        Some(Py::Bool(bool)) => Ok(i64::from(bool)),
        Some(Py::Int(int)) => Ok(i64::try_from(int).unwrap_or(if int < 0 { i64::MIN } else { i64::MAX })),
        Some(_) => Err(python_error("an integer is expected")),
    }
}
