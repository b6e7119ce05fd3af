//! Table of the times of a call's steps.

use edgecall::{call::Timings, machine::Thermometer};
use std::{
    fmt,
    io::{self, Write},
    time::{Duration, Instant},
};

/// Start of the program.
pub struct Start {
    /// Time of the start.
    pub at: Instant,
    /// Time up to the loading of the model: arguments, conversation and tools.
    pub took: Duration,
    /// Sensors at the start, if timings were requested.
    pub thermometer: Option<Thermometer>,
}

/// Writes the table to stderr.
pub fn show(start: &Start, timings: &Timings) {
    // Nobody reads a closed stderr.
    let _ = write!(io::stderr(), "{}", Table { start, timings });
}

struct Table<'a> {
    start: &'a Start,
    timings: &'a Timings,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (t, after_start) = (self.timings, self.start.at.elapsed());
        writeln!(f, "{:<8}{:>10}{:>10}{:>10}", "step", "ms", "tokens", "tokens/s")?;
        let mut rest = after_start;
        for (step, time, tokens) in [
            ("start", self.start.took, None),
            ("check", t.check, None),
            ("load", t.load, None),
            ("prompt", t.prompt, None),
            ("context", t.context, None),
            ("restore", t.restore, Some(t.restored_tokens)),
            ("prefill", t.prefill, Some(t.prompt_tokens - t.restored_tokens - t.kept_tokens)),
            ("grammar", t.grammar, None),
            ("decode", t.decode, Some(t.generated_tokens)),
        ] {
            rest = rest.saturating_sub(time);
            row(f, step, time, tokens)?;
        }
        row(f, "rest", rest, None)?;
        let tokens = t.prompt_tokens + t.generated_tokens;
        writeln!(f, "{:<8}{:>10.1}{tokens:>10}{:>10}", "total", ms(after_start), "—")?;
        if let Some(at) = t.first_choice {
            let after = at.saturating_duration_since(self.start.at);
            writeln!(f, "the model chose its first token after {:.1} ms", ms(after))?;
        }
        writeln!(f, "{}", counts(t))?;
        let (n_ctx, threads) = (t.n_ctx, number(t.threads, "thread"));
        writeln!(f, "context of {n_ctx} tokens, {threads}")?;
        match self.start.thermometer.as_ref().and_then(|thermometer| thermometer.read().words()) {
            Some(heat) => writeln!(f, "{heat}"),
            None => Ok(()),
        }
    }
}

/// The generated tokens by who decided them, the decodes, and the drafts.
fn counts(t: &Timings) -> String {
    let steps = &t.steps;
    let chosen = t.generated_tokens.saturating_sub(steps.forced);
    let tokens = number(t.generated_tokens, "token");
    let decodes = number(steps.decodes, "decode");
    let text = format!(
        "{tokens} generated: {} forced by the grammar, {chosen} chosen by the model; {decodes}",
        steps.forced
    );
    let mut lines = vec![text];
    if steps.drafted > 0 {
        let drafted = number(steps.drafted, "drafted token");
        lines.push(format!("{drafted}, of which {} came true, forced ones among them", steps.accepted));
    }
    if t.undraftable {
        lines.push("drafts are off: this model's recurrent state cannot be cut after a wrong one".to_owned());
    }
    if steps.ties > 0 {
        let (ties, tokens) = (number(steps.ties, "near tie"), number(steps.again, "token"));
        lines.push(format!("{ties} decided after decoding {tokens} again, one at a time"));
    }
    lines.join("\n")
}

/// `count` with its noun.
fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(f: &mut fmt::Formatter<'_>, step: &str, time: Duration, tokens: Option<usize>) -> fmt::Result {
    let rate = tokens.map(|tokens| tokens as f64 / time.as_secs_f64()).filter(|rate| rate.is_finite());
    let rate = rate.map_or_else(|| "—".to_owned(), |rate| format!("{rate:.1}"));
    let tokens = tokens.map_or_else(|| "—".to_owned(), |tokens| tokens.to_string());
    writeln!(f, "{step:<8}{:>10.1}{tokens:>10}{rate:>10}", ms(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgecall::runtime::Steps;

    #[test]
    fn forced_and_chosen_tokens_add_up_and_one_is_no_plural() {
        let steps = Steps { decodes: 7, rows: 50, forced: 27, drafted: 42, accepted: 38, ties: 1, again: 6 };
        let timings = Timings { generated_tokens: 63, steps, ..Timings::default() };
        assert_eq!(
            counts(&timings),
            "63 tokens generated: 27 forced by the grammar, 36 chosen by the model; 7 decodes\n\
             42 drafted tokens, of which 38 came true, forced ones among them\n\
             1 near tie decided after decoding 6 tokens again, one at a time"
        );
        let steps = Steps { decodes: 1, ..Steps::default() };
        let one = Timings { generated_tokens: 1, steps, ..Timings::default() };
        assert_eq!(
            counts(&one),
            "1 token generated: 0 forced by the grammar, 1 chosen by the model; 1 decode"
        );
    }

    #[test]
    fn the_steps_and_the_rest_add_up_to_the_total() {
        let at = Instant::now().checked_sub(Duration::from_millis(500)).unwrap();
        let start = Start { at, took: Duration::from_millis(100), thermometer: None };
        let timings = Timings {
            load: Duration::from_millis(200),
            decode: Duration::from_millis(50),
            prompt_tokens: 10,
            restored_tokens: 4,
            generated_tokens: 3,
            ..Timings::default()
        };
        let table = Table { start: &start, timings: &timings }.to_string();
        let column = |line: &str, nth| line.split_whitespace().nth(nth).unwrap().parse::<f64>().ok();
        let (total, steps): (Vec<&str>, Vec<&str>) =
            table.lines().skip(1).take(11).partition(|line| line.starts_with("total"));
        for nth in [1, 2] {
            let sum: f64 = steps.iter().filter_map(|line| column(line, nth)).sum();
            let total = column(total[0], nth).unwrap();
            assert!((sum - total).abs() < 1.0, "{sum} is not {total}\n{table}");
        }
    }
}
