//! Reads one value in a style and writes it as JSON, byte by byte.

use super::{style::Style, words::json_word};

/// The part of a value that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// At the start of a value, or the end of an array.
    Value,
    /// At the start of a key, or the end of an object.
    Key,
    /// In a bare key.
    BareKey,
    /// In a word.
    Word,
    /// In a number.
    Number,
    /// In a JSON string.
    Text { escaped: bool },
    /// In a string between these quotes.
    Quoted { quote: u8, escaped: bool },
    /// In the digits of an escaped character of such a string, of which this many are missing.
    Digits { quote: u8, missing: u8 },
    /// In the delimiter before a string.
    Opening,
    /// In a string between delimiters.
    Delimited,
    /// After a value or a key.
    Between,
    /// Behind the whole value.
    Done,
}

/// A value in a style that is read byte by byte.
#[derive(Clone, Debug)]
pub(super) struct StyleReader {
    mode: Mode,
    /// The open containers, true for objects.
    open: Vec<bool>,
    /// Bytes that are not written yet: of a word, a bare key, or a delimiter.
    held: Vec<u8>,
    /// True if the string that is read is a key.
    key: bool,
}

/// Effect of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It belongs to the value.
    Yes,
    /// The value ended before it.
    No,
    /// No value goes on with it.
    Broken,
}

impl StyleReader {
    /// A reader at the start of a value.
    pub(super) fn new() -> StyleReader {
        StyleReader { mode: Mode::Value, open: Vec::new(), held: Vec::new(), key: false }
    }

    /// True if the value is complete; a number or a word may go on.
    pub(super) fn may_end(&self) -> bool {
        let scalar = match self.mode {
            Mode::Word => json_word(&self.held).is_some(),
            mode => mode == Mode::Number,
        };
        self.mode == Mode::Done || (self.open.is_empty() && scalar)
    }

    /// True in a string inside of an array or an object.
    pub(super) fn is_in_nested_string(&self) -> bool {
        let string = matches!(
            self.mode,
            Mode::Text { .. } | Mode::Quoted { .. } | Mode::Digits { .. } | Mode::Delimited
        );
        string && !self.open.is_empty()
    }

