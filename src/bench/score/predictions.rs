//! Prediction files in the published format: one row a line with `answer`, `prediction` and optional scores.

mod graded;

pub use graded::{Graded, Verdict, grade};

use super::{
    confusion::{Confusion, NO_CALL},
    judge,
    metric::{self, JUDGE_PROXY_LABEL, JUDGE_PROXY_TOOLS, METRICS, Metric, Pair, Toolbox},
};
use crate::{
    bench::{
        Error,
        data::{
            CallError,
            json::{Json, Object},
        },
    },
    chat::{Conversation, Message},
};
use indexmap::IndexMap;
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::Path};

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

/// Scores of a file, and their comparison with the scores in the file.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Version of this JSON format.
    pub schema_version: u32,
    /// The file's name.
    pub file: String,
    /// Number of rows.
    pub rows: usize,
    /// One summary for each metric.
    pub metrics: Vec<Summary>,
    /// Scores that differ from those in the file at ten decimals.
    pub differences: Vec<Difference>,
    /// Predictions that are not a call, by cause.
    pub rejected: BTreeMap<CallError, usize>,
    /// Lines whose reference is not a call; they score 0.
    pub references_without_call: Vec<usize>,
    /// Called functions by ground-truth function.
    pub confusion: Confusion,
    /// Verdicts of a judge, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Graded>,
}

/// A metric over all rows of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The metric's name.
    pub name: &'static str,
    /// Description of the metric.
    pub about: &'static str,
    /// Mean over the rows that the metric applies to; `None` for the published judge.
    pub mean: Option<f64>,
    /// Number of those rows.
    pub rows: usize,
    /// Mean of the scores in the file.
    pub published_mean: Option<f64>,
    /// Number of rows with a score in the file.
    pub published_rows: usize,
    /// Rows among them where both scores are equal at ten decimals; `None` for the published judge.
    pub agreeing_rows: Option<usize>,
}

/// A score that differs from the one in the file.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The line.
    pub line: usize,
    /// The metric.
    pub metric: &'static str,
    /// The recomputed score.
    pub score: f64,
    /// The score in the file.
    pub published: f64,
}

/// Scores rows by every metric that applies; `tools` supply defaults and schemas.
pub fn score(file: &str, rows: &[Prediction], tools: Option<&Toolbox>) -> Scored {
    let pairs: Vec<Pair<'_>> = rows
        .iter()
        .map(|row| Pair::new(&row.answer, &row.prediction, row.raw_output.as_deref(), tools))
        .collect();
    let mut confusion = Confusion::default();
    let mut rejected: BTreeMap<CallError, usize> = BTreeMap::new();
    for pair in &pairs {
        if let Ok(gold) = &pair.gold {
            confusion.add(gold, &pair.predicted);
        }
        // The raw output tells the cause; an emptied prediction has lost it.
        if let Err(cause) = pair.predicted {
            *rejected.entry(pair.raw.err().unwrap_or(cause)).or_default() += 1;
        }
    }
    // The proxy was fitted to one set of tools, and its scores are meaningless with another.
    let proxy_applies = pairs
        .iter()
        .filter_map(|pair| pair.gold.as_ref().ok())
        .all(|gold| JUDGE_PROXY_TOOLS.contains(&&*gold.name));
    let mut differences = Vec::new();
    let mut metrics: Vec<Summary> = METRICS
        .iter()
        .filter(|metric| proxy_applies || metric.name() != "judge_proxy")
        // Verdicts of an LLM judge are added by `with_verdicts`.
        .filter(|metric| metric.name() != judge::METRIC)
        .map(|metric| summary(*metric, rows, &pairs, &mut differences))
        .collect();
    let judged: Vec<f64> = rows.iter().filter_map(|row| row.scores.get(JUDGE_COLUMN).copied()).collect();
    if !judged.is_empty() {
        metrics.push(Summary {
            name: JUDGE_COLUMN,
            about: "the verdicts in the file; an LLM gave them, so they are only averaged here",
            mean: None,
            rows: 0,
            published_mean: mean(&judged),
            published_rows: judged.len(),
            agreeing_rows: None,
        });
    }
    differences.sort_by_key(|difference: &Difference| difference.line);
    Scored {
        schema_version: 1,
        file: file.to_owned(),
        rows: rows.len(),
        metrics,
        differences,
        rejected,
        references_without_call: rows
            .iter()
            .zip(&pairs)
            .filter(|(_, pair)| pair.gold.is_err())
            .map(|(row, _)| row.line)
            .collect(),
        confusion,
        judge: None,
    }
}

