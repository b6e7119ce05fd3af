//! The report as text for a terminal of 80 columns.

use super::{
    Exporter,
    table::Table,
    tables::{constraints, costs, differences, distances, noise_floor, variants},
};
use crate::bench::{
    report::{Report, words::count},
    row::Mode,
};

/// Width that tables and notes keep to.
const COLUMNS: usize = 80;

/// Space between two columns of a table.
const GAP: usize = 2;

/// Headers of columns that are left out if all their cells are the same.
const CONSTANT: [&str; 6] = ["mode", "rows", "host", "calls", "throttled", "reference"];

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
            out += &wrapped(&format!("{}{}", mode(verdict.mode), verdict.sentence));
        }
        out += &report.nothing_to_compare().map_or(String::new(), wrapped);
        out += &counts(report);
        add(&mut out, &variants(report));
        out.push('\n');
        report.definitions().iter().for_each(|sentence| out += &wrapped(sentence));
        add(&mut out, &if report.labelled { differences(report) } else { distances(report) });
        let findings = report.verdicts.iter().flat_map(|verdict| {
            let found = report.findings(verdict).into_iter();
            found.map(|found| format!("{}{}: {}", mode(verdict.mode), found.name, found.words))
        });
        let findings: String = findings.map(|line| wrapped(&line)).collect();
        if !findings.is_empty() {
            out += &format!("\n{findings}");
        }
        for table in [costs(report), noise_floor(report), constraints(report)] {
            add(&mut out, &table);
        }
        for note in &report.notes {
            out += &format!("\n{}", wrapped(note));
        }
        out
    }
}

/// Line with the number of calls, and the mode if there is only one.
fn counts(report: &Report) -> String {
    let mode = match &report.verdicts[..] {
        [only] => format!(", mode {}", only.mode),
        _ => String::new(),
    };
    let conversations = count(report.conversations, "conversation");
    wrapped(&format!("Calls: {} of {conversations}{mode}.", report.cases))
}

/// Appends a table after an empty line, unless it has no rows.
fn add(out: &mut String, table: &Table) {
    if !table.is_empty() {
        for block in blocks(&table.telling(&CONSTANT)) {
            out.push('\n');
            *out += &aligned(&block);
        }
    }
}

/// Cuts a table that is too wide into tables one below the other. Each has the first column and as many others as fit,
/// at least one.
fn blocks(table: &Table) -> Vec<Table> {
    let widths = widths(table);
    let mut blocks: Vec<Vec<usize>> = vec![vec![0]];
    for column in 1..table.head.len() {
        let last = blocks.last_mut().expect("there is a block from the start");
        let width: usize = last.iter().chain([&column]).map(|column| widths[*column] + GAP).sum();
        if last.len() > 1 && width - GAP > COLUMNS {
            blocks.push(vec![0, column]);
        } else {
            last.push(column);
        }
    }
    let of =
        |columns: &Vec<usize>, row: &Vec<String>| columns.iter().map(|column| row[*column].clone()).collect();
    let block = |columns: Vec<usize>| Table {
        head: of(&columns, &table.head),
        rows: table.rows.iter().map(|row| of(&columns, row)).collect(),
    };
    blocks.into_iter().map(block).collect()
}

/// Characters of the widest cell of each column.
fn widths(table: &Table) -> Vec<usize> {
    let lines = || std::iter::once(&table.head).chain(&table.rows);
    let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
    (0..table.head.len()).map(width).collect()
}

/// Formats a table: the first column is left-aligned, the others are right-aligned.
fn aligned(table: &Table) -> String {
    let widths = widths(table);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned() + "\n"
    };
    std::iter::once(&table.head).chain(&table.rows).map(line).collect()
}

/// A text in lines of at most 80 characters, with a line feed at the end of each; a longer word has a line of its own.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out += word;
        width += length;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(head: &[&str], rows: &[&[&str]]) -> Table {
        let cells = |row: &[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        Table { head: cells(head), rows: rows.iter().map(|row| cells(row)).collect() }
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_blocks_that_name_their_rows() {
        let heads: Vec<String> = (0..9).map(|i| format!("column number {i}")).collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let mut out = String::new();
        add(&mut out, &table(&heads, &[&["a", "1", "2", "3", "4", "5", "6", "7", "8"]]));
        assert!(out.lines().all(|line| line.chars().count() <= COLUMNS), "{out}");
        assert_eq!(out.lines().filter(|line| line.starts_with("a ")).count(), 3, "{out}");
        assert!(heads.iter().all(|head| out.contains(head)));
    }

    #[test]
    fn columns_of_dashes_and_constant_modes_are_left_out_and_constant_scores_are_not() {
        let whole =
            table(&["model", "mode", "score", "KL"], &[&["a", "any", "1", "—"], &["b", "any", "1", "—"]]);
        assert_eq!(whole.telling(&CONSTANT).head, ["model", "score"]);
        let two = table(&["model", "mode"], &[&["a", "any"], &["a", "free"]]);
        assert_eq!(two.telling(&CONSTANT).head, ["model", "mode"]);
    }

    #[test]
    fn notes_are_cut_between_words() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= COLUMNS) && text.lines().count() == 3, "{text}");
        assert_eq!(wrapped("short"), "short\n");
    }
}
