//! Prediction files in the published format: one row a line with `answer`, `prediction` and optional scores.

mod calibration;
mod graded;
mod scored;
mod table;

pub use calibration::{Agreement, Calibration, VerdictCounts, calibrate};
pub use graded::{Graded, Verdict, grade};
pub use scored::{Difference, Scored, Summary, score};

use crate::{
    bench::{
        Error,
        data::json::{Json, Object},
    },
    chat::{Conversation, Message},
};
use indexmap::IndexMap;
use std::path::Path;

/// Columns whose scores can be recomputed.
const SCORE_COLUMNS: [&str; 5] =
    ["rouge", "binary_tool_call", "tool_call_equivalence", "staged_tool_call", "judge_proxy"];

/// Column of the published judge's verdicts, which cannot be recomputed.
pub const JUDGE_COLUMN: &str = "llm-as-a-judge";

/// One row of a file.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The line, counted from 1.
    pub line: usize,
    /// Messages before the call, as JSON, if the file has them.
    pub question: Option<String>,
    /// The reference call.
    pub answer: String,
    /// The model's call; empty if it made none.
    pub prediction: String,
    /// The model's raw output, if the file has it (`raw_output`).
    pub raw_output: Option<String>,
    /// Scores in the file by column, without missing, null and NaN values.
    pub scores: IndexMap<&'static str, f64>,
}

impl Prediction {
    /// Parses the messages before the call; `path` is used in errors.
    ///
    /// # Errors
    /// [`Error::Line`] if the file does not have them.
    pub fn messages(&self, path: &Path) -> Result<Vec<Message>, Error> {
        let wrong = |problem: &str, source| Error::Line {
            path: path.to_path_buf(),
            line: self.line,
            problem: problem.into(),
            source,
        };
        let text = self.question.as_ref();
        let text =
            text.ok_or_else(|| wrong("`question` is missing, and a judge needs the conversation", None))?;
        let conversation = Conversation::parse(text.as_bytes());
        Ok(conversation.map_err(|e| wrong("`question` holds no messages", Some(Box::new(e) as _)))?.messages)
    }
}

/// Reads rows and skips blank lines. `path` is used in errors.
///
/// # Errors
/// [`Error::Line`] with the line and field that is wrong; [`Error::File`] if there are no rows.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Vec<Prediction>, Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem: String, source| Error::Line {
            path: path.to_path_buf(),
            line: index + 1,
            problem,
            source,
        };
        let line = std::str::from_utf8(line)
            .map_err(|e| wrong("is not UTF-8; save the file as UTF-8".into(), Some(Box::new(e) as _)))?;
        if line.trim().is_empty() {
            continue;
        }
        let value = Json::parse(line).map_err(|e| wrong("not valid JSON".into(), Some(Box::new(e) as _)))?;
        let Some(fields) = value.as_object() else {
            return Err(wrong(
                format!(
                    "is {}; one JSON object a line is expected (`jq -c '.[]'` makes that of a list)",
                    value.type_name()
                ),
                None,
            ));
        };
        rows.push(row(index + 1, fields).map_err(|problem| wrong(problem, None))?);
    }
    if rows.is_empty() {
        return Err(Error::File {
            path: path.to_path_buf(),
            problem: "there are no rows in it; one JSON object a line is expected".into(),
            source: None,
        });
    }
    Ok(rows)
}

