//! Start-up time with and without repacked weights.

use super::work::ordinary_tokens;
use crate::{
    bench::Result,
    machine::peak_resident_bytes,
    runtime::{Model, N_BATCH, Options, Session},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Instant};

/// Length of the prompt in tokens.
const PROMPT: usize = 512;
/// Number of tokens decoded after it.
const DECODED: usize = 24;

/// Cost of a process that loads a model, evaluates a prompt of 512 tokens and decodes 24 more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Start {
    /// True if the weights were repacked for this CPU.
    pub repack: bool,
    /// Seconds to load the model.
    pub load_s: f64,
    /// Seconds to evaluate the prompt.
    pub prompt_s: f64,
    /// Decoded tokens per second after the prompt.
    pub decode_tokens_per_s: f64,
    /// Peak resident memory of the process, in bytes, mapped weights included.
    pub peak_resident_bytes: Option<u64>,
}

/// Measures `model`, which this process has just loaded and not used before.
///
/// # Errors
/// A model that cannot be run.
pub fn start(model: &Model, options: &Options) -> Result<Start> {
    let prompt = PROMPT.min(model.n_ctx_train().saturating_sub(DECODED).max(1));
    let tokens = ordinary_tokens(model, prompt + DECODED);
    let mut session = Session::new(model, prompt, DECODED, options)?;
    let started = Instant::now();
    for piece in tokens[..prompt].chunks(N_BATCH) {
        session.append(piece)?;
    }
    let prompt_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for token in &tokens[prompt..] {
        session.append(&[*token])?;
        std::hint::black_box(session.logits().first());
    }
    Ok(Start {
        repack: model.load_options().repack,
        load_s: model.load_time().as_secs_f64(),
        prompt_s,
        decode_tokens_per_s: DECODED as f64 / started.elapsed().as_secs_f64(),
        peak_resident_bytes: peak_resident_bytes(),
    })
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = if self.repack { "repacked" } else { "as the file has them" };
        write!(
            f,
            "weights {weights}: loaded in {:.2} s, {PROMPT} tokens in {:.2} s, then {:.1} tokens/s",
            self.load_s, self.prompt_s, self.decode_tokens_per_s
        )?;
        match self.peak_resident_bytes {
            Some(peak) => write!(f, "; at most {:.0} MiB in memory", peak as f64 / f64::from(1 << 20)),
            None => Ok(()),
        }
    }
}
