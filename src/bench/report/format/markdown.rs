//! The report as Markdown, for an issue or a README.

use super::{Exporter, text};
use crate::bench::report::{Report, points};

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
        out += &table(&text::variants(report));
        out += &table(&if report.labelled { text::differences(report) } else { text::distances(report) });
        out += &table(&text::costs(report));
        out += &table(&text::noise_floor(report));
        out += &table(&text::constraints(report));
        let mut metrics =
            vec![["model", "metric", "reference", "delta (points)", "95 %"].map(str::to_owned).to_vec()];
        for row in &report.comparisons {
            let interval = row.comparison.interval;
            metrics.push(vec![
                row.candidate.clone(),
                row.metric.clone(),
                row.reference.clone(),
                points(Some(row.comparison.delta)),
                interval
                    .map_or("—".into(), |i| format!("{} to {}", points(Some(i.low)), points(Some(i.high)))),
            ]);
        }
        if metrics.len() > 1 {
            out += "## All metrics\n\n";
            out += &table(&metrics);
        }
        out += "## Notes\n\n";
        for note in &report.notes {
            out += &format!("- {}\n", escaped(note));
        }
        out += &format!(
            "- {} calls of {} conversations; test set `{}`, job `{}`.\n",
            report.cases, report.conversations, report.data.test_md5, report.data.job_sha256
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

fn table(rows: &[Vec<String>]) -> String {
    let [head, _, ..] = rows else { return String::new() };
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(head.iter().map(|cell| escaped(cell)).collect());
    out += &line((0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_owned()).collect());
    for row in &rows[1..] {
        out += &line(row.iter().map(|cell| escaped(cell)).collect());
    }
    out.push('\n');
    out
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
