//! The file's keys against the trainer's configuration, as a conversion of it would write them.

use super::{
    Finding,
    finding::Cause,
    tensors::{Order, Tensors},
};
use crate::{
    arch::Config,
    gguf::{Gguf, Value},
};

/// Base of the rotary frequencies that llama.cpp takes where a file names none.
const DEFAULT_BASE: f64 = 10_000.0;
/// Relative difference of two numbers that were rounded to single precision on different ways.
const ROUNDING: f64 = 1e-5;

/// Compares the keys. Returns the number of those that were compared.
pub(super) fn compare(gguf: &Gguf, tensors: &Tensors, model: &Config, findings: &mut Vec<Finding>) -> usize {
    let name = model.architecture.name;
    if gguf.architecture() != Some(name) {
        let found = gguf.architecture().unwrap_or("nothing");
        let what = format!("`general.architecture` is {found} in the file and {name} in the trainer");
        findings.push(Finding::wrong(Cause::Sizes, what));
        return 1;
    }
    let mut keys = 0;
    let expected: Vec<(String, Value)> =
        [model.architecture.keys(model), model.architecture.late_keys(model)].concat();
    for (key, expected) in &expected {
        let short = key.split_once('.').map_or(key.as_str(), |(_, short)| short);
        let found = gguf.value(key).cloned().or_else(|| default(short));
        let cause = match short {
            "rope.freq_base" => Cause::RopeBase,
            "attention.layer_norm_rms_epsilon" => Cause::NormEpsilon,
            _ if short.starts_with("rope.scaling.") => Cause::RopeScaling,
            // Files may leave out what follows from other keys, which are compared.
            _ if found.is_none() => continue,
            _ => Cause::Sizes,
        };
        keys += 1;
        if found.as_ref().is_some_and(|found| is_same(expected, found)) {
            continue;
        }
        let found = found.map_or("missing".to_owned(), |found| shown(&found));
        let what = format!("`{key}` is {found} in the file and {} in the trainer", shown(expected));
        findings.push(match short {
            // It limits the prompt, and does not change what the model computes.
            "context_length" => Finding::note(cause, what),
            _ => Finding::wrong(cause, what),
        });
    }
    let is_scaled_in_trainer = expected.iter().any(|(key, _)| key.contains(".rope.scaling."));
    if let Some(what) = scaling(gguf, name).filter(|_| !is_scaled_in_trainer) {
        let what = format!("the file scales the rotary frequencies ({what}), and the trainer does not");
        findings.push(Finding::wrong(Cause::RopeScaling, what));
    }
    for factors in model.architecture.rope_factors {
        let expected = (factors.values)(model);
        keys += usize::from(expected.is_some());
        if let Some(what) = rope_factors(tensors, factors.name, expected.as_deref()) {
            findings.push(Finding::wrong(Cause::RopeScaling, what));
        }
    }
    keys
}

fn default(short: &str) -> Option<Value> {
    (short == "rope.freq_base").then_some(Value::F64(DEFAULT_BASE))
}

fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected.as_f64(), found.as_f64()) {
        (Some(expected), Some(found)) => (expected - found).abs() <= ROUNDING * expected.abs(),
        _ => match (expected.as_u64(), found.as_u64()) {
            (Some(expected), Some(found)) => expected == found,
            _ => expected == found,
        },
    }
}

fn shown(value: &Value) -> String {
    if let Some(number) = value.as_f64() {
        return number.to_string();
    }
    value
        .as_u64()
        .map(|number| number.to_string())
        .or_else(|| value.as_str().map(str::to_owned))
        .unwrap_or("another".into())
}

/// The scaling in the file, if it changes anything.
fn scaling(gguf: &Gguf, architecture: &str) -> Option<String> {
    let key = |name: &str| format!("{architecture}.rope.{name}");
    let factor = gguf.f64(&key("scaling.factor")).or_else(|| gguf.f64(&key("scale_linear")))?;
    let kind = gguf.str(&key("scaling.type")).unwrap_or("linear");
    (kind != "none" && factor != 0.0 && factor != 1.0).then(|| format!("{kind}, factor {factor}"))
}

/// A difference of the divisors of the rotary frequencies.
fn rope_factors(tensors: &Tensors, name: &str, expected: Option<&[f32]>) -> Option<String> {
    let found = tensors.get(name);
    let (expected, found) = match (expected, found) {
        (None, None) => return None,
        (None, Some(_)) => {
            return Some(format!("the file has `{name}`, and the trainer scales no frequencies"));
        }
        (Some(_), None) => {
            return Some(format!("the file has no `{name}`, and the trainer scales the frequencies"));
        }
        (Some(expected), Some(found)) => (expected, found),
    };
    let differs = found.shape() != [expected.len() as u64]
        || (expected.iter().zip(0..)).any(|(&factor, i)| {
            (found.value(Order::Same, i, 0) - f64::from(factor)).abs() > ROUNDING * f64::from(factor)
        });
    differs.then(|| format!("`{name}` has other factors than the trainer"))
}
