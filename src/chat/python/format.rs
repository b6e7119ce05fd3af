//! `'...' % values` and `'...'.format(...)`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

use super::error::python_error;
use super::value::{Py, view};
use super::{fuel, text};

/// `template % values`; if the template is markup, values are escaped.
pub(super) fn percent(
    state: &State,
    template: &str,
    values: Vec<Value>,
    is_markup: bool,
) -> Result<Value, Error> {
    fuel::bytes(state, template.len().saturating_mul(5))?;
    let (template, conversions) = conversions(template)?;
    // `%(name)s` reads from a mapping, which the engine expects as named arguments.
    let values = match values.as_slice() {
        [only] if template.contains("%(") => match view(only) {
            Py::Dict(dict) => {
                let named = dict.iter().filter_map(|(key, value)| Some((key.to_str()?.to_string(), value)));
                let named = named.map(|(key, value)| Ok((key, plain(state, value, is_markup)?)));
                fuel::containers(state, dict.len())?;
                let named: Vec<(String, Value)> = named.collect::<Result<_, Error>>()?;
                pay(state, &template, '%', named.iter().map(|(_, value)| value))?;
                vec![named.into_iter().collect::<Kwargs>().into()]
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
            let values: Vec<Value> = values.collect::<Result<_, _>>()?;
            // Each is written once.
            let texts = values.iter().filter_map(Value::as_str);
            fuel::bytes(state, texts.map(str::len).fold(0, usize::saturating_add))?;
            pay(state, &template, '%', [].into_iter())?;
            values
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
        refuse_non_ascii(&spec[..end])?;
        out.push_str(&spec[..end]);
        rest = &spec[end..];
        if let Some(conversion) = rest.chars().next() {
            refuse_non_ascii(rest.split_at(conversion.len_utf8()).0)?;
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
    fuel::bytes(state, template.len())?;
    for spec in template.split('{').skip(1) {
        refuse_wide(spec.split('}').next().unwrap_or_default())?;
    }
    let mut rest = template;
    while let Some((_, behind)) = rest.split_once('{') {
        if let Some(literal) = behind.strip_prefix('{') {
            rest = literal;
            continue;
        }
        let (field, behind) = behind.split_once('}').unwrap_or((behind, ""));
        let (name, spec) = field.split_once(':').unwrap_or((field, ""));
        refuse_non_ascii(name)?;
        // A text is filled up with any character.
        let fill = spec.chars().next().filter(|_| spec.chars().nth(1).is_some_and(|c| "<>^=".contains(c)));
        refuse_non_ascii(&spec[fill.map_or(0, char::len_utf8)..])?;
        rest = behind;
    }
    let mut values =
        positional.iter().map(|value| plain(state, value, is_markup)).collect::<Result<Vec<_>, _>>()?;
    let named = named.into_iter().map(|(key, value)| Ok((key, plain(state, &value, is_markup)?)));
    let named = named.collect::<Result<Vec<(String, Value)>, Error>>()?;
    pay(state, template, '{', values.iter().chain(named.iter().map(|(_, value)| value)))?;
    if !named.is_empty() {
        values.push(named.into_iter().collect::<Kwargs>().into());
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

/// Pays for the largest text that a template can give whose specifications begin with `sign`: each may write the longest
/// of `values`, or as many characters as its width and precision say.
fn pay<'v>(
    state: &State,
    template: &str,
    sign: char,
    values: impl Iterator<Item = &'v Value>,
) -> Result<(), Error> {
    /// Digits of the largest double.
    const NUMBER: usize = 310;
    let longest = values.filter_map(Value::as_str).map(str::len).fold(0, usize::max);
    for spec in template.split(sign).skip(1) {
        let spec = spec.split(['}', ' ', '\n']).next().unwrap_or_default();
        let width = spec
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse::<usize>().ok())
            .fold(0, usize::max);
        fuel::bytes(state, longest.max(NUMBER).saturating_add(width.min(9_999)))?;
    }
    Ok(())
}

/// Refuses characters outside ASCII in a replacement field, which the engine takes for several: it would panic.
fn refuse_non_ascii(field: &str) -> Result<(), Error> {
    if field.is_ascii() {
        return Ok(());
    }
    Err(python_error(format!(
        "the format field `{field}` has characters outside ASCII, which is not supported"
    )))
}

/// Refuses widths of more than four digits, which could produce huge texts.
fn refuse_wide(spec: &str) -> Result<(), Error> {
    if spec.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 4) {
        return Err(python_error("a format width of more than four digits is not supported"));
    }
    Ok(())
}
