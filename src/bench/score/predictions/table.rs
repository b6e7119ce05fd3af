//! Scores of a file of predictions as text.

use super::Scored;
use crate::bench::score::{
    confusion::NO_CALL,
    metric::{self, LlmJudge, Metric},
};
use std::fmt;

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
        writeln!(f)?;
        let defined = self.metrics.iter().filter(|metric| metric.mean.is_some());
        let plain =
            defined.filter(|summary| metric::named(summary.name).is_some_and(|m| m.caveat().is_none()));
        for summary in plain {
            writeln!(f, "{}: {}.", summary.name, summary.about)?;
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
        for name in self.metrics.iter().map(|summary| summary.name) {
            if let Some(caveat) = metric::named(name).and_then(|metric| metric.caveat()) {
                write!(f, "\n{name}: {caveat}")?;
            }
        }
        if let Some(graded) = &self.judge {
            if let Some(interval) = graded.interval {
                write!(
                    f,
                    "\n{}: {:.4} to {:.4} is the 95 % interval of its mean, conversations drawn ({} draws, seed {}).",
                    LlmJudge.name(),
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
