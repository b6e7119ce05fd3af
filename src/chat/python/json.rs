//! `tojson` as in `transformers`: `json.dumps` without HTML escapes; and `from_json`, its reverse, of other engines.

use minijinja::value::Value;
use minijinja::{Error, State};

use super::arguments::Arguments;
use super::error::python_error;
use super::fuel;
use super::number::float_repr;
use super::operators;
use super::text::{Metered, expect_str};
use super::value::{Py, iterate, type_name, view};

/// The arguments of `json.dumps`.
struct Style {
    ensure_ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// `value|tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn tojson(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let value = args.required("x")?;
    let ensure_ascii = args.flag("ensure_ascii");
    let indent = args.given("indent");
    let separators = args.given("separators");
    let sort_keys = args.flag("sort_keys");
    args.finish()?;
    let indent = match indent.as_ref().map(view) {
        None => None,
        Some(Py::Int(width)) => Some(" ".repeat(usize::try_from(width).unwrap_or(0).min(64))),
        Some(Py::Bool(one)) => Some(" ".repeat(usize::from(one))),
        Some(Py::Str(text)) => Some(text.to_owned()),
        Some(_) => return Err(python_error("tojson: indent must be a number or a text")),
    };
    let (item_separator, key_separator) = match separators {
        Some(pair) => {
            let pair = iterate(state, &pair)?;
            let [item, key] = pair.as_slice() else {
                return Err(python_error("tojson: separators must be a pair of texts"));
            };
            (expect_str(item, "a separator")?.to_owned(), expect_str(key, "a separator")?.to_owned())
        }
        None => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
    };
    let style = Style { ensure_ascii, indent, item_separator, key_separator, sort_keys };
    fuel::bytes(state, style.indent.as_ref().map_or(0, String::len))?;
    let mut out = Metered::new(state);
    match view(&value) {
        // `json.dumps` refuses a generator. Templates that write one render elsewhere.
        Py::Seq(items) if !items.has_subscripts() => write_items(state, &mut out, &style, items.rest(), 0)?,
        _ => write(state, &mut out, &style, &value, 0)?,
    }
    Ok(Value::from(out.finish(state)?))
}

/// `text|from_json`, as Python's `json.loads` reads a text.
pub(super) fn from_json(state: &mut State, mut args: Arguments) -> Result<Value, Error> {
    let text = args.required("text")?;
    args.finish()?;
    let text = expect_str(&text, "the JSON text")?;
    // Each byte may be an item.
    fuel::items(state, text.len())?;
    let json = serde_json::from_str(text).map_err(|error| python_error(format!("from_json: {error}")))?;
    super::value::from_json(&json)
}

fn write(state: &State, out: &mut Metered, style: &Style, value: &Value, level: usize) -> Result<(), Error> {
    match view(value) {
        Py::None => out.write_str("null"),
        Py::Bool(bool) => out.write_str(if bool { "true" } else { "false" }),
        Py::Int(int) => write!(out, "{int}"),
        Py::Float(float) => out.write_str(&json_float(float)),
        Py::Str(text) => write_string(out, text, style.ensure_ascii),
        Py::Seq(sequence) if sequence.has_subscripts() => {
            write_items(state, out, style, sequence.items(), level)
        }
        Py::Dict(dict) => {
            let mut pairs: Vec<(&Value, &Value)> = dict.iter().collect();
            if style.sort_keys {
                operators::sort_by_key(state, &mut pairs, |(key, _)| (*key).clone())?;
            }
            write_pairs(state, out, style, &pairs, level)
        }
        _ => Err(python_error(format!("Object of type {} is not JSON serializable", type_name(value)))),
    }
}

fn write_items(
    state: &State,
    out: &mut Metered,
    style: &Style,
    items: &[Value],
    level: usize,
) -> Result<(), Error> {
    if items.is_empty() {
        return out.write_str("[]");
    }
    out.write_char('[')?;
    for (i, item) in items.iter().enumerate() {
        between(out, style, i, level + 1)?;
        write(state, out, style, item, level + 1)?;
    }
    close(out, style, level, ']')
}

fn write_pairs(
    state: &State,
    out: &mut Metered,
    style: &Style,
    pairs: &[(&Value, &Value)],
    level: usize,
) -> Result<(), Error> {
    if pairs.is_empty() {
        return out.write_str("{}");
    }
    out.write_char('{')?;
    for (i, (key, value)) in pairs.iter().enumerate() {
        between(out, style, i, level + 1)?;
        let key = match view(key) {
            Py::Str(text) => text.to_owned(),
            Py::None => "null".into(),
            Py::Bool(bool) => bool.to_string(),
            Py::Int(int) => int.to_string(),
            Py::Float(float) => json_float(float),
            _ => return Err(python_error("keys must be str, int, float, bool or None")),
        };
        write_string(out, &key, style.ensure_ascii)?;
        out.write_str(&style.key_separator)?;
        write(state, out, style, value, level + 1)?;
    }
    close(out, style, level, '}')
}

/// Writes the text before item `i`: the separator, and the line break if indented.
fn between(out: &mut Metered, style: &Style, i: usize, level: usize) -> Result<(), Error> {
    if i > 0 {
        out.write_str(&style.item_separator)?;
    }
    new_line(out, style, level)
}

fn close(out: &mut Metered, style: &Style, level: usize, bracket: char) -> Result<(), Error> {
    new_line(out, style, level)?;
    out.write_char(bracket)
}

fn new_line(out: &mut Metered, style: &Style, level: usize) -> Result<(), Error> {
    if let Some(indent) = &style.indent {
        out.write_char('\n')?;
        for _ in 0..level {
            out.write_str(indent)?;
        }
    }
    Ok(())
}

fn json_float(float: f64) -> String {
    if float.is_nan() {
        "NaN".into()
    } else if float.is_infinite() {
        if float > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else {
        float_repr(float)
    }
}

fn write_string(out: &mut Metered, text: &str, ensure_ascii: bool) -> Result<(), Error> {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{c}' => out.write_str("\\f")?,
            '\u{8}' => out.write_str("\\b")?,
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32)?,
            c if ensure_ascii && !(' '..='~').contains(&c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}
