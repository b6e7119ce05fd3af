//! Report for the authors of tools: the treatment of each schema keyword.

use super::{Error, ToolSet, arguments::AnswerSchema};
use crate::display::{Align, Table};
use crate::schema::{self, KeyOrder, Line, Report, Status, notation::Notation};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Name of a JSON answer among tools.
const ANSWER: &str = "answer";

/// The treatment of each keyword of each tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The tools in their order.
    pub tools: Vec<ToolReport>,
}

/// The treatment of each keyword of one tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolReport {
    /// The tool's name.
    pub name: String,
    /// The weakest status of its keywords.
    pub status: Status,
    /// The keywords, sorted by JSON pointer.
    pub keywords: Vec<Line>,
    /// Pointers of the objects whose keys are written in the schema's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_order: Vec<String>,
}

/// Reports the treatment of each keyword of `tools`, also of tools that cannot be used.
pub fn explain(tools: &ToolSet, key_order: KeyOrder) -> Explanation {
    explain_in(tools, key_order, &Notation::default())
}

/// As [`explain`], for arguments that are written in `notation`.
pub fn explain_in(tools: &ToolSet, key_order: KeyOrder, notation: &Notation) -> Explanation {
    let tools = tools.iter().map(|tool| {
        let mut report = match tool.compiled_in(key_order, notation) {
            Ok(compiled) => compiled.report.clone(),
            Err(Error::Parameters { source, .. }) => refused(*source),
            Err(other) => refused_at("#", "", other.to_string(), Report::default()),
        };
        if !tool.parameters().contains_key("type") {
            // The implied `type` of the arguments is not part of the tool.
            report.lines.retain(|line| (line.pointer.as_str(), line.keyword.as_str()) != ("#", "type"));
        }
        ToolReport::new(tool.name(), report)
    });
    Explanation { tools: tools.collect() }
}

/// Reports the treatment of each keyword of a JSON answer's schema, as if it were a tool called `answer`.
pub fn explain_answer(schema: &Value, key_order: KeyOrder) -> Explanation {
    let report = match AnswerSchema::new(schema, key_order) {
        Ok(schema) => return explain_compiled(&schema),
        Err(Error::AnswerSchema { source }) => refused(*source),
        Err(other) => refused_at("#", "", other.to_string(), Report::default()),
    };
    Explanation { tools: vec![ToolReport::new(ANSWER, report)] }
}

/// As [`explain_answer`], for a schema that can be used.
pub fn explain_compiled(schema: &AnswerSchema) -> Explanation {
    Explanation { tools: vec![ToolReport::new(ANSWER, schema.compiled().report.clone())] }
}

impl Explanation {
    /// The weakest status of any keyword.
    pub fn status(&self) -> Status {
        self.tools.iter().map(|tool| tool.status).max().unwrap_or(Status::Enforced)
    }
}

impl ToolReport {
    fn new(name: &str, report: Report) -> ToolReport {
        let status = report.status();
        ToolReport { name: name.to_owned(), status, keywords: report.lines, in_order: report.in_order }
    }
}

fn refused(error: schema::Error) -> Report {
    let message = error.to_string();
    match error {
        schema::Error::Refused { report, .. } => *report,
        schema::Error::Schema { pointer, message } => refused_at(&pointer, "", message, Report::default()),
        schema::Error::AcceptsNothing { report } => refused_at("#", "", message, *report),
    }
}

fn refused_at(pointer: &str, keyword: &str, note: String, mut report: Report) -> Report {
    let (pointer, keyword) = (pointer.to_owned(), keyword.to_owned());
    report.lines.push(Line { pointer, keyword, status: Status::Refused, note });
    report
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["tool", "pointer", "keyword", "status", "note"], &[Align::Left; 5]);
        for tool in &self.tools {
            // Names, keys and notes may contain any character; a row is one line.
            let plain = |text: &str| text.replace(char::is_control, " ");
            for line in &tool.keywords {
                let status = line.status.to_string();
                let in_order = line.keyword == "properties" && tool.in_order.contains(&line.pointer);
                let note = if in_order { "keys in the schema's order" } else { &line.note };
                table.row([
                    plain(&tool.name),
                    plain(&line.pointer),
                    plain(&line.keyword),
                    status,
                    plain(note),
                ]);
            }
            if tool.keywords.is_empty() {
                let note = "no keywords, so no arguments".to_owned();
                table.row([plain(&tool.name), "#".into(), String::new(), tool.status.to_string(), note]);
            }
        }
        write!(f, "{table}")
    }
}
