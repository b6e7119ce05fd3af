//! Ollama's Modelfile: the system text and the parameters.
//!
//! The format is in `docs/modelfile.md` of ollama/ollama: an instruction and its arguments a line; a text over several
//! lines stands between `"""`.

/// An instruction with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Its name, in capitals.
    pub(super) name: String,
    /// The rest, without quotes around it.
    pub(super) value: String,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// The instructions of Ollama; others are taken for something else than a Modelfile.
const KNOWN: &[&str] = &[
    "FROM",
    "PARAMETER",
    "TEMPLATE",
    "SYSTEM",
    "ADAPTER",
    "LICENSE",
    "MESSAGE",
    "RENDERER",
    "PARSER",
    "REQUIRES",
];

/// Reads the instructions of a Modelfile.
///
/// # Errors
/// The line that is no instruction, or a text without an end, and the reason as the end of a sentence.
pub(super) fn read(text: &str) -> Result<Vec<Instruction>, (usize, String)> {
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split('\n').enumerate();
    let mut found = Vec::new();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let name = name.to_ascii_uppercase();
        if !KNOWN.contains(&name.as_str()) {
            let shown: String = name.chars().take(40).collect();
            return Err((at + 1, format!("`{}` is no instruction of a Modelfile", shown.escape_debug())));
        }
        // In front of the text stand the role of a MESSAGE and the name of a PARAMETER.
        let rest = rest.trim_start();
        let quote = rest
            .find("\"\"\"")
            .filter(|quote| *quote == 0 || ["MESSAGE", "PARAMETER"].contains(&name.as_str()));
        let value = match quote {
            Some(quote) => {
                let (front, first) = (&rest[..quote], &rest[quote + 3..]);
                let body = quoted(first, &mut lines)
                    .ok_or_else(|| (at + 1, "begins a text with `\"\"\"` that has no end".to_owned()))?;
                format!("{front}{body}")
            }
            None => unquoted(rest).to_owned(),
        };
        found.push(Instruction { name, value, line: at + 1 });
    }
    Ok(found)
}

/// The text up to the closing quotes, which may lie on a later line.
fn quoted<'a>(first: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    if let Some(body) = first.strip_suffix("\"\"\"") {
        return Some(body.to_owned());
    }
    let mut body = first.to_owned();
    loop {
        let (_, line) = lines.next()?;
        body.push('\n');
        match line.trim_end().strip_suffix("\"\"\"") {
            Some(last) => return Some(body + last),
            None => body.push_str(line),
        }
    }
}

/// `text` without the double quotes around it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        read(text).unwrap().into_iter().map(|i| (i.name, i.value, i.line)).collect()
    }

    #[test]
    fn texts_are_read_with_and_without_quotes_and_over_lines() {
        let text = "# a comment\r\nfrom ./model\n\nSYSTEM \"\"\"You are\n  \"a\" clerk.\n\"\"\"\nPARAMETER stop \"<|im_end|>\"\n\
                    PARAMETER temperature 0\nSYSTEM \"short\"\nSYSTEM bare words\nMESSAGE user hello\nTEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n";
        let expected = [
            ("FROM", "./model", 2),
            ("SYSTEM", "You are\n  \"a\" clerk.\n", 4),
            ("PARAMETER", "stop \"<|im_end|>\"", 7),
            ("PARAMETER", "temperature 0", 8),
            ("SYSTEM", "short", 9),
            ("SYSTEM", "bare words", 10),
            ("MESSAGE", "user hello", 11),
            ("TEMPLATE", "{{ .Prompt }}", 12),
        ];
        let expected: Vec<_> = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c)).into();
        assert_eq!(values(text), expected);
    }

    #[test]
    fn a_text_without_an_end_and_a_line_that_is_no_instruction_are_refused_by_line() {
        assert_eq!(read("FROM x\nSYSTEM \"\"\"a\nb\n").unwrap_err().0, 2);
        let (line, problem) = read("FROM x\n\nhello there\n").unwrap_err();
        assert_eq!((line, problem.as_str()), (3, "`HELLO` is no instruction of a Modelfile"));
    }
}
