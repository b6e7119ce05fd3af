//! Values to text, in every encoding.

use super::{Elements, Encoding, JsonStyle, Nested, ValueType};
use crate::{
    chat::{is_printable_in_python, python_float},
    json,
};
use serde_json::Value;
use std::fmt::Write;

impl ValueType {
    /// The type of `value`.
    pub fn from_value(value: &Value) -> ValueType {
        match value {
            Value::String(_) if json::wide_number(value).is_some() => ValueType::Number,
            Value::String(_) => ValueType::String,
            Value::Number(_) => ValueType::Number,
            Value::Bool(_) => ValueType::Boolean,
            Value::Null => ValueType::Null,
            Value::Array(_) => ValueType::Array,
            Value::Object(_) => ValueType::Object,
        }
    }
}

impl Encoding {
    /// The text of `value`, as a template writes it; `None` for a value that is left out.
    pub fn write(&self, value: &Value) -> Option<String> {
        let text = json::string_text(value);
        Some(match self {
            Encoding::Omitted => return None,
            Encoding::Raw => text.map_or_else(|| json_text(value, JsonStyle::Spaced), str::to_owned),
            Encoding::RawTrimmed => {
                text.map_or_else(|| json_text(value, JsonStyle::Spaced), |text| text.trim().to_owned())
            }
            Encoding::RawOrCdata => match text {
                Some(text) if text.contains(['<', '&', '\n']) => format!("<![CDATA[{text}]]>"),
                Some(text) => text.to_owned(),
                None => json_text(value, JsonStyle::Spaced),
            },
            Encoding::Json(style) => json_text(value, *style),
            Encoding::Python => python(value),
            Encoding::Delimited { delimiter } => match text {
                Some(text) => format!("{delimiter}{text}{delimiter}"),
                None => json_text(value, JsonStyle::Spaced),
            },
            Encoding::PythonString { escaped } => match text {
                Some(text) if *escaped => quoted(text, '\''),
                Some(text) => format!("'{text}'"),
                None => python(value),
            },
            Encoding::Nested(nested) => {
                let mut out = String::new();
                write_nested(&mut out, value, nested);
                out
            }
            Encoding::Elements(elements) => {
                let mut out = String::new();
                write_elements(&mut out, value, elements);
                out
            }
        })
    }
}

/// JSON text of `value`; numbers as Python prints them, or as they were written if `value` says how.
pub fn json_text(value: &Value, style: JsonStyle) -> String {
    let (by, base) = match style {
        JsonStyle::Indented { by, base } => (Some(usize::from(by)), usize::from(base)),
        _ => (None, 0),
    };
    let (comma, colon) = match style {
        JsonStyle::Compact => (",", ":"),
        JsonStyle::Indented { .. } => (",", ": "),
        _ => (", ", ": "),
    };
    let mut writer = JsonWriter {
        out: String::new(),
        comma,
        colon,
        by,
        base,
        ascii: style == JsonStyle::Ascii,
        sorted: style == JsonStyle::Sorted,
    };
    writer.value(value, 0);
    writer.out
}

struct JsonWriter {
    out: String,
    comma: &'static str,
    colon: &'static str,
    by: Option<usize>,
    base: usize,
    ascii: bool,
    sorted: bool,
}

