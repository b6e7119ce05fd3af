//! Filters that apply another filter or a test to every item.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, applied_to};
use super::error::python_error;
use super::fuel;
use super::lookup::{path, path_or};
use super::value::{generator, iterate};

/// The items of `value`; none for falsy values, so that `none|map` is not an error.
fn items(state: &State, value: Value) -> Result<Vec<Value>, Error> {
    if value.is_true() { iterate(state, &value) } else { Ok(Vec::new()) }
}

/// `value|map('filter', ...)` and `value|map(attribute='a.b', default=...)`.
pub(super) fn map(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let items = items(state, args.required("value")?)?;
    fuel::items(state, items.len())?;
    let mut out = Vec::with_capacity(items.len());
    match args.next() {
        Some(name) => {
            let name = name
                .as_str()
                .ok_or_else(|| python_error("map: the filter's name must be a text"))?
                .to_owned();
            let (positional, named) = args.into_rest();
            for item in items {
                out.push(state.apply_filter(&name, &applied_to(item, &positional, &named))?);
            }
        }
        None => {
            let attribute =
                args.named("attribute").ok_or_else(|| python_error("map requires a filter argument"))?;
            let default = args.named("default");
            args.finish()?;
            for item in items {
                out.push(path_or(state, &item, &attribute, default.as_ref())?);
            }
        }
    }
    generator(out)
}

/// `value|select(test, ...)`, `|reject`, `|selectattr(attribute, test, ...)` and `|rejectattr`, by name.
pub(super) fn select(state: &mut State, mut args: Arguments, name: &str) -> Result<Value, Error> {
    let items = items(state, args.required("value")?)?;
    let attribute = if name.ends_with("attr") {
        Some(args.next().ok_or_else(|| python_error("Missing parameter for attribute name"))?)
    } else {
        None
    };
    let test = match args.next() {
        Some(test) => {
            Some(test.as_str().ok_or_else(|| python_error("the test's name must be a text"))?.to_owned())
        }
        None => None,
    };
    let (positional, named) = args.into_rest();
    let keep = name.starts_with("select");
    fuel::items(state, items.len())?;
    let mut out = Vec::new();
    for item in items {
        let tested = match &attribute {
            Some(attribute) => path(state, &item, attribute)?,
            None => item.clone(),
        };
        let holds = match &test {
            None => tested.is_true(),
            Some(test) => state.perform_test(test, &applied_to(tested, &positional, &named))?,
        };
        if holds == keep {
            out.push(item);
        }
    }
    generator(out)
}