fn row(line: usize, fields: &Object) -> Result<Prediction, String> {
    let text = |key: &str| match fields.get(key) {
        Some(Json::Text(text)) => Ok(Some(text.clone())),
        // pandas writes an empty cell as null or NaN.
        Some(Json::Null) => Ok(None),
        Some(Json::Float(float)) if float.is_nan() => Ok(None),
        Some(other) => Err(format!("`{key}` is {}, not a string", other.type_name())),
        None => Err(format!("`{key}` is missing")),
    };
    let raw_output = if fields.contains_key("raw_output") { text("raw_output")? } else { None };
    let mut scores = IndexMap::new();
    for column in SCORE_COLUMNS.into_iter().chain([JUDGE_COLUMN]) {
        match fields.get(column) {
            None | Some(Json::Null) => {}
            Some(value) => match value.as_number() {
                Some(score) if score.is_nan() => {}
                Some(score) if score.is_infinite() => {
                    return Err(format!("`{column}` is infinite, and no score is"));
                }
                Some(score) => {
                    scores.insert(column, score);
                }
                None => return Err(format!("`{column}` is {}, not a number", value.type_name())),
            },
        }
    }
    Ok(Prediction {
        line,
        question: fields.get("question").and_then(Json::as_text).map(str::to_owned),
        answer: text("answer")?.ok_or("`answer` is null, and there is nothing to compare with")?,
        prediction: text("prediction")?.unwrap_or_default(),
        raw_output,
        scores,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{data::CallError, score::confusion::NO_CALL};

    fn rows(text: &str) -> Result<Vec<Prediction>, String> {
        read(Path::new("p.jsonl"), text.as_bytes()).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }

    #[test]
    fn rows_are_read_as_pandas_writes_them() {
        let text = "\u{feff}\n{\"rouge\":NaN,\"llm-as-a-judge\":null,\"staged_tool_call\":1,\"binary_tool_call\":true,\
                    \"answer\":\"<\\/a>\",\"prediction\":NaN,\"context\":\"<NA>\",\"raw_output\":\"\\ud83d x\"}\r\n \n";
        let rows = rows(text).unwrap();
        assert_eq!((rows.len(), rows[0].line), (1, 2));
        assert_eq!((&*rows[0].answer, &*rows[0].prediction), ("</a>", ""));
        assert_eq!(rows[0].raw_output.as_deref(), Some("\u{fffd} x"));
        assert_eq!(
            rows[0].scores.iter().collect::<Vec<_>>(),
            [(&"binary_tool_call", &1.0), (&"staged_tool_call", &1.0)]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = r#"{"answer": "", "prediction": ""}"#;
        for (text, expected) in [
            (
                format!("{good}\n{{"),
                "line 2: not valid JSON: the text ends early: a key was expected at byte 1",
            ),
            (format!("{good}\n\n[1]"), "line 3: is an array; one JSON object a line"),
            ("{}".into(), "line 1: `answer` is missing"),
            (r#"{"answer": null, "prediction": ""}"#.into(), "`answer` is null"),
            (r#"{"answer": ""}"#.into(), "`prediction` is missing"),
            (r#"{"answer": "", "prediction": {}}"#.into(), "`prediction` is an object, not a string"),
            (
                r#"{"answer": "", "prediction": "", "rouge": "0.5"}"#.into(),
                "`rouge` is a string, not a number",
            ),
            (
                r#"{"answer": "", "prediction": "", "rouge": -1e999}"#.into(),
                "`rouge` is infinite, and no score is",
            ),
            ("\n \n".into(), "p.jsonl: there are no rows"),
        ] {
            let message = rows(&text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let error = read(Path::new("p.jsonl"), b"\xff").unwrap_err();
        assert!(error.to_string().contains("line 1: is not UTF-8"), "{error}");
    }

    #[test]
    fn names_of_functions_are_shown_without_what_a_terminal_obeys_and_only_if_they_fit() {
        let shown = |names: &[String]| {
            let row = |name: &String| {
                let call = serde_json::json!({"name": name, "arguments": {}}).to_string();
                serde_json::json!({"answer": call, "prediction": call}).to_string()
            };
            let text: Vec<String> = names.iter().map(row).collect();
            score("p.jsonl", &rows(&text.join("\n")).unwrap(), None).to_string()
        };
        let hostile = shown(&["\u{1b}[31m\n\0".into(), "n".repeat(5000)]);
        assert!(hostile.contains("\u{fffd}[31m\u{fffd}\u{fffd}"), "{hostile}");
        assert!(
            !hostile.contains(['\u{1b}', '\0']) && hostile.lines().all(|line| line.chars().count() < 200)
        );
        let many: Vec<String> = (0..400).map(|i| format!("f{i}")).collect();
        assert!(shown(&many).contains("400 functions are too many for a table"));
    }

    #[test]
    fn scores_that_differ_are_listed_and_missing_verdicts_leave_the_mean() {
        let call = r#"{\"name\": \"f\", \"arguments\": {}}"#;
        let text = format!(
            "{{\"answer\": \"{call}\", \"prediction\": \"{call}\", \"rouge\": 1.0, \"staged_tool_call\": 0.75, \"llm-as-a-judge\": 1}}\n\
             {{\"answer\": \"{call}\", \"prediction\": \"\", \"rouge\": 0.0, \"llm-as-a-judge\": NaN}}"
        );
        let scored = score("p.jsonl", &rows(&text).unwrap(), None);
        let named = |name: &str| scored.metrics.iter().find(|metric| metric.name == name);
        assert_eq!(named("rouge").unwrap().agreeing_rows, Some(2));
        assert_eq!(named("staged_tool_call").unwrap().agreeing_rows, Some(0));
        assert_eq!(named("llm-as-a-judge").unwrap().published_mean, Some(1.0));
        assert_eq!(named("schema_validity").unwrap().mean, None);
        assert!(named("judge_proxy").is_none(), "it knows nothing about a tool `f`");
        assert_eq!((scored.differences.len(), scored.differences[0].line), (1, 1));
        assert_eq!(scored.rejected.iter().collect::<Vec<_>>(), [(&CallError::Empty, &1)]);
        assert_eq!(scored.confusion.count("f", NO_CALL), 1);
    }
}