fn summary(
    metric: &'static dyn Metric,
    rows: &[Prediction],
    pairs: &[Pair<'_>],
    differences: &mut Vec<Difference>,
) -> Summary {
    let mut scores = Vec::new();
    let mut published = Vec::new();
    let mut agreeing = 0;
    for (row, pair) in rows.iter().zip(pairs) {
        let Some(score) = metric.score(pair) else { continue };
        scores.push(score);
        let Some(theirs) = row.scores.get(metric.name()).copied() else { continue };
        published.push(theirs);
        match metric::agree(score, theirs) {
            true => agreeing += 1,
            false => {
                differences.push(Difference {
                    line: row.line,
                    metric: metric.name(),
                    score,
                    published: theirs,
                });
            }
        }
    }
    Summary {
        name: metric.name(),
        about: metric.about(),
        mean: mean(&scores),
        rows: scores.len(),
        published_mean: mean(&published),
        published_rows: published.len(),
        agreeing_rows: (!published.is_empty()).then_some(agreeing),
    }
}

/// Arithmetic mean; `None` for an empty slice.
fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// Maximum number of differences in the text output; `--json` has them all.
const SHOWN_DIFFERENCES: usize = 20;

/// Maximum number of functions in a table; `--json` has them all.
const SHOWN_FUNCTIONS: usize = 16;

/// Maximum number of characters of a function's name in a table.
const SHOWN_LETTERS: usize = 40;

impl fmt::Display for Scored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let four = |value: Option<f64>| value.map_or("—".into(), |value| format!("{value:.4}"));
        writeln!(f, "{}: {} {}\n", self.file, self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        writeln!(f, "{:<22}{:>8}{:>8}{:>11}{:>10}", "metric", "rows", "mean", "published", "agree")?;
        for metric in &self.metrics {
            let agree =
                metric.agreeing_rows.map_or("—".into(), |n| format!("{n}/{}", metric.published_rows));
            let rows = if metric.rows == 0 { metric.published_rows } else { metric.rows };
            writeln!(
                f,
                "{:<22}{rows:>8}{:>8}{:>11}{agree:>10}",
                metric.name,
                four(metric.mean),
                four(metric.published_mean)
            )?;
        }
        self.write_confusion(f)?;
        if !self.rejected.is_empty() {
            let causes: Vec<String> = self.rejected.iter().map(|(cause, n)| format!("{n} {cause}")).collect();
            writeln!(f, "\nno call: {}", causes.join(", "))?;
        }
        if let Some(first) = self.references_without_call.first() {
            let n = self.references_without_call.len();
            writeln!(f, "\nthe reference of {n} rows is no call (the first on line {first}); they score 0")?;
        }
        if !self.differences.is_empty() {
            writeln!(f, "\n{:<8}{:<22}{:>14}{:>14}", "line", "metric", "score", "published")?;
            for d in self.differences.iter().take(SHOWN_DIFFERENCES) {
                writeln!(f, "{:<8}{:<22}{:>14.10}{:>14.10}", d.line, d.metric, d.score, d.published)?;
            }
            if let more @ 1.. = self.differences.len().saturating_sub(SHOWN_DIFFERENCES) {
                writeln!(f, "... and {more} more; the JSON report lists them all")?;
            }
        }
        if self.metrics.iter().any(|metric| metric.name == "judge_proxy") {
            write!(f, "\njudge_proxy: {JUDGE_PROXY_LABEL}")?;
        }
        if let Some(graded) = &self.judge {
            if let Some(interval) = graded.interval {
                write!(
                    f,
                    "\n{}: {:.4} to {:.4} is the 95 % interval of its mean, conversations drawn ({} draws, seed {}).",
                    judge::METRIC,
                    interval.low,
                    interval.high,
                    graded.draws,
                    graded.seed
                )?;
            }
            write!(f, "\n{}", graded.summary.words())?;
        }
        Ok(())
    }
}

impl Scored {
    /// Adds the verdicts of a judge.
    pub fn with_verdicts(mut self, graded: Graded) -> Scored {
        let about = metric::named(judge::METRIC).map_or("", |metric| metric.about());
        self.metrics.push(Summary {
            name: judge::METRIC,
            about,
            mean: graded.mean,
            rows: graded.summary.rows - graded.summary.without_verdict,
            published_mean: None,
            published_rows: 0,
            agreeing_rows: None,
        });
        self.judge = Some(graded);
        self
    }

    fn write_confusion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = self.confusion.called();
        let functions = called.len().max(self.confusion.rows.len());
        if functions > SHOWN_FUNCTIONS {
            return writeln!(
                f,
                "\n{functions} functions are too many for a table of which was called; the JSON report has it"
            );
        }
        // Names come from the file, and a terminal interprets control characters.
        let printable = |name: &str| -> String {
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            let mut text: String = name.chars().map(plain).take(SHOWN_LETTERS).collect();
            text.extend((name.chars().count() > SHOWN_LETTERS).then_some('…'));
            text
        };
        let shown = |name: &str| match name {
            NO_CALL => "(no call)".to_owned(),
            name => printable(name),
        };
        let first =
            self.confusion.rows.keys().map(|name| printable(name).chars().count()).max().unwrap_or(0).max(14)
                + 2;
        write!(f, "\n{:<first$}", "right, called")?;
        for name in &called {
            write!(f, "  {}", shown(name))?;
        }
        for gold in self.confusion.rows.keys() {
            write!(f, "\n{:<first$}", printable(gold))?;
            for name in &called {
                write!(f, "  {:>1$}", self.confusion.count(gold, name), shown(name).chars().count())?;
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
