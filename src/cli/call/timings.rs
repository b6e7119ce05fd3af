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
        let t = self.timings;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let row = |f: &mut fmt::Formatter<'_>, step: &str, time: Duration, tokens: usize| {
            let per_s = tokens as f64 / time.as_secs_f64();
            let per_s = if per_s.is_finite() { format!("{per_s:.1}") } else { "—".into() };
            writeln!(f, "{step:<8}{:>10.1}{tokens:>10}{per_s:>10}", ms(time))
        };
        writeln!(f, "{:<8}{:>10}{:>10}{:>10}", "step", "ms", "tokens", "tokens/s")?;
        let steps = [
            ("start", self.start.took),
            ("check", t.check),
            ("load", t.load),
            ("prompt", t.prompt),
            ("context", t.context),
        ];
        for (step, time) in steps {
            writeln!(f, "{step:<8}{:>10.1}{:>10}{:>10}", ms(time), "—", "—")?;
        }
        row(f, "restore", t.restore, t.restored_tokens)?;
        row(f, "prefill", t.prefill, t.prompt_tokens - t.restored_tokens)?;
        writeln!(f, "{:<8}{:>10.1}{:>10}{:>10}", "grammar", ms(t.grammar), "—", "—")?;
        row(f, "decode", t.decode, t.generated_tokens)?;
        if let Some(at) = t.first_choice {
            let after = at.saturating_duration_since(self.start.at);
            writeln!(f, "the model chose its first token after {:.1} ms", ms(after))?;
        }
        let steps = &t.steps;
        writeln!(
            f,
            "{} tokens in {} decodes: {} forced, {} of {} guesses came true",
            t.generated_tokens, steps.decodes, steps.forced, steps.accepted, steps.drafted
        )?;
        writeln!(f, "context of {} tokens, {} threads", t.n_ctx, t.threads)?;
        match self.start.thermometer.as_ref().and_then(|thermometer| thermometer.read().words()) {
            Some(heat) => writeln!(f, "{heat}"),
            None => Ok(()),
        }
    }
}
