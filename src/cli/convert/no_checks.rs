//! No checks: this program was built without llama.cpp.

use super::{Asked, Bar, Checked};
use edgecall::{checkpoint::Checkpoint, convert::Converted};
use std::sync::atomic::AtomicBool;

/// Says what was left out.
pub(super) fn run(
    asked: &Asked,
    _: &Checkpoint,
    _: &mut Converted,
    _: &mut Bar,
    _: &AtomicBool,
) -> anyhow::Result<Checked> {
    let left_out = "this program was built without llama.cpp: the tokens were not checked, and the manifest has no answers";
    let warnings = if asked.token_check { vec![left_out.to_owned()] } else { Vec::new() };
    Ok(Checked { token_check: None, answers: None, witness: None, warnings })
}
