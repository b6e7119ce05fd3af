//! Reader of JSON texts, with errors that tell a cut-off text from a wrong one.

use super::{Json, Object};
use crate::json as exact;

/// Maximum depth of nesting; Python's limit is near a thousand.
const MAX_DEPTH: usize = 512;

/// Maximum number of digits in an integer; Python's default limit.
const MAX_DIGITS: usize = 4300;

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
            true if exact::is_wide(&literal) => Json::Wide(literal),
            true => Json::Float(literal.parse().map_err(|_| self.error("a number was expected"))?),
            false if literal == "-0" => Json::Int("0".into()),
            false => Json::Int(literal),
        })
    }
}
