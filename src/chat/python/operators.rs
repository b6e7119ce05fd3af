//! Operators in which Python and the engine differ: `+ * % ~ == < in`, and chains of comparisons.
//!
//! `-`, `/`, `//` and `**` work on numbers only, and the engine's are the same as Python's.

use std::cmp::Ordering;

use minijinja::machinery::ast::CompareOpKind;
use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::text::{self, marked};
use super::value::{Py, Sequence, SequenceKind, iterate, sequence, type_name, view};
use super::{format, fuel};

/// Two numbers, converted to the wider of their types.
enum Pair {
    Int(i128, i128),
    Float(f64, f64),
}

fn numbers(left: &Value, right: &Value) -> Option<Pair> {
    fn int(value: &Value) -> Option<i128> {
        match view(value) {
            Py::Int(int) => Some(int),
            Py::Bool(bool) => Some(i128::from(bool)),
            _ => None,
        }
    }
    fn float(value: &Value) -> Option<f64> {
        match view(value) {
            Py::Float(float) => Some(float),
            _ => int(value).map(|int| int as f64),
        }
    }
    match (int(left), int(right)) {
        (Some(a), Some(b)) => Some(Pair::Int(a, b)),
        _ => Some(Pair::Float(float(left)?, float(right)?)),
    }
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (type_name(left), type_name(right));
    python_error(format!("unsupported operand types for {operator}: '{left}' and '{right}'"))
}

fn int(value: Option<i128>) -> Result<Value, Error> {
    value.map(int_value).ok_or_else(|| python_error("an integer beyond 128 bits is not supported"))
}

/// An integer in the engine's smallest representation, which its own operators prefer.
pub(super) fn int_value(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value), Value::from)
}

/// `left + right`.
pub(super) fn add(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (left, right) = pair(args)?;
    match (view(&left), view(&right)) {
        (Py::Str(a), Py::Str(b)) => {
            fuel::bytes(state, a.len() + b.len())?;
            if left.is_safe() || right.is_safe() {
                let both = text::escaped_str(state, &left)? + &text::escaped_str(state, &right)?;
                return Ok(marked(both, true));
            }
            Ok(Value::from([a, b].concat()))
        }
        (Py::Seq(a), Py::Seq(b)) if a.kind == b.kind && a.has_subscripts() => {
            fuel::items(state, a.items().len() + b.items().len())?;
            sequence(a.kind, [a.items(), b.items()].concat())
        }
        _ => match numbers(&left, &right) {
            Some(Pair::Int(a, b)) => int(a.checked_add(b)),
            Some(Pair::Float(a, b)) => Ok(Value::from(a + b)),
            None => Err(unsupported("+", &left, &right)),
        },
    }
}

/// `left * right`.
pub(super) fn mul(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (left, right) = pair(args)?;
    if let Some(numbers) = numbers(&left, &right) {
        return match numbers {
            Pair::Int(a, b) => int(a.checked_mul(b)),
            Pair::Float(a, b) => Ok(Value::from(a * b)),
        };
    }
    let (repeated, count) = match (view(&left), view(&right)) {
        (_, Py::Int(count)) => (&left, count),
        (Py::Int(count), _) => (&right, count),
        (_, Py::Bool(once)) => (&left, i128::from(once)),
        _ => return Err(unsupported("*", &left, &right)),
    };
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    match view(repeated) {
        Py::Str(text) => {
            fuel::bytes(state, text.len().saturating_mul(count))?;
            Ok(marked(text.repeat(count), repeated.is_safe()))
        }
        Py::Seq(items) if items.has_subscripts() => {
            fuel::items(state, items.items().len().saturating_mul(count))?;
            sequence(items.kind, std::iter::repeat_n(items.items(), count).flatten().cloned().collect())
        }
        _ => Err(unsupported("*", &left, &right)),
    }
}

