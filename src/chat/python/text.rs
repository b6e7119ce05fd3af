//! `str()` and `repr()`.

use std::fmt::{self, Write};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::error::python_error;
use super::fuel;
use super::number::float_repr;
use super::value::{Bound, Py, Sequence, SequenceKind, type_name, view};

/// A growing text with the fuel of a state as its limit: its bytes and its pieces cost fuel.
///
/// The `write_...` methods fail if the fuel runs out.
pub(super) struct Metered {
    out: String,
    /// Bytes that the fuel still pays for; a piece counts as some more.
    left: u64,
    spent: u64,
}

/// Price of a piece of a text, in bytes.
const PIECE: u64 = 16;

impl Metered {
    pub(super) fn new(state: &State) -> Metered {
        let left = state.fuel_levels().map_or(u64::MAX, |(_, left)| left.saturating_mul(fuel::BYTES));
        Metered { out: String::new(), left, spent: 0 }
    }

    pub(super) fn write_str(&mut self, s: &str) -> Result<(), Error> {
        Write::write_str(self, s).map_err(exhausted)
    }

    pub(super) fn write_char(&mut self, c: char) -> Result<(), Error> {
        self.pay(2 * c.len_utf8() as u64).map_err(exhausted)?;
        self.out.push(c);
        Ok(())
    }

    /// Called by `write!`.
    pub(super) fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result<(), Error> {
        Write::write_fmt(self, text).map_err(exhausted)
    }

    /// The text, after consuming its fuel.
    pub(super) fn finish(self, state: &State) -> Result<String, Error> {
        state.consume_fuel(self.spent.div_ceil(fuel::BYTES))?;
        Ok(self.out)
    }

    fn pay(&mut self, bytes: u64) -> fmt::Result {
        self.left = self.left.checked_sub(bytes).ok_or(fmt::Error)?;
        self.spent += bytes;
        Ok(())
    }
}

fn exhausted(_: fmt::Error) -> Error {
    Error::from(ErrorKind::OutOfFuel)
}

impl Write for Metered {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.pay(PIECE + 2 * s.len() as u64)?;
        self.out.push_str(s);
        Ok(())
    }
}

/// `str(value)`.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn str(state: &State, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        fuel::bytes(state, text.len())?;
        return Ok(text.to_owned());
    }
    let mut out = Metered::new(state);
    write_str(&mut out, value)?;
    out.finish(state)
}

/// A text as Python's `Markup` (`is_markup`) or `str`.
///
/// Chat prompts are not escaped automatically. But `|safe` and `|escape` produce markup, and joining markup
/// with a plain text escapes the latter. Templates of published models rely on that.
pub(super) fn marked(text: impl Into<String>, is_markup: bool) -> Value {
    if is_markup { Value::from_safe_string(text.into()) } else { Value::from(text.into()) }
}

/// `text` with `& < > ' "` escaped for HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// The text of `value` for joining with markup: escaped unless it is markup itself.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn escaped_str(state: &State, value: &Value) -> Result<String, Error> {
    let text = str(state, value)?;
    if value.is_safe() {
        return Ok(text);
    }
    fuel::bytes(state, text.len().saturating_mul(4))?;
    let text = escaped(&text);
    Ok(text)
}

/// `repr(value)`.
///
/// # Errors
/// If the fuel runs out.
pub(super) fn repr(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = Metered::new(state);
    write_repr(&mut out, value)?;
    out.finish(state)
}

/// Writes `str(value)`.
fn write_str(out: &mut Metered, value: &Value) -> Result<(), Error> {
    match view(value) {
        Py::Undefined => Ok(()),
        Py::Str(text) => out.write_str(text),
        _ => write_repr(out, value),
    }
}

/// Writes `repr(value)`.
fn write_repr(out: &mut Metered, value: &Value) -> Result<(), Error> {
    match view(value) {
        Py::Undefined => out.write_str("Undefined"),
        Py::None => out.write_str("None"),
        Py::Bool(true) => out.write_str("True"),
        Py::Bool(false) => out.write_str("False"),
        Py::Int(int) => write!(out, "{int}"),
        Py::Float(float) => out.write_str(&float_repr(float)),
        Py::Str(text) => write_quoted(out, text),
        Py::Seq(sequence) => write_sequence(out, sequence),
        Py::Dict(dict) => {
            out.write_char('{')?;
            for (i, (key, value)) in dict.iter().enumerate() {
                out.write_str(if i > 0 { ", " } else { "" })?;
                write_repr(out, key)?;
                out.write_str(": ")?;
                write_repr(out, value)?;
            }
            out.write_char('}')
        }
        Py::Namespace(_) => out.write_str("<Namespace>"),
        Py::Other => match value.downcast_object_ref::<Bound>() {
            Some(bound) => {
                write!(out, "<built-in method {} of {} object>", bound.name, type_name(&bound.receiver))
            }
            // The only plain numbers left are those beyond 128 bits.
            None if value.kind() == ValueKind::Number => write!(out, "{value}"),
            None => out.write_str("<object>"),
        },
    }
}

fn write_sequence(out: &mut Metered, sequence: &Sequence) -> Result<(), Error> {
    let (open, close) = match sequence.kind {
        SequenceKind::List => ("[", "]"),
        SequenceKind::Tuple => ("(", ")"),
        SequenceKind::View(name) => {
            out.write_str(name)?;
            ("([", "])")
        }
        SequenceKind::Generator => return out.write_str("<generator object>"),
    };
    out.write_str(open)?;
    for (i, item) in sequence.items().iter().enumerate() {
        out.write_str(if i > 0 { ", " } else { "" })?;
        write_repr(out, item)?;
    }
    if sequence.kind == SequenceKind::Tuple && sequence.items().len() == 1 {
        out.write_char(',')?;
    }
    out.write_str(close)
}

/// Writes `repr(text)`.
fn write_quoted(out: &mut Metered, text: &str) -> Result<(), Error> {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c == quote => write!(out, "\\{c}")?,
            c if is_printable(c) => out.write_char(c)?,
            c => match c as u32 {
                code @ ..=0xff => write!(out, "\\x{code:02x}")?,
                code @ ..=0xffff => write!(out, "\\u{code:04x}")?,
                code => write!(out, "\\U{code:08x}")?,
            },
        }
    }
    out.write_char(quote)
}

/// `str.isprintable` of a character: true if `repr` does not escape it.
pub(in crate::chat) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Rust's `escape_debug` uses the same categories. It escapes combining marks at the start only, hence the
    // letter in front.
    let mut buffer = String::from("a");
    buffer.push(c);
    buffer.escape_debug().nth(1) == Some(c)
}

/// The engine prints values in its own messages without a state; truncation keeps them short.
pub(super) fn render_unbounded(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut cut = Metered { out: String::new(), left: 1 << 16, spent: 0 };
    let whole = write_repr(&mut cut, value).is_ok();
    f.write_str(&cut.out)?;
    f.write_str(if whole { "" } else { "..." })
}

/// Returns the text of `value`; fails for other types.
pub(super) fn expect_str<'a>(value: &'a Value, what: &str) -> Result<&'a str, Error> {
    match view(value) {
        Py::Str(text) => Ok(text),
        _ => Err(python_error(format!("{what} must be str, not {}", type_name(value)))),
    }
}
