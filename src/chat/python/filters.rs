//! Jinja2's filters on one value: text, numbers, defaults.

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, int};
use super::error::python_error;
use super::methods;
use super::number::{parse_float, parse_int, round};
use super::operators::int_value;
use super::str_methods::replaced;
use super::strings::{capitalize, is_space, line_count, split_lines, strip};
use super::text::{self, marked, str};
use super::value::{Py, type_name, view};
use super::{format, fuel, lookup};

type Outcome = Result<Value, Error>;

/// `value|string`; markup stays markup.
pub(super) fn string(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("object")?;
    args.finish()?;
    Ok(marked(str(state, &value)?, value.is_safe()))
}

/// `value|safe`.
pub(super) fn safe(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    args.finish()?;
    Ok(marked(str(state, &value)?, true))
}

/// `value|escape`.
pub(super) fn escape(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("s")?;
    args.finish()?;
    Ok(marked(text::escaped_str(state, &value)?, true))
}

/// `value|forceescape`.
pub(super) fn force_escape(state: &mut State, mut args: Arguments) -> Outcome {
    let text = str(state, &args.required("value")?)?;
    args.finish()?;
    fuel::bytes(state, text.len().saturating_mul(4))?;
    let text = text::escaped(&text);
    Ok(marked(text, true))
}

/// `value|upper`, `|lower`, `|capitalize`, `|title`, by name.
pub(super) fn cased(state: &mut State, mut args: Arguments, name: &str) -> Outcome {
    let value = args.required("s")?;
    args.finish()?;
    let text = str(state, &value)?;
    fuel::bytes(state, text.len().saturating_mul(4))?;
    Ok(match name {
        "upper" => marked(text.to_uppercase(), value.is_safe()),
        "lower" => marked(text.to_lowercase(), value.is_safe()),
        "capitalize" => marked(capitalize(&text), value.is_safe()),
        _ => Value::from(title(&text)),
    })
}

/// Jinja2's title case: capitals only after white space, `-` and opening brackets.
fn title(text: &str) -> String {
    let is_gap = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        if starts {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        starts = is_gap(c);
    }
    out
}

/// `value|trim(chars)`.
pub(super) fn trimmed(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let chars = args.given("chars");
    args.finish()?;
    let chars = chars.as_ref().map(|chars| text::expect_str(chars, "the characters to strip")).transpose()?;
    let text = str(state, &value)?;
    fuel::bytes(state, text.len() + chars.map_or(0, str::len).saturating_mul(4))?;
    Ok(marked(strip(&text, chars, true, true), value.is_safe()))
}

/// `s|replace(old, new, count)`.
pub(super) fn replace(state: &mut State, mut args: Arguments) -> Outcome {
    let (s, old, new) = (args.required("s")?, args.required("old")?, args.required("new")?);
    let count = args.int("count", -1)?;
    args.finish()?;
    let (s, old, new) = (str(state, &s)?, str(state, &old)?, str(state, &new)?);
    replaced(state, &s, &old, &new, count).map(Value::from)
}

/// `s|indent(width, first, blank)`.
pub(super) fn indent(state: &mut State, mut args: Arguments) -> Outcome {
    let s = args.required("s")?;
    let width = args.optional("width");
    let first = args.flag("first");
    let blank = args.flag("blank");
    args.finish()?;
    let margin = match width.as_ref().map(view) {
        Some(Py::Str(text)) => text.to_owned(),
        _ => " ".repeat(usize::try_from(int(width, 4)?).unwrap_or(0).min(1000)),
    };
    let text = text::expect_str(&s, "the text to indent")?;
    fuel::bytes(state, text.len().saturating_mul(2))?;
    let text = text.to_owned() + "\n";
    let count = line_count(&text);
    fuel::items(state, count)?;
    fuel::bytes(state, count.saturating_mul(margin.len()).saturating_mul(2))?;
    let lines = split_lines(&text, false);
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(marked(out, s.is_safe()))
}

/// `value|center(width)`.
pub(super) fn center(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let text = marked(str(state, &value)?, value.is_safe());
    let width = args.optional("width").unwrap_or_else(|| Value::from(80));
    args.finish()?;
    methods::call(state, &text, "center", &[width])
}

/// `s|truncate(length, killwords, end, leeway)`.
pub(super) fn truncate(state: &mut State, mut args: Arguments) -> Outcome {
    let s = str(state, &args.required("s")?)?;
    let length = usize::try_from(args.int("length", 255)?).unwrap_or(0);
    let kill_words = args.flag("killwords");
    let end = args.optional("end").map_or(Ok("...".to_owned()), |end| str(state, &end))?;
    let leeway = usize::try_from(args.int("leeway", 5)?).unwrap_or(0);
    args.finish()?;
    fuel::bytes(state, s.len().saturating_mul(5))?;
    let chars: Vec<char> = s.chars().collect();
    if chars.len() <= length + leeway {
        return Ok(Value::from(s));
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(python_error("truncate: the length is shorter than the end"));
    };
    let cut: String = chars[..kept].iter().collect();
    let cut =
        if kill_words { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head) };
    Ok(Value::from(format!("{cut}{end}")))
}

