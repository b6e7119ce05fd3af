//! Report of a conversion: results and costs.

use super::{
    output::Targets,
    peak::Peak,
    plan::{FilePlan, Plan},
    recipe::Fallback,
    tensors::Head,
};
use crate::{
    adapter,
    checkpoint::Checkpoint,
    display::{bytes, grouped},
    machine::cpu_time,
    quant::Loss,
};
use serde::Serialize;
use std::{fmt, path::PathBuf, time::Instant};

/// Results and costs of a conversion, or the expected results of one that was only planned.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
    /// llama.cpp's name of the pre-tokenizer.
    pub pretokenizer: String,
    /// Number of weights, as written.
    pub parameters: u64,
    /// Total size of the checkpoint's safetensors files.
    pub source_bytes: u64,
    /// Adapters that are merged; `None` for a checkpoint as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<adapter::Summary>,
    /// The files, in the order of the request.
    pub files: Vec<FileReport>,
    /// Warnings for the user about this model.
    pub warnings: Vec<String>,
    /// Time and memory; `None` for a plan.
    pub cost: Option<Cost>,
    /// Result of the token check; `None` if it was not run.
    pub token_check: Option<TokenCheck>,
    /// The answers to fixed prompts that were added to the manifests; `None` if none were computed.
    pub answers: Option<AnswersMade>,
    /// The comparison with a witness; `None` if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<WitnessCheck>,
}

/// One written or planned file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// Its type, by the name in options.
    pub r#type: &'static str,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of tensors by type, under ggml's names.
    pub tensor_types: Vec<(&'static str, usize)>,
    /// Size of the tensors' data, without padding.
    pub tensor_bytes: u64,
    /// Size of the file.
    pub file_bytes: u64,
    /// Bits of tensor data per weight.
    pub bits_per_weight: f64,
    /// Error of the matrices against the checkpoint's; `None` for a plan.
    pub weight_error: Option<WeightError>,
    /// Matrices whose rows are not whole blocks of the type they should have.
    pub fallbacks: Vec<Fallback>,
    /// Bytes that the stored copy of the embedding adds to the file; `None` if there is none.
    pub tied_head_bytes: Option<u64>,
    /// Seconds that all worker threads together spent on this file; `None` if nothing was converted.
    pub busy_s: Option<f64>,
}

/// Error of the written matrices against the checkpoint's, over all weights of the matrices that are not stored
/// losslessly.
#[derive(Clone, Debug, Serialize)]
pub struct WeightError {
    /// Root of the mean squared difference over that of the mean square; 0 if all are lossless.
    pub relative_rmse: f64,
    /// Cosine of the angle between them; 1 if all are lossless.
    pub cosine: f64,
    /// The tensor with the largest relative RMSE; `None` if all are lossless.
    pub worst: Option<Worst>,
}

/// The tensor with the largest error.
#[derive(Clone, Debug, Serialize)]
pub struct Worst {
    /// Its name in the file.
    pub tensor: String,
    /// Its type, by ggml's name.
    pub r#type: &'static str,
    /// As in [`WeightError`].
    pub relative_rmse: f64,
    /// As in [`WeightError`].
    pub cosine: f64,
}

/// Time and memory.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Seconds from the start to the hashes of the written files, without the token check.
    pub wall_s: f64,
    /// CPU seconds of this process until then, over all threads.
    pub cpu_s: f64,
    /// Peak of anonymous memory (`RssAnon`, sampled every 50 ms).
    pub peak_anonymous_bytes: Option<u64>,
    /// Peak of resident memory of this process until then (`VmHWM`), planning included.
    pub peak_resident_bytes: Option<u64>,
}

/// A token check without differences. It runs last and has its own times.
#[derive(Clone, Debug, Serialize)]
pub struct TokenCheck {
    /// Number of texts compared.
    pub texts: usize,
    /// Number of tokens in them.
    pub tokens: usize,
    /// Seconds, loading the vocabulary included.
    pub wall_s: f64,
    /// Peak of resident memory of this process until then (`VmHWM`).
    pub peak_resident_bytes: Option<u64>,
}

/// Answers that were added to the manifests. They are computed last and have their own times.
#[derive(Clone, Debug, Serialize)]
pub struct AnswersMade {
    /// Number of files with answers.
    pub files: usize,
    /// Number of prompt tokens, over all files.
    pub tokens: usize,
    /// Seconds, loading included.
    pub wall_s: f64,
}