/// `left % right`: the remainder, or `left` as a format string.
pub(super) fn rem(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (left, right) = pair(args)?;
    if let Py::Str(template) = view(&left) {
        let values = match view(&right) {
            Py::Seq(tuple) if tuple.kind == SequenceKind::Tuple => {
                fuel::items(state, tuple.items().len())?;
                tuple.items().to_vec()
            }
            _ => vec![right],
        };
        return format::percent(state, template, values, left.is_safe());
    }
    match numbers(&left, &right) {
        Some(Pair::Int(_, 0)) => Err(python_error("integer modulo by zero")),
        Some(Pair::Int(a, b)) => {
            int(a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }))
        }
        Some(Pair::Float(_, 0.0)) => Err(python_error("float modulo by zero")),
        Some(Pair::Float(a, b)) => {
            let r = a % b;
            let wrong_sign = r != 0.0 && (r < 0.0) != (b < 0.0);
            Ok(Value::from(if wrong_sign { r + b } else { r.abs().copysign(if r == 0.0 { b } else { r }) }))
        }
        None => Err(unsupported("%", &left, &right)),
    }
}

/// `left ~ right`: concatenation as text.
pub(super) fn concat(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (left, right) = pair(args)?;
    let mut out = text::str(state, &left)?;
    let right = text::str(state, &right)?;
    fuel::bytes(state, out.len() + right.len())?;
    out.push_str(&right);
    Ok(Value::from(out))
}

fn pair(mut args: Arguments) -> Result<(Value, Value), Error> {
    Ok((args.required("left")?, args.required("right")?))
}

