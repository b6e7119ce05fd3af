//! A tool's parameters, or the schema of a JSON answer, as a grammar and checks; what becomes of each
//! keyword.

use super::{
    Error, ToolSet, json,
    json_schema::{self, Compiled, KeyOrder, Line, Meaning, Options, Report, Status},
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    thread,
};

/// Schemas nest and refer to each other, and the compiler follows them.
const STACK_BYTES: usize = 64 << 20;

/// The schema of a tool's arguments, compiled when it is first needed.
#[derive(Clone, Debug)]
pub(super) struct Arguments {
    schema: Map<String, Value>,
    // For keys in any order, and in the schema's.
    compiled: Arc<[OnceLock<Compiled>; 2]>,
}

impl Arguments {
    pub(super) fn new(schema: Map<String, Value>) -> Arguments {
        Arguments { schema, compiled: Arc::default() }
    }

    pub(super) fn schema(&self) -> &Map<String, Value> {
        &self.schema
    }

    pub(super) fn compiled(&self, key_order: KeyOrder) -> Result<&Compiled, json_schema::Error> {
        let cell = &self.compiled[usize::from(key_order == KeyOrder::Schema)];
        if let Some(compiled) = cell.get() {
            return Ok(compiled);
        }
        let mut schema = self.schema.clone();
        // Arguments are an object, also where the schema does not say so.
        schema.entry("type").or_insert_with(|| "object".into());
        let options = Options { meaning: Meaning::Tool, key_order, ..Options::default() };
        let compiled = with_room(&Value::Object(schema), options)?;
        Ok(cell.get_or_init(|| compiled))
    }
}

impl PartialEq for Arguments {
    fn eq(&self, other: &Arguments) -> bool {
        self.schema == other.schema
    }
}

/// The schema of an answer that is one JSON value, in the standard's meaning.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    compiled: Compiled,
}

impl AnswerSchema {
    /// Compiles `schema`.
    ///
    /// # Errors
    /// [`Error::AnswerSchema`].
    pub fn new(schema: &Value, key_order: KeyOrder) -> Result<AnswerSchema, Error> {
        let options = Options { key_order, ..Options::default() };
        match with_room(schema, options) {
            Ok(compiled) => Ok(AnswerSchema { compiled }),
            Err(error) => Err(Error::AnswerSchema { source: Box::new(error) }),
        }
    }

    /// The grammar of the answer and its checks.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Holds a written answer against the whole schema, by a full validator.
    ///
    /// # Errors
    /// [`Error::Answer`] with the first thing that does not fit.
    pub fn check(&self, answer: &str) -> Result<(), Error> {
        let answer = json::parse_unique(answer)
            .map_err(|error| Error::Answer { problem: format!("it is not JSON ({error})") })?;
        match self.compiled.checks.failure(&answer) {
            Some(failure) => Err(Error::Answer { problem: failure.to_string() }),
            None => Ok(()),
        }
    }
}

fn with_room(schema: &Value, options: Options) -> Result<Compiled, json_schema::Error> {
    thread::scope(|scope| {
        let compile = || json_schema::compile(schema, options);
        match thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, compile) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => json_schema::compile(schema, options),
        }
    })
}

/// What becomes of each keyword of each tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The tools in their order.
    pub tools: Vec<ToolReport>,
}

/// What becomes of each keyword of one tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolReport {
    /// The tool's name.
    pub name: String,
    /// The weakest of its keywords.
    pub status: Status,
    /// The keywords by JSON pointer.
    pub keywords: Vec<Line>,
}

/// What becomes of each keyword of `tools`, those included that cannot be used.
pub fn explain(tools: &ToolSet, key_order: KeyOrder) -> Explanation {
    let tools = tools.iter().map(|tool| {
        let report = match tool.arguments.compiled(key_order) {
            Ok(compiled) => compiled.report.clone(),
            Err(error) => refused(error),
        };
        ToolReport { name: tool.name().to_owned(), status: report.status(), keywords: report.lines }
    });
    Explanation { tools: tools.collect() }
}

fn refused(error: json_schema::Error) -> Report {
    let message = error.to_string();
    match error {
        json_schema::Error::Refused { report, .. } => *report,
        json_schema::Error::Schema { pointer, message } => {
            refused_at(&pointer, "", message, Report::default())
        }
        json_schema::Error::AcceptsNothing { report } => refused_at("#", "", message, *report),
    }
}

fn refused_at(pointer: &str, keyword: &str, note: String, mut report: Report) -> Report {
    let (pointer, keyword) = (pointer.to_owned(), keyword.to_owned());
    report.lines.push(Line { pointer, keyword, status: Status::Refused, note });
    report
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["tool", "pointer", "keyword", "status", "note"].map(str::to_owned)];
        for tool in &self.tools {
            // Names, keys and notes may hold any character; a row is one line.
            let plain = |text: &str| text.replace(char::is_control, " ");
            for line in &tool.keywords {
                let status = line.status.to_string();
                rows.push([
                    plain(&tool.name),
                    plain(&line.pointer),
                    plain(&line.keyword),
                    status,
                    plain(&line.note),
                ]);
            }
            if tool.keywords.is_empty() {
                let note = "no keywords, so no arguments".to_owned();
                rows.push([plain(&tool.name), "#".into(), String::new(), tool.status.to_string(), note]);
            }
        }
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        let lines = rows.iter().map(|row| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  "));
            let line = cells.collect::<String>() + &row[4];
            line.trim_end().to_owned()
        });
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}
