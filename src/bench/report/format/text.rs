//! The report as text for a terminal.

use super::{
    Exporter,
    table::Table,
    tables::{constraints, costs, differences, distances, noise_floor, variants},
};
use crate::bench::{report::Report, row::Mode};

/// Exporter of fixed-width tables.
pub struct Text;

impl Exporter for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn export(&self, report: &Report) -> String {
        let mut out = String::new();
        let mode = |mode: Mode| if report.verdicts.len() > 1 { format!("{mode}: ") } else { String::new() };
        for verdict in &report.verdicts {
            out += &format!("{}{}\n", mode(verdict.mode), verdict.sentence);
        }
        out += &report.nothing_to_compare().map_or(String::new(), |words| format!("{words}\n"));
        add(&mut out, &variants(report));
        add(&mut out, &if report.labelled { differences(report) } else { distances(report) });
        for verdict in &report.verdicts {
            for found in report.findings(verdict) {
                out += &format!("\n{}{}: {}", mode(verdict.mode), found.name, found.words);
            }
        }
        if out.ends_with(|c| c != '\n') {
            out.push('\n');
        }
        for table in [costs(report), noise_floor(report), constraints(report)] {
            add(&mut out, &table);
        }
        for note in &report.notes {
            out += &format!("\n{note}\n");
        }
        out
    }
}

/// Appends a table after an empty line, unless it has no rows.
fn add(out: &mut String, table: &Table) {
    if !table.is_empty() {
        out.push('\n');
        *out += &aligned(table);
    }
}

/// Formats a table: the first column is left-aligned, the others are right-aligned.
fn aligned(table: &Table) -> String {
    let lines = || std::iter::once(&table.head).chain(&table.rows);
    let width = |column: usize| {
        lines().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines().map(line).collect()
}