    /// Writes the rest of a value that ends here.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let ends = self.may_end();
        if self.mode == Mode::Word {
            self.end_word(out);
        }
        self.mode = Mode::Done;
        ends
    }

    /// Reads a byte.
    pub(super) fn feed(&mut self, byte: u8, style: &Style, out: &mut Vec<u8>) -> Taken {
        match self.mode {
            Mode::Done => Taken::No,
            Mode::Text { escaped } => {
                out.push(byte);
                self.mode = Mode::Text { escaped: !escaped && byte == b'\\' };
                if !escaped && byte == b'"' {
                    self.ended();
                }
                Taken::Yes
            }
            Mode::Quoted { quote, escaped } => {
                self.quoted(byte, quote, escaped, out);
                Taken::Yes
            }
            Mode::Digits { quote, missing } => self.digit(byte, quote, missing, out),
            Mode::Opening | Mode::Delimited => self.delimited(byte, style, out),
            Mode::BareKey => {
                if byte == b':' {
                    string(&std::mem::take(&mut self.held), out);
                    out.extend_from_slice(b": ");
                    self.mode = Mode::Value;
                } else {
                    self.held.push(byte);
                }
                Taken::Yes
            }
            Mode::Word if byte.is_ascii_alphanumeric() => {
                self.held.push(byte);
                Taken::Yes
            }
            Mode::Word => {
                if !self.end_word(out) {
                    return Taken::Broken;
                }
                self.feed(byte, style, out)
            }
            Mode::Number if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-') => {
                out.push(byte);
                Taken::Yes
            }
            Mode::Number => {
                self.ended();
                self.feed(byte, style, out)
            }
            Mode::Value => self.begin(byte, style, out),
            Mode::Key => self.begin_key(byte, style, out),
            Mode::Between => self.between(byte, out),
        }
    }

    fn begin(&mut self, byte: u8, style: &Style, out: &mut Vec<u8>) -> Taken {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' if !self.open.is_empty() => {}
            b'{' | b'[' => {
                out.push(byte);
                self.open.push(byte == b'{');
                self.mode = if byte == b'{' { Mode::Key } else { Mode::Value };
            }
            b']' if self.open.last() == Some(&false) => return self.close(byte, out),
            b'-' | b'0'..=b'9' => {
                out.push(byte);
                self.mode = Mode::Number;
            }
            _ if byte.is_ascii_alphabetic() => {
                self.held.push(byte);
                self.mode = Mode::Word;
            }
            _ => return self.begin_string(byte, false, style, out),
        }
        Taken::Yes
    }

    fn begin_key(&mut self, byte: u8, style: &Style, out: &mut Vec<u8>) -> Taken {
        match (byte, style) {
            (b'}', _) => self.close(byte, out),
            (b' ' | b'\n' | b'\r' | b'\t', _) => Taken::Yes,
            (_, Style::Bare { delimiter }) if !delimiter.as_bytes().starts_with(&[byte]) => {
                self.held.push(byte);
                self.mode = Mode::BareKey;
                Taken::Yes
            }
            _ => self.begin_string(byte, true, style, out),
        }
    }

    fn begin_string(&mut self, byte: u8, key: bool, style: &Style, out: &mut Vec<u8>) -> Taken {
        self.key = key;
        match (byte, style) {
            (_, Style::Bare { delimiter }) if delimiter.as_bytes().starts_with(&[byte]) => {
                self.mode = Mode::Opening;
                return self.delimited(byte, style, out);
            }
            (b'"', Style::Json { .. } | Style::Bare { .. }) => self.mode = Mode::Text { escaped: false },
            (b'\'' | b'"', Style::Python) => self.mode = Mode::Quoted { quote: byte, escaped: false },
            _ => return Taken::Broken,
        }
        out.push(b'"');
        Taken::Yes
    }

    fn between(&mut self, byte: u8, out: &mut Vec<u8>) -> Taken {
        match (byte, self.open.last()) {
            (b',', Some(is_object)) => {
                out.extend_from_slice(b", ");
                self.mode = if *is_object { Mode::Key } else { Mode::Value };
            }
            (b':', Some(true)) => {
                out.extend_from_slice(b": ");
                self.mode = Mode::Value;
            }
            (b'}', Some(true)) | (b']', Some(false)) => return self.close(byte, out),
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            _ => return Taken::Broken,
        }
        Taken::Yes
    }

    fn close(&mut self, byte: u8, out: &mut Vec<u8>) -> Taken {
        out.push(byte);
        self.open.pop();
        self.ended();
        Taken::Yes
    }

    fn ended(&mut self) {
        self.mode = if self.open.is_empty() && !self.key { Mode::Done } else { Mode::Between };
        self.key = false;
    }

    fn end_word(&mut self, out: &mut Vec<u8>) -> bool {
        let word = json_word(&std::mem::take(&mut self.held));
        out.extend_from_slice(word.unwrap_or_default().as_bytes());
        self.ended();
        word.is_some()
    }

    fn quoted(&mut self, byte: u8, quote: u8, escaped: bool, out: &mut Vec<u8>) {
        self.mode = Mode::Quoted { quote, escaped: !escaped && byte == b'\\' };
        match (escaped, byte) {
            (true, b'n') => out.extend_from_slice(b"\\n"),
            (true, b'r') => out.extend_from_slice(b"\\r"),
            (true, b't') => out.extend_from_slice(b"\\t"),
            (true, b'\'' | b'"' | b'\\') => escape(byte, out),
            (true, b'x') => self.mode = Mode::Digits { quote, missing: 2 },
            (true, b'u') => self.mode = Mode::Digits { quote, missing: 4 },
            (true, b'U') => self.mode = Mode::Digits { quote, missing: 8 },
            // As in Python, a backslash before another character is one.
            (true, _) => {
                escape(b'\\', out);
                escape(byte, out);
            }
            (false, b'\\') => {}
            (false, _) if byte == quote => {
                out.push(b'"');
                self.ended();
            }
            (false, _) => escape(byte, out),
        }
    }

    /// A digit of the number of an escaped character.
    fn digit(&mut self, byte: u8, quote: u8, missing: u8, out: &mut Vec<u8>) -> Taken {
        if !byte.is_ascii_hexdigit() {
            return Taken::Broken;
        }
        self.held.push(byte);
        self.mode = Mode::Digits { quote, missing: missing - 1 };
        if missing == 1 {
            let digits = std::mem::take(&mut self.held);
            let number =
                std::str::from_utf8(&digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let Some(c) = number.and_then(char::from_u32) else { return Taken::Broken };
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(byte, out));
            self.mode = Mode::Quoted { quote, escaped: false };
        }
        Taken::Yes
    }

    fn delimited(&mut self, byte: u8, style: &Style, out: &mut Vec<u8>) -> Taken {
        let Style::Bare { delimiter } = style else { return Taken::Broken };
        self.held.push(byte);
        if self.mode == Mode::Opening {
            if self.held == delimiter.as_bytes() {
                self.held.clear();
                out.push(b'"');
                self.mode = Mode::Delimited;
            } else if !delimiter.as_bytes().starts_with(&self.held) {
                return Taken::Broken;
            }
            return Taken::Yes;
        }
        if release(&mut self.held, delimiter.as_bytes(), out) {
            out.push(b'"');
            self.ended();
        }
        Taken::Yes
    }
}

/// Writes the bytes of `held` that cannot begin `end`; true, and nothing held, if it is `end`.
pub(super) fn release(held: &mut Vec<u8>, end: &[u8], out: &mut Vec<u8>) -> bool {
    while !end.starts_with(held) {
        escape(held.remove(0), out);
    }
    let whole = held.len() == end.len();
    if whole {
        held.clear();
    }
    whole
}

/// Writes a byte of a string as JSON does.
pub(super) fn escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        _ => out.push(byte),
    }
}

/// Writes the text of a string as JSON.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    text.iter().for_each(|byte| escape(*byte, out));
    out.push(b'"');
}
