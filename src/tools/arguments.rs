//! A tool's parameters as the grammar of its arguments, and what becomes of each keyword.

use super::{
    Error, Tool, ToolSet,
    json_schema::{self, Compiled, KeyOrder, Line, Meaning, Options, Report, Status},
};
use serde::Serialize;
use serde_json::Value;
use std::{fmt, sync::OnceLock, thread};

/// Schemas nest and refer to each other, and the compiler follows them.
const STACK_BYTES: usize = 64 << 20;

/// The arguments of one tool, compiled when they are first asked for.
pub(super) struct Arguments {
    tool: Tool,
    key_order: KeyOrder,
    compiled: OnceLock<Compiled>,
}

impl Arguments {
    pub(super) fn new(tool: &Tool, key_order: KeyOrder) -> Arguments {
        Arguments { tool: tool.clone(), key_order, compiled: OnceLock::new() }
    }

    /// The tool's name.
    pub(super) fn name(&self) -> &str {
        self.tool.name()
    }

    /// The rules of the arguments and their checks.
    ///
    /// # Errors
    /// [`Error::Parameters`].
    pub(super) fn compiled(&self) -> Result<&Compiled, Error> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let compiled = compile(&self.tool, self.key_order)?;
        Ok(self.compiled.get_or_init(|| compiled))
    }
}

/// Compiles the parameters of `tool`.
///
/// # Errors
/// [`Error::Parameters`] with the tool's name.
pub fn compile(tool: &Tool, key_order: KeyOrder) -> Result<Compiled, Error> {
    let mut schema = tool.parameters().clone();
    // Arguments are an object, also where the schema does not say so.
    schema.entry("type").or_insert_with(|| "object".into());
    let schema = Value::Object(schema);
    let options = Options { meaning: Meaning::Tool, key_order, ..Options::default() };
    with_room(&schema, options)
        .map_err(|error| Error::Parameters { tool: tool.name().to_owned(), source: Box::new(error) })
}

/// Compiles the schema of a plain JSON answer, in the standard's meaning.
///
/// # Errors
/// [`Error::AnswerSchema`].
pub fn compile_answer(schema: &Value, key_order: KeyOrder) -> Result<Compiled, Error> {
    with_room(schema, Options { key_order, ..Options::default() })
        .map_err(|error| Error::AnswerSchema { source: Box::new(error) })
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
        let report = match compile(tool, key_order) {
            Ok(compiled) => compiled.report,
            Err(Error::Parameters { source, .. }) => refused(*source),
            Err(other) => refused_at("#", "", other.to_string(), Report::default()),
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
