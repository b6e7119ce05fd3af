//! JSON as Python's `json` module reads, compares and writes it.
//!
//! The published scores and rows were made in Python. They contain `NaN`, integers of any length and duplicate keys
//! (the last one counts), and they were compared with `2 == 2.0` and `True == 1`. No crate reads that dialect, so this
//! module does. It accepts everything that `serde_json` accepts.

use indexmap::IndexMap;
use std::fmt::{self, Write};

/// Maximum depth of nesting; Python's limit is near a thousand.
const MAX_DEPTH: usize = 512;

/// Maximum number of digits in an integer; Python's default limit.
const MAX_DIGITS: usize = 4300;

/// Members of an object, in the order in which their keys first appeared.
pub type Object = IndexMap<String, Json>;

/// A value as `json.loads` gives it. Equality is Python's `==`.
#[derive(Clone, Debug)]
pub enum Json {
    /// `None`.
    Null,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` of any length, as decimal digits; negative ones start with `-`.
    Int(String),
    /// A `float`, infinities and NaN included.
    Float(f64),
    /// A `str`. An unpaired surrogate, which Rust's `str` cannot hold, becomes U+FFFD.
    Text(String),
    /// A `list`.
    List(Vec<Json>),
    /// A `dict`.
    Object(Object),
}

/// Syntax error in a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem} at byte {offset}", if *at_end { "the text ends early: " } else { "" })]
pub struct JsonError {
    /// Problem or missing token.
    pub problem: &'static str,
    /// Offset in bytes from the start.
    pub offset: usize,
    /// True if the text ended too early, so that more text could have completed it.
    pub at_end: bool,
}

impl Json {
    /// Reads the only value in `text`; white space around it is allowed.
    ///
    /// # Errors
    /// The problem and its offset.
    pub fn parse(text: &str) -> Result<Json, JsonError> {
        let (value, end) = Json::parse_prefix(text)?;
        match text[end..].trim_start_matches(WHITE).is_empty() {
            true => Ok(value),
            false => {
                Err(JsonError { problem: "something stands behind the value", offset: end, at_end: false })
            }
        }
    }

    /// Reads the value at the start of `text`, and returns it with the offset of its end in bytes.
    ///
    /// # Errors
    /// The problem and its offset.
    pub fn parse_prefix(text: &str) -> Result<(Json, usize), JsonError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        Ok((value, reader.at))
    }

    /// The string, if the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if the value is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The number, if the value is one; `true` and `false` are 1 and 0 as in Python.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Json::Bool(bool) => Some(f64::from(u8::from(*bool))),
            Json::Int(digits) => digits.parse().ok(),
            Json::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// Name of the value's type with an article, for errors.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Int(_) | Json::Float(_) => "a number",
            Json::Text(_) => "a string",
            Json::List(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// Converts to a `serde_json` value; `None` if there is an infinity or NaN in it, which standard JSON lacks.
    /// Integers beyond 64 bits become floats.
    pub fn to_serde(&self) -> Option<serde_json::Value> {
        use serde_json::{Number, Value};
        Some(match self {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Int(digits) => match (digits.parse::<i64>(), digits.parse::<u64>()) {
                (Ok(int), _) => int.into(),
                (_, Ok(int)) => int.into(),
                _ => Value::Number(Number::from_f64(digits.parse().ok()?)?),
            },
            Json::Float(float) => Value::Number(Number::from_f64(*float)?),
            Json::Text(text) => Value::String(text.clone()),
            Json::List(items) => Value::Array(items.iter().map(Json::to_serde).collect::<Option<_>>()?),
            Json::Object(object) => Value::Object(
                object
                    .iter()
                    .map(|(key, value)| Some((key.clone(), value.to_serde()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Json {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => Json::Float(float),
                _ => Json::Int(number.to_string()),
            },
            Value::String(text) => Json::Text(text.clone()),
            Value::Array(items) => Json::List(items.iter().map(Json::from).collect()),
            Value::Object(object) => {
                Json::Object(object.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
        }
    }
}

/// Python's `==` on results of `json.loads`. Numbers compare by value across types, booleans are 1 and 0, the order of
/// keys does not count, and NaN equals NaN.
impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Text(a), Json::Text(b)) => a == b,
            (Json::List(a), Json::List(b)) => a == b,
            (Json::Object(a), Json::Object(b)) => a == b,
            // `json.loads` returns the same object for every NaN, and containers compare by identity first.
            (Json::Float(a), Json::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => match (self.whole(), other.whole()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }
}

impl Json {
    /// Exact decimal digits of a number without a fraction.
    fn whole(&self) -> Option<String> {
        match self {
            Json::Bool(bool) => Some(u8::from(*bool).to_string()),
            Json::Int(digits) => Some(digits.clone()),
            // `{:.0}` writes every digit of a float of any size; adding 0 makes -0.0 positive.
            Json::Float(float) if float.is_finite() && float.fract() == 0.0 => {
                Some(format!("{:.0}", float + 0.0))
            }
            _ => None,
        }
    }
}

/// Format of `json.dumps(value, ensure_ascii=False)`: a space after `:` and `,`.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(bool) => write!(f, "{bool}"),
            Json::Int(digits) => f.write_str(digits),
            Json::Float(float) => f.write_str(&float_repr(*float)),
            Json::Text(text) => f.write_str(&quoted(text)),
            Json::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Json::Object(object) => f.write_str(&dumps(object)),
        }
    }
}

/// Writes an object in the format of `json.dumps(object, ensure_ascii=False)`.
pub fn dumps(object: &Object) -> String {
    let members: Vec<String> =
        object.iter().map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
    format!("{{{}}}", members.join(", "))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is written to memory")
}

/// Format of Python's `repr(float)`: the shortest digits that round-trip, and an exponent with a sign and at least two
/// digits.
fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    // Rust's debug format switches to an exponent at the same magnitudes as Python.
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, size) = match exponent.strip_prefix('-') {
                Some(size) => ('-', size),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{size:0>2}")
        }
    }
}

const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, problem: &'static str) -> JsonError {
        JsonError { problem, offset: self.at, at_end: self.at >= self.text.len() }
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(WHITE).len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError { problem: "nested too deeply", offset: self.at, at_end: false });
        }
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            _ => {
                let words = [
                    ("null", Json::Null),
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                    ("NaN", Json::Float(f64::NAN)),
                    ("Infinity", Json::Float(f64::INFINITY)),
                    ("-Infinity", Json::Float(f64::NEG_INFINITY)),
                ];
                for (word, value) in words {
                    if self.take(word) {
                        return Ok(value);
                    }
                    if !self.rest().is_empty() && word.starts_with(self.rest()) {
                        self.at = self.text.len();
                        return Err(self.error("half a word"));
                    }
                }
                self.number()
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut object = Object::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(object));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a key was expected"));
            }
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.error("`:` was expected"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            object.insert(key, value);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(object));
                }
                _ => return Err(self.error("`,` or `}` was expected")),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::List(items));
                }
                _ => return Err(self.error("`,` or `]` was expected")),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\u{1f}')).unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error("a control character must be escaped")),
                None => return Err(self.error("the string has no end")),
            }
        }
    }

    /// Reads an escape sequence; `at` is on its backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let c = match self.text.as_bytes().get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                if let 0xd800..=0xdbff = unit
                    && self.rest().starts_with("\\u")
                {
                    let back = self.at;
                    self.at += 2;
                    if let low @ 0xdc00..=0xdfff = self.hex()? {
                        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = back;
                }
                return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err(self.error("there is no such escape")),
        };
        self.at += 1;
        Ok(c)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            let all_hex = self.rest().len() < 4 && self.rest().bytes().all(|b| b.is_ascii_hexdigit());
            return Err(JsonError {
                problem: "four hex digits were expected",
                offset: self.at,
                at_end: all_hex,
            });
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or(0)))
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let whole = match bytes.get(sign) {
            Some(b'0') => 1,
            _ => digits(sign),
        };
        if whole == 0 {
            self.at += if sign == bytes.len() { sign } else { 0 };
            return Err(self.error("a value was expected"));
        }
        let mut end = sign + whole;
        let mut is_float = false;
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
            is_float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.len() > end + 1 + signed && digits(end + 1 + signed) > 0 {
                end += 1 + signed + digits(end + 1 + signed);
                is_float = true;
            }
        }
        let literal = self.rest()[..end].to_owned();
        if !is_float && whole > MAX_DIGITS {
            return Err(JsonError {
                problem: "a whole number with too many digits",
                offset: self.at,
                at_end: false,
            });
        }
        self.at += end;
        Ok(match is_float {
            true => Json::Float(literal.parse().map_err(|_| self.error("a number was expected"))?),
            false if literal == "-0" => Json::Int("0".into()),
            false => Json::Int(literal),
        })
    }
}

#[cfg(test)]
mod tests;