/// `left == right`.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn equal(state: &State, left: &Value, right: &Value) -> Result<bool, Error> {
    state.consume_fuel(1)?;
    if let Some(numbers) = numbers(left, right) {
        return Ok(match numbers {
            Pair::Int(a, b) => a == b,
            Pair::Float(a, b) => a == b,
        });
    }
    Ok(match (view(left), view(right)) {
        (Py::Undefined, Py::Undefined) | (Py::None, Py::None) => true,
        (Py::Str(a), Py::Str(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            fuel::bytes(state, a.len() / 4)?;
            a == b
        }
        (Py::Seq(a), Py::Seq(b)) => return equal_sequences(state, a, b),
        (Py::Dict(a), Py::Dict(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in a.iter() {
                fuel::bytes(state, key.as_str().map_or(0, str::len))?;
                match b.get(key) {
                    Some(other) if equal(state, value, other)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        _ => is_same(left, right),
    })
}

fn equal_sequences(state: &State, a: &Sequence, b: &Sequence) -> Result<bool, Error> {
    if a.kind != b.kind || !a.has_subscripts() {
        return Ok(std::ptr::eq(a, b));
    }
    if a.items().len() != b.items().len() {
        return Ok(false);
    }
    for (left, right) in a.items().iter().zip(b.items()) {
        if !equal(state, left, right)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Python's `is`: true if both are the same object.
pub(super) fn is_same(left: &Value, right: &Value) -> bool {
    match (view(left), view(right)) {
        (Py::Seq(a), Py::Seq(b)) => std::ptr::eq(a, b),
        (Py::Dict(a), Py::Dict(b)) => std::ptr::eq(a, b),
        (Py::Namespace(a), Py::Namespace(b)) => std::ptr::eq(a, b),
        _ if left.as_object().is_some() || right.as_object().is_some() => false,
        _ => type_name(left) == type_name(right) && left == right,
    }
}

/// Order of `left` and `right`; `None` if one is NaN.
///
/// # Errors
/// If Python raises `TypeError`, or the fuel runs out.
pub(super) fn order(
    state: &State,
    left: &Value,
    right: &Value,
    operator: &str,
) -> Result<Option<Ordering>, Error> {
    state.consume_fuel(1)?;
    if let Some(numbers) = numbers(left, right) {
        return Ok(match numbers {
            Pair::Int(a, b) => Some(a.cmp(&b)),
            Pair::Float(a, b) => a.partial_cmp(&b),
        });
    }
    match (view(left), view(right)) {
        (Py::Str(a), Py::Str(b)) => {
            fuel::bytes(state, a.len().min(b.len()) / 4)?;
            Ok(Some(a.cmp(b)))
        }
        (Py::Seq(a), Py::Seq(b)) if a.kind == b.kind && a.has_subscripts() => {
            for (x, y) in a.items().iter().zip(b.items()) {
                if !equal(state, x, y)? {
                    return order(state, x, y, operator);
                }
            }
            Ok(Some(a.items().len().cmp(&b.items().len())))
        }
        _ => {
            let (left, right) = (type_name(left), type_name(right));
            Err(python_error(format!(
                "'{operator}' not supported between instances of '{left}' and '{right}'"
            )))
        }
    }
}

/// Stable sort by a key.
///
/// # Errors
/// Keys that cannot be compared; the end of the fuel.
pub(super) fn sort_by_key<T>(
    state: &State,
    items: &mut Vec<T>,
    key: impl Fn(&T) -> Value,
) -> Result<(), Error> {
    fuel::containers(state, items.len())?;
    let mut failed = None;
    let mut keyed: Vec<(Value, T)> = items.drain(..).map(|item| (key(&item), item)).collect();
    // A sort needs a total order, so after a failure all items compare as equal.
    keyed.sort_by(|(a, _), (b, _)| match &failed {
        Some(_) => Ordering::Equal,
        None => order(state, a, b, "<")
            .unwrap_or_else(|e| {
                failed = Some(e);
                None
            })
            .unwrap_or(Ordering::Equal),
    });
    items.extend(keyed.into_iter().map(|(_, item)| item));
    failed.map_or(Ok(()), Err)
}

/// `item in container`.
///
/// # Errors
/// If Python raises `TypeError`, or the fuel runs out.
pub(super) fn contains(state: &State, container: &Value, item: &Value) -> Result<bool, Error> {
    match (view(container), view(item)) {
        (Py::Undefined, _) => Ok(false),
        (Py::Str(text), Py::Str(part)) => {
            fuel::bytes(state, text.len() / 2 + part.len())?;
            Ok(text.contains(part))
        }
        (Py::Str(_), _) => Err(python_error(format!(
            "'in <string>' requires string as left operand, not {}",
            type_name(item)
        ))),
        (Py::Dict(dict), _) if item.as_object().is_some() => Err(python_error(format!(
            "a {} cannot be a key of the dict ({} keys)",
            type_name(item),
            dict.len()
        ))),
        (Py::Dict(dict), _) => {
            fuel::bytes(state, item.as_str().map_or(0, str::len))?;
            Ok(dict.get(item).is_some())
        }
        (Py::Seq(_) | Py::Other, _) => {
            for other in iterate(state, container)? {
                // What is the same object is equal, but for NaN; texts are compared once only.
                if (item.as_str().is_none() && is_same(&other, item)) || equal(state, &other, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(python_error(format!("argument of type '{}' is not iterable", type_name(container)))),
    }
}

/// The word of [`compare`] for an operator of the syntax tree.
pub(super) fn comparison(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "==",
        CompareOpKind::Ne => "!=",
        CompareOpKind::Lt => "<",
        CompareOpKind::Lte => "<=",
        CompareOpKind::Gt => ">",
        CompareOpKind::Gte => ">=",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "notin",
    }
}

/// `left <operator> right` for one of `== != < <= > >= in notin`.
pub(super) fn compare(state: &State, operator: &str, left: &Value, right: &Value) -> Result<bool, Error> {
    Ok(match operator {
        "==" => equal(state, left, right)?,
        "!=" => !equal(state, left, right)?,
        "in" => contains(state, right, left)?,
        "notin" => !contains(state, right, left)?,
        _ => match order(state, left, right, operator)? {
            None => false,
            Some(order) => match operator {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            },
        },
    })
}

/// `a < b <= c`, given as `"<", a, b, "<=", c`.
pub(super) fn chain(state: &mut State, args: Arguments) -> Result<Value, Error> {
    let (values, _) = args.into_rest();
    let [operator, left, right, rest @ ..] = values.as_slice() else {
        return Err(python_error("a comparison needs two sides"));
    };
    let word = |value: &Value| value.to_str().unwrap_or_default();
    let mut holds = compare(state, &word(operator), left, right)?;
    let mut left = right;
    for step in rest.chunks_exact(2) {
        holds = holds && compare(state, &word(&step[0]), left, &step[1])?;
        left = &step[1];
    }
    Ok(Value::from(holds))
}
