//! Slices: `value[start:stop:step]`.

use minijinja::{Error, State, Value};

use super::arguments::Arguments;
use super::error::python_error;
use super::fuel;
use super::text::marked;
use super::value::{Py, sequence, type_name, view};

/// `value[start:stop:step]`.
pub(super) fn slice(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let value = args.required("value")?;
    let mut bound = |name| -> Result<Option<i128>, Error> {
        match view(&args.required(name)?) {
            Py::None => Ok(None),
            Py::Int(int) => Ok(Some(int.clamp(i64::MIN.into(), i64::MAX.into()))),
            Py::Bool(bool) => Ok(Some(i128::from(bool))),
            _ => Err(python_error("slice indices must be integers or None")),
        }
    };
    let (start, stop, step) = (bound("start")?, bound("stop")?, bound("step")?.unwrap_or(1));
    if step == 0 {
        return Err(python_error("slice step cannot be zero"));
    }
    match view(&value) {
        Py::Str(text) => {
            // A character takes four bytes for a while.
            fuel::bytes(state, text.len().saturating_mul(5))?;
            let chars: Vec<char> = text.chars().collect();
            let picked: String = picks(chars.len(), start, stop, step).map(|i| chars[i]).collect();
            Ok(marked(picked, value.is_safe()))
        }
        Py::Seq(items) if items.has_subscripts() => {
            let picks = || picks(items.items().len(), start, stop, step);
            fuel::items(state, picks().count())?;
            let picked: Vec<Value> = picks().map(|i| items.items()[i].clone()).collect();
            sequence(items.kind, picked)
        }
        Py::Undefined => Err(python_error("cannot slice an undefined value")),
        _ => Err(python_error(format!("'{}' object is not subscriptable", type_name(&value)))),
    }
}

/// The indices of a slice of `len` items, after Python's `slice.indices`.
fn picks(len: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let len = len as i128;
    let (low, high) = if step < 0 { (-1, len - 1) } else { (0, len) };
    let clamp = |bound: Option<i128>, absent: i128| match bound {
        None => absent,
        Some(bound) if bound < 0 => bound.saturating_add(len).max(low),
        Some(bound) => bound.min(high),
    };
    let (first, last) = if step < 0 { (high, low) } else { (low, high) };
    let (start, stop) = (clamp(start, first), clamp(stop, last));
    let count = if step > 0 {
        (stop - start - 1).div_euclid(step) + 1
    } else {
        (start - stop - 1).div_euclid(-step) + 1
    };
    (0..count.max(0)).filter_map(move |i| usize::try_from(start + i * step).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_pick_the_items_that_python_picks() {
        let picked = |start, stop, step| picks(5, start, stop, step).collect::<Vec<_>>();
        assert_eq!(picked(None, None, 1), [0, 1, 2, 3, 4]);
        assert_eq!(picked(None, None, -1), [4, 3, 2, 1, 0]);
        assert_eq!(picked(Some(-2), None, 1), [3, 4]);
        assert_eq!(picked(Some(3), Some(0), -2), [3, 1]);
        assert_eq!(picked(Some(9), Some(-9), -2), [4, 2, 0]);
        assert_eq!(picked(Some(3), Some(1), 1), [0usize; 0]);
        assert_eq!(picks(0, None, None, -1).count(), 0);
    }
}