impl JsonWriter {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Array(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Object(members) if members.is_empty() => self.out.push_str("{}"),
            Value::Array(items) => {
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.before(i, level + 1);
                    self.value(item, level + 1);
                }
                self.line(level);
                self.out.push(']');
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sorted {
                    members.sort_by(|a, b| a.0.cmp(b.0));
                }
                self.out.push('{');
                for (i, (key, member)) in members.into_iter().enumerate() {
                    self.before(i, level + 1);
                    self.string(key);
                    self.out.push_str(self.colon);
                    self.value(member, level + 1);
                }
                self.line(level);
                self.out.push('}');
            }
            other => match json::string_text(other) {
                Some(text) => self.string(text),
                None => self.out.push_str(&scalar(other, ["null", "true", "false"])),
            },
        }
    }

    fn before(&mut self, i: usize, level: usize) {
        if i > 0 {
            self.out.push_str(self.comma);
        }
        self.line(level);
    }

    fn line(&mut self, level: usize) {
        if let Some(by) = self.by {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', self.base + by * level));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{c}' => self.out.push_str("\\f"),
                '\u{8}' => self.out.push_str("\\b"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// The text of a number, null or boolean; `words` are null, true and false.
fn scalar(value: &Value, words: [&str; 3]) -> String {
    match value {
        Value::Bool(true) => words[1].to_owned(),
        Value::Bool(false) => words[2].to_owned(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => python_float(float),
            None => number.to_string(),
        },
        _ => json::wide_number(value).unwrap_or(words[0]).to_owned(),
    }
}

/// `repr(value)` of Python.
pub fn python(value: &Value) -> String {
    let mut out = String::new();
    write_python(&mut out, value);
    out
}

fn write_python(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_python(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push_str(&python_string(key));
                out.push_str(": ");
                write_python(out, member);
            }
            out.push('}');
        }
        other => match json::string_text(other) {
            Some(text) => out.push_str(&python_string(text)),
            None => out.push_str(&scalar(other, ["None", "True", "False"])),
        },
    }
}

/// `repr(text)` of Python.
fn python_string(text: &str) -> String {
    quoted(text, if text.contains('\'') && !text.contains('"') { '"' } else { '\'' })
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable_in_python(c) => out.push(c),
            c => {
                let _ = match c as u32 {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Members in the order of Jinja's `dictsort`.
pub(super) fn by_lower_case<V>(members: &mut [(&String, V)]) {
    members.sort_by_cached_key(|(key, _)| key.to_lowercase());
}

fn write_nested(out: &mut String, value: &Value, nested: &Nested) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_nested(out, item, nested);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if nested.sorted {
                by_lower_case(&mut members);
            }
            out.push('{');
            for (i, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(key);
                out.push(':');
                write_nested(out, member, nested);
            }
            out.push('}');
        }
        other => match json::string_text(other) {
            Some(text) => {
                out.push_str(&nested.delimiter);
                out.push_str(text);
                out.push_str(&nested.delimiter);
            }
            None => out.push_str(&scalar(other, [&nested.null, "true", "false"])),
        },
    }
}

fn write_elements(out: &mut String, value: &Value, elements: &Elements) {
    let Elements { item, before_tag, python, drops_null } = elements;
    let mut element = |name: &str, value: &Value| {
        let _ = write!(out, "{before_tag}<{name}>");
        write_elements(out, value, elements);
        let _ = write!(out, "{before_tag}</{name}>");
    };
    match value {
        Value::Array(items) => {
            items
                .iter()
                .filter(|value| !drops_null || !value.is_null())
                .for_each(|value| element(item, value));
        }
        Value::Object(members) => {
            members.iter().filter(|(_, value)| !value.is_null()).for_each(|(key, value)| element(key, value));
        }
        other => match json::string_text(other) {
            Some(text) => out.push_str(text),
            None if *python => out.push_str(&scalar(other, ["None", "True", "False"])),
            None => out.push_str(&scalar(other, ["null", "true", "false"])),
        },
    }
}

/// `text` with the characters escaped that end an attribute.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_written_in_each_style_of_json() {
        let value = json!({"b": [1.0, "ü\u{1}\"\n🙂"], "a": {}, "c": {"k": null, "a": true}});
        for (style, expected) in [
            (JsonStyle::Spaced, r#"{"b": [1.0, "ü\u0001\"\n🙂"], "a": {}, "c": {"k": null, "a": true}}"#),
            (JsonStyle::Compact, r#"{"b":[1.0,"ü\u0001\"\n🙂"],"a":{},"c":{"k":null,"a":true}}"#),
            (
                JsonStyle::Ascii,
                r#"{"b": [1.0, "\u00fc\u0001\"\n\ud83d\ude42"], "a": {}, "c": {"k": null, "a": true}}"#,
            ),
            (JsonStyle::Sorted, r#"{"a": {}, "b": [1.0, "ü\u0001\"\n🙂"], "c": {"a": true, "k": null}}"#),
        ] {
            assert_eq!(json_text(&value, style), expected);
        }
        let indented = JsonStyle::Indented { by: 2, base: 4 };
        assert_eq!(
            json_text(&json!({"a": [1], "b": []}), indented),
            "{\n      \"a\": [\n        1\n      ],\n      \"b\": []\n    }"
        );
    }

    #[test]
    fn values_are_written_as_python_prints_them() {
        let value = json!({"it's": ["a'b", "a\"b", "a'\"b", "\u{2028}\u{7f}🙂\u{200d}"], "n": [null, false, 1e300, 7]});
        assert_eq!(
            python(&value),
            r#"{"it's": ["a'b", 'a"b', 'a\'"b', '\u2028\x7f🙂\u200d'], 'n': [None, False, 1e+300, 7]}"#
        );
    }

    #[test]
    fn containers_with_bare_keys_are_sorted_case_blind() {
        let nested = Nested { delimiter: "<q>".into(), null: "None".into(), sorted: true };
        let value = json!({"b": "x", "A": [1.5, null, {}], "c": {"k": ""}});
        assert_eq!(
            Encoding::Nested(nested).write(&value).unwrap(),
            "{A:[1.5,None,{}],b:<q>x<q>,c:{k:<q><q>}}"
        );
    }

    #[test]
    fn literals_of_numbers_are_kept() {
        let value = json::parse_literal("[1.50, 1e3, 12345678901234567890123, -0.0]").unwrap();
        assert_eq!(json_text(&value, JsonStyle::Compact), "[1.50,1e3,12345678901234567890123,-0.0]");
    }
}
