//! Answers on their way to the output: their order, their counts, and the first failure.

use super::{
    line::{Failure, Line},
    order::Order,
    output::Output,
};
use crate::cli::{exit::CliError, output as stdout};
use edgecall::{Kind, call::Answer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};

/// A request and what it was answered with.
type Answered = (Line, Result<Answer, Failure>);

/// Writer of answers that counts them.
pub struct Tally {
    output: Output,
    /// Name of the model in answers.
    model: String,
    order: Order<Answered>,
    fail_fast: bool,
    progress: ProgressBar,
    answered: usize,
    failed: usize,
}

impl Tally {
    /// A writer to `output` in this order; with `fail_fast` it fails at the first line without an answer.
    pub fn new(output: Output, model: String, order: Order<Answered>, fail_fast: bool) -> Tally {
        Tally { output, model, order, fail_fast, progress: progress(), answered: 0, failed: 0 }
    }

    /// Takes the answer to the request `index`, which counts from 0, and writes all answers whose turn it is. Gives the
    /// number of those.
    ///
    /// # Errors
    /// An output that cannot be written, and a failure if it is to end the run.
    pub fn take(
        &mut self,
        index: usize,
        line: Line,
        answer: Result<Answer, Failure>,
    ) -> anyhow::Result<usize> {
        self.order.add(index, (line, answer));
        let mut written = 0;
        while let Some((line, answer)) = self.order.next() {
            match &answer {
                Ok(_) => self.answered += 1,
                Err(_) => self.failed += 1,
            }
            self.output.write(&line.answer(&answer, &self.model))?;
            self.progress.inc(1);
            written += 1;
            if let Err(failure) = answer
                && self.fail_fast
            {
                self.progress.finish_and_clear();
                let id = line.id_text();
                return Err(CliError::with_kind(failure.kind, format!("request {id}: {}", failure.message)));
            }
        }
        Ok(written)
    }

    /// Prints the counts; `skipped` were answered before.
    ///
    /// # Errors
    /// A request without an answer.
    pub fn finish(self, skipped: usize) -> anyhow::Result<()> {
        self.progress.finish_and_clear();
        let Tally { answered, failed, .. } = self;
        let before = if skipped > 0 { format!(", {skipped} before") } else { String::new() };
        // Nobody reads a closed stderr.
        let _ = writeln!(io::stderr(), "{answered} answered, {failed} failed{before}");
        match failed {
            0 => Ok(()),
            _ => Err(CliError::with_kind(
                Kind::Negative,
                "not every request got an answer; their lines say why",
            )),
        }
    }
}

/// A bar on a terminal, else nothing.
fn progress() -> ProgressBar {
    let target = match stdout::is_stderr_a_screen() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{spinner} {pos} answered, {per_sec}, {elapsed}");
    ProgressBar::with_draw_target(None, target).with_style(style.expect("the template is a constant"))
}
