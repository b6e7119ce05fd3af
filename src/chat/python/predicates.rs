//! Jinja2's tests, for the operator `is`.

use minijinja::value::{ObjectRepr, ValueKind};
use minijinja::{Error, State};

use super::arguments::Arguments;
use super::error::python_error;
use super::operators::{compare, is_same};
use super::strings::{is_lower, is_upper};
use super::text::str;
use super::value::{Bound, Py, SequenceKind, view};

/// Tests without arguments.
pub(super) const PLAIN: &[&str] = &[
    "boolean",
    "callable",
    "defined",
    "escaped",
    "even",
    "false",
    "float",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Tests that compare, with their operators.
pub(super) const COMPARISONS: &[(&str, &str)] = &[
    ("eq", "=="),
    ("equalto", "=="),
    ("==", "=="),
    ("ne", "!="),
    ("!=", "!="),
    ("lt", "<"),
    ("lessthan", "<"),
    ("<", "<"),
    ("le", "<="),
    ("<=", "<="),
    ("gt", ">"),
    ("greaterthan", ">"),
    (">", ">"),
    ("ge", ">="),
    (">=", ">="),
    ("in", "in"),
];

/// `value is name`, for a name of [`PLAIN`].
pub(super) fn plain(state: &State, name: &str, mut args: Arguments) -> Result<bool, Error> {
    let value = args.required("value")?;
    args.finish()?;
    let py = view(&value);
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => value.is_none(),
        "true" => matches!(py, Py::Bool(true)),
        "false" => matches!(py, Py::Bool(false)),
        "boolean" => matches!(py, Py::Bool(_)),
        "integer" => matches!(py, Py::Int(_)),
        "float" => matches!(py, Py::Float(_)),
        "number" => matches!(py, Py::Int(_) | Py::Float(_) | Py::Bool(_)),
        "string" => matches!(py, Py::Str(_)),
        "mapping" => matches!(py, Py::Dict(_)),
        // Anything with a length and subscripts, so texts and dictionaries, too.
        "sequence" => match py {
            Py::Seq(items) => items.has_subscripts(),
            Py::Undefined | Py::Str(_) | Py::Dict(_) => true,
            _ => false,
        },
        "iterable" => match py {
            Py::Undefined | Py::Str(_) | Py::Dict(_) | Py::Seq(_) => true,
            Py::Other => value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Iterable),
            _ => false,
        },
        "callable" => {
            value.downcast_object_ref::<Bound>().is_some()
                || (value.kind() == ValueKind::Plain && matches!(py, Py::Other))
        }
        "escaped" => value.is_safe(),
        "even" | "odd" => {
            let odd = match py {
                Py::Int(int) => int.rem_euclid(2) == 1,
                Py::Bool(bool) => bool,
                Py::Float(float) if float % 2.0 == 0.0 || (float % 2.0).abs() == 1.0 => float % 2.0 != 0.0,
                Py::Float(_) => return Ok(false),
                _ => return Err(python_error("only numbers are even or odd")),
            };
            odd == (name == "odd")
        }
        "lower" => is_lower(&str(state, &value)?),
        _ => is_upper(&str(state, &value)?),
    })
}

/// `value is name(other)`, for an operator of [`COMPARISONS`].
pub(super) fn comparison(state: &State, operator: &str, mut args: Arguments) -> Result<bool, Error> {
    let (left, right) = (args.required("value")?, args.required("other")?);
    args.finish()?;
    compare(state, operator, &left, &right)
}

/// `value is sameas(other)`.
pub(super) fn same(state: &State, mut args: Arguments) -> Result<bool, Error> {
    let (left, right) = (args.required("value")?, args.required("other")?);
    args.finish()?;
    super::fuel::bytes(state, left.as_str().map_or(0, str::len))?;
    Ok(match (view(&left), view(&right)) {
        // Empty tuples are one object in Python.
        (Py::Seq(a), Py::Seq(b)) if a.kind == SequenceKind::Tuple && a.items().is_empty() => {
            b.kind == a.kind && b.items().is_empty()
        }
        _ => is_same(&left, &right),
    })
}

/// `value is divisibleby(num)`.
pub(super) fn divisible(state: &mut State, args: Arguments) -> Result<bool, Error> {
    Ok(!super::operators::rem(state, args)?.is_true())
}