/// A comparison with a witness that found nothing wrong. It runs last and has its own time.
#[derive(Clone, Debug, Serialize)]
pub struct WitnessCheck {
    /// The verdict on the file, or on the first of several.
    pub verdict: String,
    /// Mean KL divergence from the trainer of each file, in nats, in the order of the files.
    pub kl_mean: Vec<Option<f64>>,
    /// Seconds, loading included.
    pub wall_s: f64,
}

impl TokenCheck {
    /// The result of a check that has just finished; samples the memory.
    pub fn made(texts: usize, tokens: usize, wall_s: f64) -> TokenCheck {
        TokenCheck { texts, tokens, wall_s, peak_resident_bytes: Peak::start().resident_bytes }
    }
}

impl Report {
    /// The report of a plan.
    pub fn planned(checkpoint: &Checkpoint, plan: &Plan, targets: &Targets) -> Report {
        let files =
            plan.files.iter().zip(targets.paths()).map(|(file, path)| file_report(file, path.clone()));
        Report {
            architecture: plan.architecture,
            pretokenizer: plan.pretokenizer.clone(),
            parameters: plan.files.first().map_or(0, FilePlan::element_count),
            source_bytes: checkpoint.shards.files().iter().map(|file| file.file_bytes).sum(),
            merged: None,
            files: files.collect(),
            warnings: warnings(plan),
            cost: None,
            token_check: None,
            answers: None,
            witness: None,
        }
    }

    pub(super) fn new(
        checkpoint: &Checkpoint,
        plan: &Plan,
        targets: &Targets,
        losses: &[Vec<Option<Loss>>],
        busy_s: &[f64],
        started: Instant,
        peak: &Peak,
    ) -> Report {
        let mut report = Report::planned(checkpoint, plan, targets);
        for (i, file) in report.files.iter_mut().enumerate() {
            file.weight_error = Some(weight_error(plan, &plan.files[i], &losses[i]));
            file.busy_s = Some(busy_s[i]);
        }
        report.cost = Some(Cost {
            wall_s: started.elapsed().as_secs_f64(),
            cpu_s: cpu_time::process().as_secs_f64(),
            peak_anonymous_bytes: peak.anonymous_bytes,
            peak_resident_bytes: peak.resident_bytes,
        });
        report
    }
}

fn file_report(file: &FilePlan, path: PathBuf) -> FileReport {
    let mut tensor_types: Vec<(&'static str, usize)> = Vec::new();
    for tensor in &file.tensors {
        let name = tensor.ggml_type.name();
        match tensor_types.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => tensor_types.push((name, 1)),
        }
    }
    tensor_types.sort();
    FileReport {
        path,
        r#type: file.file_type.name(),
        tensors: file.tensors.len(),
        tensor_types,
        tensor_bytes: file.tensor_bytes(),
        file_bytes: file.file_bytes(),
        bits_per_weight: file.tensor_bytes() as f64 * 8.0 / file.element_count().max(1) as f64,
        weight_error: None,
        fallbacks: file.fallbacks.clone(),
        tied_head_bytes: file.tied_head_bytes,
        busy_s: None,
    }
}

fn weight_error(plan: &Plan, file: &FilePlan, losses: &[Option<Loss>]) -> WeightError {
    let mut all = Loss::default();
    let mut worst: Option<(usize, &Loss)> = None;
    for (i, loss) in losses.iter().enumerate() {
        let Some(loss) = loss else { continue };
        all += *loss;
        if worst.is_none_or(|(_, other)| loss.relative_rmse() > other.relative_rmse()) {
            worst = Some((i, loss));
        }
    }
    WeightError {
        relative_rmse: all.relative_rmse(),
        cosine: all.cosine(),
        worst: worst.map(|(i, loss)| Worst {
            tensor: plan.tensors[i].name.clone(),
            r#type: file.tensors[file.places[i]].ggml_type.name(),
            relative_rmse: loss.relative_rmse(),
            cosine: loss.cosine(),
        }),
    }
}

fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = plan.warnings.clone();
    if plan.head == Head::TiedButDifferent {
        warnings.push(
            "config.json ties the head to the embedding, but the stored lm_head.weight is another matrix; the \
             file keeps it, as llama.cpp's converter and transformers 5 do; transformers 4 uses the embedding instead"
                .to_owned(),
        );
    }
    warnings
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} weights, {} of safetensors; pre-tokenizer {}",
            self.architecture,
            grouped(self.parameters),
            bytes(self.source_bytes),
            self.pretokenizer
        )?;
        if let Some(merged) = &self.merged {
            write!(f, "{merged}")?;
        }
        writeln!(f)?;
        let columns = ["type", "tensors", "tensor bytes", "bits/weight", "rel. RMSE", "cosine", "busy s"];
        row(f, columns.map(str::to_owned), "worst tensor")?;
        for file in &self.files {
            let error = file.weight_error.as_ref();
            let worst = error
                .and_then(|error| error.worst.as_ref())
                .map(|worst| format!("{} {} ({:.6})", worst.tensor, worst.r#type, worst.relative_rmse));
            let columns = [
                file.r#type.to_owned(),
                file.tensors.to_string(),
                grouped(file.tensor_bytes),
                format!("{:.3}", file.bits_per_weight),
                measured(error.map(|error| error.relative_rmse), 6),
                measured(error.map(|error| error.cosine), 6),
                measured(file.busy_s, 1),
            ];
            row(f, columns, worst.as_deref().unwrap_or("—"))?;
        }
        writeln!(f)?;
        for file in &self.files {
            write_file(f, file)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let peak = |peak: Option<u64>| peak.map_or("—".to_owned(), bytes);
        match &self.cost {
            None => write!(f, "a plan: nothing was written")?,
            Some(cost) => write!(
                f,
                "{:.1} s, {:.1} CPU s; peak memory {} anonymous, {} resident",
                cost.wall_s,
                cost.cpu_s,
                peak(cost.peak_anonymous_bytes),
                peak(cost.peak_resident_bytes),
            )?,
        }
        if let Some(check) = &self.token_check {
            write!(
                f,
                "\ntokens: llama.cpp's and the checkpoint's are the same in {} texts ({} tokens), {:.1} s, peak memory \
                 {} resident",
                check.texts,
                grouped(check.tokens as u64),
                check.wall_s,
                peak(check.peak_resident_bytes),
            )?;
        }
        if let Some(made) = &self.answers {
            write!(
                f,
                "\nanswers to {} tokens of prompts are in the manifest, for `edgecall doctor` to compare with, {:.1} s",
                grouped(made.tokens as u64),
                made.wall_s
            )?;
        }
        match &self.witness {
            None => Ok(()),
            Some(WitnessCheck { verdict, kl_mean, wall_s }) => {
                let kl: Vec<String> = kl_mean.iter().map(|kl| measured(*kl, 4)).collect();
                write!(f, "\nwitness: {verdict}; KL mean {} nats, {wall_s:.1} s", kl.join(", "))
            }
        }
    }
}

/// The path and size of a file, and what its tensors are.
fn write_file(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    writeln!(f, "{}  {}", file.path.display(), bytes(file.file_bytes))?;
    let types: Vec<String> =
        file.tensor_types.iter().map(|(name, count)| format!("{count} {name}")).collect();
    writeln!(f, "  {}", types.join(", "))?;
    if let Some(head) = file.tied_head_bytes {
        writeln!(f, "  {} of it are a second copy of the embedding, which can be left out", bytes(head))?;
    }
    for (Fallback { tensor, wanted, got, row_len }, count) in grouped_fallbacks(&file.fallbacks) {
        writeln!(
            f,
            "  {count} with rows of {row_len}, no whole {wanted} blocks, are {got}: {tensor}{}",
            if count > 1 { " ..." } else { "" }
        )?;
    }
    Ok(())
}

fn row(f: &mut fmt::Formatter<'_>, columns: [String; 7], worst: &str) -> fmt::Result {
    let [name, tensors, bytes, bits, rmse, cosine, busy] = columns;
    writeln!(f, "{name:<8} {tensors:>7} {bytes:>15} {bits:>11} {rmse:>9} {cosine:>8} {busy:>6}  {worst}")
}

/// The first fallback of each kind, and the number of that kind.
fn grouped_fallbacks(fallbacks: &[Fallback]) -> Vec<(&Fallback, usize)> {
    let mut groups: Vec<(&Fallback, usize)> = Vec::new();
    for fallback in fallbacks {
        let kind = |fallback: &Fallback| (fallback.wanted, fallback.got, fallback.row_len);
        match groups.iter_mut().find(|(first, _)| kind(first) == kind(fallback)) {
            Some((_, count)) => *count += 1,
            None => groups.push((fallback, 1)),
        }
    }
    groups
}

fn measured(number: Option<f64>, decimals: usize) -> String {
    number.map_or("—".to_owned(), |number| format!("{number:.decimals$}"))
}
