//! The report as Markdown, for an issue or a README.

use super::{Exporter, table::Table, tables};
use crate::bench::report::{Report, words::count};

/// Exporter of GitHub-flavoured Markdown.
pub struct Markdown;

impl Exporter for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn export(&self, report: &Report) -> String {
        let mut out = String::from("# Benchmark\n\n");
        out += &report.nothing_to_compare().map_or(String::new(), |words| format!("**{words}**\n\n"));
        for verdict in &report.verdicts {
            out += &format!("**{}** (mode `{}`)\n\n", escaped(&verdict.sentence), verdict.mode);
            for found in report.findings(verdict) {
                out += &format!("- {}: {}\n", escaped(found.name), escaped(&found.words));
            }
            out.push('\n');
        }
        out += &table(&tables::variants(report));
        out += &list(&report.definitions());
        out += &table(&if report.labelled { tables::differences(report) } else { tables::distances(report) });
        out += &table(&tables::costs(report));
        out += &table(&tables::noise_floor(report));
        out += &table(&tables::constraints(report));
        let metrics = tables::metrics(report);
        if !metrics.is_empty() {
            out += "## All metrics\n\n";
            out += &table(&metrics);
            out += &list(&report.further_definitions());
        }
        out += "## Notes\n\n";
        for note in &report.notes {
            out += &format!("- {}\n", escaped(note));
        }
        out += &format!(
            "- {} of {}; test set `{}`, job `{}`.\n",
            count(report.cases, "call"),
            count(report.conversations, "conversation"),
            report.data.test_md5,
            report.data.job_sha256
        );
        for start in &report.environment {
            out += &format!("\n```sh\n{}\n```\n\n", start.command.join(" ").replace("```", "` ` `"));
            for (name, value) in &start.environment {
                out += &format!("- {}: {}\n", escaped(name), escaped(value));
            }
        }
        out
    }
}

/// Formats a table and an empty line; nothing if it has no rows.
fn table(table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let escaped_line = |cells: &Vec<String>| line(cells.iter().map(|cell| escaped(cell)).collect());
    let rule = |column: usize| if column == 0 { "---" } else { "---:" }.to_owned();
    let mut out = escaped_line(&table.head);
    out += &line((0..table.head.len()).map(rule).collect());
    out.extend(table.rows.iter().map(escaped_line));
    out.push('\n');
    out
}

/// Formats sentences as a list and an empty line; nothing if there are none.
fn list(sentences: &[String]) -> String {
    let items: String = sentences.iter().map(|sentence| format!("- {}\n", escaped(sentence))).collect();
    if items.is_empty() { items } else { items + "\n" }
}

/// Escapes the characters that Markdown interprets.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
