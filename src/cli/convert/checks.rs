//! Checks of converted files with llama.cpp: the token check, and answers to fixed prompts.

use super::{Asked, Bar, Checked};
use crate::cli::address_space;
use edgecall::{
    checkpoint::{Checkpoint, tokenizer::Tokenizer},
    convert::{
        Converted, Progress,
        report::{AnswersMade, TokenCheck, WitnessCheck},
    },
    runtime::{self, LoadOptions},
    verify::{self, answers},
    witness::{self, Witness},
};
use std::{
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

/// Runs the checks that were asked for.
pub(super) fn run(
    asked: &Asked,
    checkpoint: &Checkpoint,
    converted: &mut Converted,
    bar: &mut Bar,
    interrupt: &AtomicBool,
) -> anyhow::Result<Checked> {
    let token_check = if asked.token_check { Some(check_tokens(checkpoint, converted)?) } else { None };
    let (answers, warnings) = match asked.token_check && asked.answers {
        true => add_answers(converted, asked.threads, bar, interrupt),
        false => (None, Vec::new()),
    };
    let witness = match &asked.witness {
        Some(witness) => compare(witness, converted, asked.threads, interrupt)?,
        None => None,
    };
    Ok(Checked { token_check, answers, witness, warnings })
}

/// Compares each file with the witness; `None` after an interrupt.
fn compare(
    witness: &Witness,
    converted: &Converted,
    threads: Option<NonZero<usize>>,
    interrupt: &AtomicBool,
) -> anyhow::Result<Option<WitnessCheck>> {
    let started = Instant::now();
    let options = witness::Options { threads: answer_threads(threads), ..witness::Options::default() };
    let mut made = WitnessCheck { verdict: String::new(), kl_mean: Vec::new(), wall_s: 0.0 };
    for file in converted.files() {
        let go_on = |_: &str| !interrupt.load(Ordering::Relaxed);
        let Some(report) = witness::compare(file.path(), witness, &options, go_on)? else { return Ok(None) };
        let report = report.expect_ok(file.target())?;
        made.kl_mean.push(report.probabilities.map(|found| found.kl_mean));
        made.verdict = report.verdict;
    }
    made.wall_s = started.elapsed().as_secs_f64();
    Ok(Some(made))
}

/// Compares llama.cpp's tokens for the first file with the tokenizer's. The other files have the same metadata, which
/// was verified when they were read back.
fn check_tokens(checkpoint: &Checkpoint, converted: &Converted) -> anyhow::Result<TokenCheck> {
    let tokenizer = Tokenizer::open(&checkpoint.identity.tokenizer)?;
    let file = &converted.files()[0];
    let found = verify::tokens(file.path(), &tokenizer)?;
    Ok(TokenCheck::made(found.texts, found.tokens, found.seconds))
}

/// Generates each model's answers to the fixed prompts. A machine that cannot run a model can still convert it: the
/// manifest then has no answers, and a warning gives the reason.
fn add_answers(
    converted: &mut Converted,
    threads: Option<NonZero<usize>>,
    bar: &mut Bar,
    interrupt: &AtomicBool,
) -> (Option<AnswersMade>, Vec<String>) {
    let mut made = AnswersMade { files: 0, tokens: 0, wall_s: 0.0 };
    let mut warnings = Vec::new();
    for index in 0..converted.files().len() {
        let file = &converted.files()[index];
        bar.begin_prompts(answers::PROMPTS.len());
        let go_on = |answered: usize| {
            bar.advance_to(answered as u64);
            !interrupt.load(Ordering::Relaxed)
        };
        // Under a limit on the address space llama.cpp would abort, and take the files along.
        if let Err(error) = check_room(file.path()) {
            warnings.push(format!("{}: the manifest has no answers: {error:#}", file.target().display()));
            continue;
        }
        match verify::answers::answers(file.path(), answer_threads(threads), go_on) {
            Ok(Some((answers, report))) => {
                made.files += 1;
                made.tokens += report.tokens;
                made.wall_s += report.seconds;
                converted.add_answers(index, answers);
            }
            Ok(None) => break,
            Err(error) => {
                let error = anyhow::Error::new(error);
                warnings.push(format!("{}: the manifest has no answers: {error:#}", file.target().display()));
            }
        }
    }
    (Some(made).filter(|made| made.files > 0), warnings)
}

/// Checks that the model at `path` may be addressed, with a context for the fixed prompts.
fn check_room(path: &Path) -> anyhow::Result<()> {
    const N_CTX: u64 = 1024;
    let load = LoadOptions { repack: false, ..LoadOptions::default() };
    let header = runtime::Model::read_header(path)?;
    Ok(address_space::check(&header, load, &runtime::Options::default(), (1, N_CTX))?)
}

/// The requested number of threads, if a model can run with them; a conversion may use more threads than there are
/// CPUs.
fn answer_threads(asked: Option<NonZero<usize>>) -> Option<NonZero<usize>> {
    asked.filter(|&threads| runtime::cpu::threads(Some(threads)).is_ok())
}
