//! `'...' % values` and `'...'.format(...)`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

use super::error::python_error;
use super::text;
use super::value::{Py, view};

/// `template % values`; if the template is markup, values are escaped.
pub(super) fn percent(
    state: &State,
    template: &str,
    values: Vec<Value>,
    is_markup: bool,
) -> Result<Value, Error> {
    let (template, conversions) = conversions(template)?;
    // `%(name)s` reads from a mapping, which the engine expects as named arguments.
    let values = match values.as_slice() {
        [only] if template.contains("%(") => match view(only) {
            Py::Dict(dict) => {
                let named = dict.iter().filter_map(|(key, value)| Some((key.to_str()?.to_string(), value)));
                let named = named.map(|(key, value)| Ok((key, plain(state, value, is_markup)?)));
                vec![named.collect::<Result<Kwargs, Error>>()?.into()]
            }
            _ => return Err(python_error("format requires a mapping")),
        },
        _ if values.len() < conversions.len() => {
            return Err(python_error("not enough arguments for format string"));
        }
        _ if values.len() > conversions.len() => {
            return Err(python_error("not all arguments converted during string formatting"));
        }
        _ => {
            let values = values.iter().zip(conversions);
            let values = values.map(|(value, conversion)| match conversion {
                'r' | 'a' => text::repr(state, value).map(Value::from),
                _ => plain(state, value, is_markup),
            });
            values.collect::<Result<_, _>>()?
        }
    };
    finish(state, format(FormatStyle::Printf, &template, &values)?, is_markup)
}

/// The conversions of a `%` template in order, and the template with `%s` for `%r` and `%a`, which the engine
/// does not support.
fn conversions(template: &str) -> Result<(String, Vec<char>), Error> {
    let mut out = String::with_capacity(template.len());
    let mut found = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        let (before, spec) = rest.split_at(at + 1);
        out.push_str(before);
        let name = if spec.starts_with('(') { spec.find(')').map_or(spec.len(), |end| end + 1) } else { 0 };
        let end =
            spec[name..].find(|c: char| c.is_alphabetic() || c == '%').map_or(spec.len(), |end| name + end);
        if spec[name..end].contains('*') {
            return Err(python_error("a format width that is itself a value is not supported"));
        }
        refuse_wide(&spec[name..end])?;
        out.push_str(&spec[..end]);
        rest = &spec[end..];
        if let Some(conversion) = rest.chars().next() {
            out.push(if matches!(conversion, 'r' | 'a') { 's' } else { conversion });
            found.extend((conversion != '%').then_some(conversion));
            rest = &rest[conversion.len_utf8()..];
        }
    }
    Ok((out + rest, found))
}

/// `template.format(*positional, **named)`; if the template is markup, values are escaped.
pub(super) fn braces(
    state: &State,
    template: &str,
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
    is_markup: bool,
) -> Result<Value, Error> {
    for spec in template.split('{').skip(1) {
        refuse_wide(spec.split('}').next().unwrap_or_default())?;
    }
    let mut values =
        positional.iter().map(|value| plain(state, value, is_markup)).collect::<Result<Vec<_>, _>>()?;
    if !named.is_empty() {
        let named = named.into_iter().map(|(key, value)| Ok((key, plain(state, &value, is_markup)?)));
        values.push(named.collect::<Result<Kwargs, Error>>()?.into());
    }
    finish(state, format(FormatStyle::StrFormat, template, &values)?, is_markup)
}

/// Containers, booleans and none as their text; numbers stay numbers for `d` and `f`.
fn plain(state: &State, value: &Value, is_markup: bool) -> Result<Value, Error> {
    match view(value) {
        Py::Int(_) | Py::Float(_) => Ok(value.clone()),
        _ if is_markup => Ok(Value::from(text::escaped_str(state, value)?)),
        Py::Str(_) => Ok(value.clone()),
        _ => Ok(Value::from(text::str(state, value)?)),
    }
}

fn finish(state: &State, out: String, is_markup: bool) -> Result<Value, Error> {
    state.consume_fuel(out.len() as u64)?;
    Ok(text::marked(out, is_markup))
}

/// Refuses widths of more than four digits, which could produce huge texts.
fn refuse_wide(spec: &str) -> Result<(), Error> {
    if spec.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 4) {
        return Err(python_error("a format width of more than four digits is not supported"));
    }
    Ok(())
}
