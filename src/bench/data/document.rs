//! Documents of a test set: JSON Lines, values over several lines, or one array of them. Wide numbers are kept as they
//! are written.

use super::case::LineError;
use crate::json;
use serde_json::Value;

/// A value of the test set.
#[derive(Debug)]
pub(super) struct Document {
    /// The line where it begins, counted from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) value: Value,
}

/// Reads the documents in `text`, in its order. Each is on a line of its own, or spread over several; a text that begins
/// with `[` is one array of them.
///
/// # Errors
/// The line and the problem.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, (usize, LineError)> {
    let mut reader = Reader { text, at: 0 };
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::new();
    reader.skip_white();
    let is_array = reader.rest().starts_with('[');
    if is_array {
        reader.at += 1;
    }
    loop {
        reader.skip_white();
        match reader.rest().bytes().next() {
            None if is_array => return Err(reader.error("the array of documents has no end")),
            None => return Ok(found),
            Some(b']') if is_array => {
                reader.at += 1;
                reader.skip_white();
                return match reader.rest().is_empty() {
                    true => Ok(found),
                    false => Err(reader.error("something stands behind the array of documents")),
                };
            }
            Some(_) => {}
        }
        line += text[counted..reader.at].matches('\n').count();
        counted = reader.at;
        let value = if is_array { reader.item()? } else { reader.own_lines()? };
        found.push(Document { line, value });
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        self.text[..self.at].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    fn skip_white(&mut self) {
        self.at = self.text.len() - self.rest().trim_ascii_start().len();
    }

    fn error(&self, problem: &str) -> (usize, LineError) {
        (self.line(), LineError::new(problem))
    }

    /// Reads the value on this line, or the value that begins here and ends with a later line.
    fn own_lines(&mut self) -> Result<Value, (usize, LineError)> {
        let line = first_line(self.rest());
        let error = match json::parse_last(line) {
            Ok(value) => {
                self.at += line.len();
                return Ok(value);
            }
            Err(error) => error,
        };
        if let Some((value, length)) = self.value().ok().filter(|_| error.is_eof()) {
            let behind = &self.rest()[length..];
            if first_line(behind).trim_ascii().is_empty() {
                self.at += length;
                return Ok(value);
            }
        }
        Err(self.invalid(&error))
    }

    /// Reads an item of the array, and the comma behind it.
    fn item(&mut self) -> Result<Value, (usize, LineError)> {
        let (value, length) = self.value().map_err(|error| self.invalid(&error))?;
        self.at += length;
        self.skip_white();
        match self.rest().bytes().next() {
            Some(b',') => {
                self.at += 1;
                Ok(value)
            }
            Some(b']') | None => Ok(value),
            Some(_) => Err(self.error("`,` or `]` was expected between the documents of the array")),
        }
    }

    /// The value that begins here, and its length in bytes.
    fn value(&self) -> Result<(Value, usize), serde_json::Error> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
        let value = values.next().unwrap_or_else(|| serde_json::from_str(""))?;
        let length = values.byte_offset();
        let text = &self.rest()[..length];
        let is_plain = !json::has_wide_literals(text) && !json::has_wide_numbers(&value);
        Ok((if is_plain { value } else { json::parse_exact(text)? }, length))
    }

    /// The error of a value that begins here, with one line number, that of the file.
    fn invalid(&self, error: &serde_json::Error) -> (usize, LineError) {
        let text = error.to_string();
        let cause = text.split(" at line ").next().unwrap_or_default();
        let before =
            if error.line() <= 1 { self.text[..self.at].lines().next_back().map_or(0, str::len) } else { 0 };
        let starts_line = self.text[..self.at].ends_with('\n');
        let column = error.column() + if starts_line { 0 } else { before };
        let problem = format!("not valid JSON: {cause}, at column {column}");
        (self.line() + error.line().saturating_sub(1), LineError::new(problem))
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String)> {
        let documents =
            documents(text).unwrap_or_else(|(line, error)| panic!("line {line}: {}", error.problem()));
        documents.into_iter().map(|document| (document.line, document.value.to_string())).collect()
    }

    #[test]
    fn one_a_line_over_several_lines_and_in_an_array_are_the_same_documents() {
        let values = |lines: [usize; 2]| {
            vec![(lines[0], "{\"a\":[1]}".to_owned()), (lines[1], "{\"b\":2}".to_owned())]
        };
        for (text, lines) in [
            ("{\"a\": [1]}\n{\"b\": 2}", [1, 2]),
            ("{\"a\": [1]}\r\n\r\n{\"b\": 2}\r\n", [1, 3]),
            ("{\n \"a\": [\n1\n]\n}\n{\"b\":\n2}\n", [1, 6]),
            ("[{\"a\": [1]}, {\"b\": 2}]", [1, 1]),
            ("\n[\n  {\n    \"a\": [1]\n  },\n  {\"b\": 2}\n]\n", [3, 6]),
        ] {
            assert_eq!(read(text), values(lines), "{text}");
        }
        assert_eq!(read(" \n"), []);
    }

    #[test]
    fn what_is_no_json_is_refused_by_its_line_in_the_file() {
        for (text, line, problem) in [
            ("{\"a\": 1}\n{\"a\": 1} x\n", 2, "trailing characters, at column 10"),
            ("{}\n\n{", 3, "EOF while parsing an object"),
            ("[\n{\"a\": 1},\n{\"a\" 1}\n]", 3, "expected `:`"),
            ("[\n{\"a\": 1}\n{\"b\": 1}\n]", 3, "`,` or `]` was expected"),
            ("[\n{\"a\": 1},\n", 3, "the array of documents has no end"),
            ("[\n{}\n]\n{}", 4, "something stands behind"),
            ("{\"a\":\n1} {}", 1, "EOF while parsing a value"),
        ] {
            let (at, error) = documents(text).unwrap_err();
            assert!(
                at == line && error.problem().contains(problem),
                "{text}: line {at}: {}",
                error.problem()
            );
        }
    }
}
