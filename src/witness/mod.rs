//! A GGUF file compared with a witness: the texts, token ids, probabilities and weights of the model in its trainer, as
//! `scripts/witness.py` writes them with transformers.
//!
//! ```text
//! file           the witness, read and checked
//! template       our rendering of its conversations, against its texts
//! tokens         llama.cpp's ids of its texts, against its ids
//! configuration  the file's keys, against its config
//! weights        the file's tensors, decoded, against its marks of them
//! blame          tensors that differ -> the fault that explains them
//! probabilities  llama.cpp's probabilities after its ids, against its own
//! ```
//!
//! Each stage takes the witness's output of the stage before, so that a fault shows in the stage that it belongs to and not
//! in those behind it.

mod blame;
mod configuration;
mod error;
mod file;
mod finding;
mod mark;
mod pair;
mod probabilities;
mod report;
mod template;
mod tensors;
mod tokens;
mod tolerance;
mod weights;

pub use error::Error;
pub use file::Witness;
pub use finding::{Cause, Finding, Severity};
pub use probabilities::Probabilities;
pub use report::Report;
pub use template::TemplateReport;
pub use tokens::TokensReport;
pub use weights::{Deviation, WeightsReport};

use crate::{
    machine::Machine,
    runtime::{LoadOptions, Model, Trust},
    verify,
};
use std::{fs, num::NonZeroUsize, path::Path};

/// Options of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Trust in the model's file.
    pub trust: Trust,
    /// Number of threads; `None` is one for each physical core that this process may use.
    pub threads: Option<NonZeroUsize>,
}

/// Compares the GGUF file at `path` with `witness`. `go_on` is called with the name of each step, and before each
/// conversation; if it returns false, the result is `None`.
///
/// # Errors
/// A file that cannot be read or loaded, or that is larger than the available memory; a witness of an architecture that is
/// not supported.
pub fn compare(
    path: &Path,
    witness: &Witness,
    options: &Options,
    mut go_on: impl FnMut(&str) -> bool,
) -> Result<Option<Report>, Error> {
    let file_bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let available_bytes = Machine::this().map_or(u64::MAX, |machine| machine.available_bytes);
    if file_bytes > available_bytes {
        return Err(verify::Error::NoMemory { file_bytes, available_bytes }.into());
    }
    if !go_on("loading") {
        return Ok(None);
    }
    let model = Model::load_with(path, LoadOptions { trust: options.trust, repack: false })?;
    let tensors = tensors::Tensors::open(model.files())?;
    let mut findings = Vec::new();
    let template = template::compare(&model, witness, &mut findings);
    let tokens = tokens::compare(&model, witness, &mut findings)?;
    let keys = configuration::compare(model.header(), &tensors, &witness.model, &mut findings);
    if !go_on("weights") {
        return Ok(None);
    }
    let Some(weights) = weights::compare(&tensors, witness, &mut findings, &mut || go_on("weights"))? else {
        return Ok(None);
    };
    let probabilities = match tokens.has_foreign_ids {
        true => None,
        false => {
            let Some(mut found) = probabilities::measure(&model, witness, options.threads, &mut go_on)?
            else {
                return Ok(None);
            };
            found.judge(&weights);
            Some(found)
        }
    };
    if let Some(probabilities) = &probabilities {
        findings.extend(probabilities.finding(&weights, &findings));
    }
    Ok(Some(Report::new(
        path,
        witness,
        report::Stages { template, tokens, keys, weights, probabilities },
        findings,
    )))
}
