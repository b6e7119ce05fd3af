//! Numbers and tables for people to read.

use regex::Regex;
use std::{
    error::Error,
    fmt::{self, Display, Write},
    iter,
    sync::LazyLock,
};

/// Characters that steer a terminal, or that nobody sees: control and format characters, line separators, and those
/// that Unicode lets programs ignore.
static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Default_Ignorable_Code_Point}]")
        .expect("the pattern is a constant")
});

/// `text` with an escape in place of every character that steers a terminal or cannot be seen.
pub fn visible(text: &str) -> String {
    UNSEEN.replace_all(text, |found: &regex::Captures<'_>| found[0].escape_default().to_string()).into_owned()
}

/// A number with a comma between groups of three digits: `1,101,457,408`.
pub fn grouped(number: u64) -> String {
    group_digits(&number.to_string())
}

/// `digits` with a comma between groups of three.
pub fn group_digits(digits: &str) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in powers of 1000: `1.10 GB`.
pub fn bytes(bytes: u64) -> String {
    let size = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", size / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size / 1e6),
        _ => format!("{:.2} GB", size / 1e9),
    }
}

/// The MiB that hold `bytes`: rounded up, for memory that is needed.
pub fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// An error and its causes, joined into one line.
pub fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The first few names, and the number of the others.
pub fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Alignment of a column.
#[derive(Clone, Copy)]
pub enum Align {
    /// At the left, as texts are.
    Left,
    /// At the right, as numbers are.
    Right,
}

/// A text table with columns as wide as their widest cell, separated by two spaces.
pub struct Table<const N: usize> {
    align: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table that begins with a row of names.
    pub fn new(header: &[&str; N], align: &[Align; N]) -> Table<N> {
        Table { align: *align, rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row.
    pub fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, &width), align) in row.iter().zip(&widths).zip(self.align) {
                match align {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            let end = if i + 1 < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Align::{Left, Right};

    #[test]
    fn sizes_and_counts_are_written_for_people() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_101_457_408), "1.10 GB");
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 1 << 20].map(mib), [0, 1, 1]);
    }

    #[test]
    fn what_steers_a_terminal_or_cannot_be_seen_is_escaped() {
        for (text, expected) in [
            ("plain ü 日本 😀", "plain ü 日本 😀"),
            ("\x1b[2J\u{9b}K\x07", "\\u{1b}[2J\\u{9b}K\\u{7}"),
            ("a\u{202e}b\u{200b}c\u{2066}", "a\\u{202e}b\\u{200b}c\\u{2066}"),
            ("\u{e0041}\u{feff}\u{3164}\u{2028}", "\\u{e0041}\\u{feff}\\u{3164}\\u{2028}"),
            ("\t\r", "\\t\\r"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["type", "bytes"], &[Left, Right]);
        table.row(["F32".into(), "1,000".into()]);
        table.row(["Q4_K_M".into(), "7".into()]);
        assert_eq!(table.to_string(), "type    bytes\nF32     1,000\nQ4_K_M      7");
    }
}