/// `s|wordcount`.
pub(super) fn wordcount(state: &mut State, mut args: Arguments) -> Outcome {
    let text = str(state, &args.required("s")?)?;
    args.finish()?;
    fuel::bytes(state, text.len())?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Ok(Value::from(words.count()))
}

/// `template|format(*args, **kwargs)`: `template % args`.
pub(super) fn formatted(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let template = str(state, &value)?;
    let (positional, named) = args.into_rest();
    if named.is_empty() {
        return format::percent(state, &template, positional, value.is_safe());
    }
    if !positional.is_empty() {
        return Err(python_error("can't handle positional and keyword arguments at the same time"));
    }
    let named = super::value::dict(named.into_iter().map(|(key, value)| (Value::from(key), value)))?;
    format::percent(state, &template, vec![named], value.is_safe())
}

/// `value|urlencode`, for texts only.
pub(super) fn urlencode(state: &mut State, mut args: Arguments) -> Outcome {
    let text = str(state, &args.required("value")?)?;
    args.finish()?;
    fuel::bytes(state, text.len().saturating_mul(fuel::BYTES as usize))?;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(Value::from(out))
}

/// `value|int(default, base)`.
pub(super) fn to_int(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default").unwrap_or_else(|| Value::from(0));
    let base = u32::try_from(args.int("base", 10)?).ok().filter(|base| (2..=36).contains(base));
    args.finish()?;
    fuel::bytes(state, value.as_str().map_or(0, str::len).saturating_mul(4))?;
    let whole = |float: f64| (float.is_finite() && float.abs() < 1e38).then_some(float.trunc() as i128);
    let found = match view(&value) {
        Py::Str(text) => {
            base.and_then(|base| parse_int(text, base)).or_else(|| parse_float(text).and_then(whole))
        }
        Py::Bool(bool) => Some(i128::from(bool)),
        Py::Int(int) => Some(int),
        Py::Float(float) => whole(float),
        _ => None,
    };
    Ok(found.map_or(default, int_value))
}

/// `value|float(default)`.
pub(super) fn to_float(state: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default").unwrap_or_else(|| Value::from(0.0));
    args.finish()?;
    fuel::bytes(state, value.as_str().map_or(0, str::len).saturating_mul(4))?;
    let found = match view(&value) {
        Py::Str(text) => parse_float(text),
        Py::Bool(bool) => Some(f64::from(u8::from(bool))),
        Py::Int(int) => Some(int as f64),
        Py::Float(float) => Some(float),
        _ => None,
    };
    Ok(found.map_or(default, Value::from))
}

/// `value|abs`.
pub(super) fn abs(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("x")?;
    args.finish()?;
    match view(&value) {
        Py::Bool(bool) => Ok(Value::from(i64::from(bool))),
        Py::Int(int) => Ok(int_value(int.saturating_abs())),
        Py::Float(float) => Ok(Value::from(float.abs())),
        _ => Err(python_error(format!("bad operand type for abs(): '{}'", type_name(&value)))),
    }
}

/// `value|round(precision, method)`.
pub(super) fn rounded(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let precision = args.int("precision", 0)?.clamp(-400, 400) as i32;
    let method = args.optional("method").unwrap_or_else(|| Value::from("common"));
    args.finish()?;
    let (float, whole) = match view(&value) {
        Py::Int(int) => (int as f64, Some(int)),
        Py::Bool(bool) => (f64::from(u8::from(bool)), Some(i128::from(bool))),
        Py::Float(float) => (float, None),
        _ => return Err(python_error(format!("type {} has no rounding", type_name(&value)))),
    };
    let scale = 10f64.powi(precision);
    match (method.as_str(), whole) {
        // An integer stays an integer.
        (Some("common"), Some(int)) if precision >= 0 => Ok(int_value(int)),
        (Some("common"), Some(_)) => Ok(Value::from(round(float, precision) as i64)),
        (Some("common"), None) => Ok(Value::from(round(float, precision))),
        (Some("ceil"), _) => Ok(Value::from((float * scale).ceil() / scale)),
        (Some("floor"), _) => Ok(Value::from((float * scale).floor() / scale)),
        _ => Err(python_error("method must be common, ceil or floor")),
    }
}

/// `value|default(default_value, boolean)`.
pub(super) fn default(_: &mut State, mut args: Arguments) -> Outcome {
    let value = args.required("value")?;
    let default = args.optional("default_value").unwrap_or_else(|| Value::from(""));
    let falsy = args.flag("boolean");
    args.finish()?;
    Ok(if value.is_undefined() || (falsy && !value.is_true()) { default } else { value })
}

/// `value|attr(name)`: attributes only, never items.
pub(super) fn attr(_: &mut State, mut args: Arguments) -> Outcome {
    let (value, name) = (args.required("obj")?, args.required("name")?);
    args.finish()?;
    let word = text::expect_str(&name, "the attribute's name")?;
    Ok(match view(&value) {
        _ if methods::exists(&value, word) => lookup::bound(value, word),
        Py::Namespace(namespace) => namespace.get(word).unwrap_or_default(),
        Py::Other if value.as_object().is_some() => value.get_attr(word)?,
        _ => Value::UNDEFINED,
    })
}
