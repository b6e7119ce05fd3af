//! `'...' % values` and `'...'.format(...)`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

use super::fault::fault;
use super::text;
use super::value::{Py, view};

/// `template % values`.
pub(super) fn percent(state: &State, template: &str, values: Vec<Value>) -> Result<Value, Error> {
    refuse_wide(template, '%')?;
    // `%(name)s` reads from a mapping, which the engine wants as named arguments.
    let values = match values.as_slice() {
        [only] if template.contains("%(") => match view(only) {
            Py::Dict(dict) => {
                let named = dict.iter().filter_map(|(key, value)| Some((key.to_str()?.to_string(), value)));
                vec![
                    named
                        .map(|(key, value)| Ok((key, plain(state, value)?)))
                        .collect::<Result<Kwargs, Error>>()?
                        .into(),
                ]
            }
            _ => return Err(fault("format requires a mapping")),
        },
        _ => values.iter().map(|value| plain(state, value)).collect::<Result<_, _>>()?,
    };
    finish(state, format(FormatStyle::Printf, template, &values)?)
}

/// `template.format(*positional, **named)`.
pub(super) fn braces(
    state: &State,
    template: &str,
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
) -> Result<Value, Error> {
    refuse_wide(template, '{')?;
    let mut values = positional.iter().map(|value| plain(state, value)).collect::<Result<Vec<_>, _>>()?;
    if !named.is_empty() {
        let named = named.into_iter().map(|(key, value)| Ok((key, plain(state, &value)?)));
        values.push(named.collect::<Result<Kwargs, Error>>()?.into());
    }
    finish(state, format(FormatStyle::StrFormat, template, &values)?)
}

/// Containers, booleans and nothing as their text; numbers stay numbers for `d` and `f`.
fn plain(state: &State, value: &Value) -> Result<Value, Error> {
    match view(value) {
        Py::Int(_) | Py::Str(_) | Py::Float(_) => Ok(value.clone()),
        _ => Ok(Value::from(text::str(state, value)?)),
    }
}

fn finish(state: &State, out: String) -> Result<Value, Error> {
    state.consume_fuel(out.len() as u64)?;
    Ok(Value::from(out))
}

/// Refuses widths that would make a text out of nothing: five digits, or a width from a value.
fn refuse_wide(template: &str, opening: char) -> Result<(), Error> {
    let mut rest = template;
    while let Some(at) = rest.find(opening) {
        rest = &rest[at + 1..];
        if opening == '%' && rest.starts_with('(') {
            rest = &rest[rest.find(')').map_or(rest.len(), |end| end + 1)..];
        }
        let is_end = |c: char| if opening == '%' { c.is_alphabetic() || c == '%' } else { c == '}' };
        let spec = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        if opening == '%' && spec.contains('*') {
            return Err(fault("a format width that is itself a value is not supported"));
        }
        if spec.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 4) {
            return Err(fault("a format width of more than four digits is not supported"));
        }
        rest = rest[spec.len()..].strip_prefix('%').unwrap_or(&rest[spec.len()..]);
    }
    Ok(())
}
