//! What a conversion made, and what it cost.

use super::{
    output::Targets,
    peak::Peak,
    plan::{FilePlan, Plan},
    recipe::Fallback,
    tensors::Head,
};
use crate::{checkpoint::Checkpoint, quant::Loss};
use serde::Serialize;
use std::{fmt, path::PathBuf, time::Instant};

/// What a conversion made, or, without having run, what it would make.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
    /// llama.cpp's name of the pre-tokenizer.
    pub pretokenizer: String,
    /// The weights of the model as it is written.
    pub parameters: u64,
    /// The checkpoint's safetensors files, taken together.
    pub source_bytes: u64,
    /// The files, in the order they were asked for.
    pub files: Vec<FileReport>,
    /// What the user should know about this model.
    pub warnings: Vec<String>,
    /// What it cost; `None` for a plan.
    pub cost: Option<Cost>,
    /// The check that llama.cpp makes the checkpoint's tokens; `None` where it was not made.
    pub token_check: Option<TokenCheck>,
    /// What the models said to fixed prompts; `None` where they were not asked.
    pub answers: Option<AnswersMade>,
}

/// One written or planned file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its type on the command line.
    pub r#type: &'static str,
    /// How many tensors it has.
    pub tensors: usize,
    /// How many of them have each type, by ggml's names.
    pub tensor_types: Vec<(&'static str, usize)>,
    /// Their data, without padding.
    pub tensor_bytes: u64,
    /// The whole file.
    pub file_bytes: u64,
    /// The tensors' bits over their weights.
    pub bits_per_weight: f64,
    /// How far the matrices are from the checkpoint's; `None` for a plan.
    pub weight_error: Option<WeightError>,
    /// The matrices whose rows did not fit the type they were meant to have.
    pub fallbacks: Vec<Fallback>,
    /// What the stored copy of the embedding adds to the file; `None` where there is none.
    pub tied_head_bytes: Option<u64>,
    /// Seconds that the workers spent on this file, taken together; `None` for a plan.
    pub busy_s: Option<f64>,
}

/// How far the written matrices are from the checkpoint's, over all weights of those that are not kept
/// to the bit.
#[derive(Clone, Debug, Serialize)]
pub struct WeightError {
    /// Root of the mean squared difference over that of the mean square; 0 if all are kept.
    pub relative_rmse: f64,
    /// Cosine of the angle between them; 1 if all are kept.
    pub cosine: f64,
    /// The tensor with the largest relative RMSE; `None` if all are kept.
    pub worst: Option<Worst>,
}

/// The tensor that suffered most.
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
    /// Seconds from the first byte to the hashes of the written files, the token check not included.
    pub wall_s: f64,
    /// Processor seconds of this process until then, over all threads.
    pub cpu_s: f64,
    /// Peak of memory with nothing behind it but RAM (`RssAnon`, looked at every 50 ms) meanwhile.
    pub peak_anonymous_bytes: Option<u64>,
    /// Peak of all resident memory of this process until then (`VmHWM`), planning included.
    pub peak_resident_bytes: Option<u64>,
}

/// A token check that found no difference. It runs behind everything else and is counted by itself.
#[derive(Clone, Debug, Serialize)]
pub struct TokenCheck {
    /// How many texts were compared.
    pub texts: usize,
    /// How many tokens they have.
    pub tokens: usize,
    /// Seconds, loading the vocabulary included.
    pub wall_s: f64,
    /// Peak of all resident memory of this process until then (`VmHWM`).
    pub peak_resident_bytes: Option<u64>,
}

/// Answers that stand in the manifests. They are computed behind everything else and counted by themselves.
#[derive(Clone, Debug, Serialize)]
pub struct AnswersMade {
    /// How many files have them.
    pub files: usize,
    /// How many tokens the prompts have, all files together.
    pub tokens: usize,
    /// Seconds, loading included.
    pub wall_s: f64,
}

impl TokenCheck {
    /// A check that has just been made.
    pub fn made(texts: usize, tokens: usize, wall_s: f64) -> TokenCheck {
        TokenCheck { texts, tokens, wall_s, peak_resident_bytes: Peak::start().resident_bytes }
    }
}

impl Report {
    /// What `plan` would make.
    pub fn planned(checkpoint: &Checkpoint, plan: &Plan, targets: &Targets) -> Report {
        let files =
            plan.files.iter().zip(targets.paths()).map(|(file, path)| file_report(file, path.clone()));
        Report {
            architecture: plan.architecture,
            pretokenizer: plan.pretokenizer.clone(),
            parameters: plan.files.first().map_or(0, FilePlan::element_count),
            source_bytes: checkpoint.shards.files().iter().map(|file| file.file_bytes).sum(),
            files: files.collect(),
            warnings: warnings(plan),
            cost: None,
            token_check: None,
            answers: None,
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
            cpu_s: cpu_s(),
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
             file keeps it as llama.cpp's converter does, while transformers would not use it"
                .to_owned(),
        );
    }
    warnings
}

/// Processor seconds of this process so far, over all threads.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
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
            writeln!(f, "{}  {}", file.path.display(), bytes(file.file_bytes))?;
            let types: Vec<String> =
                file.tensor_types.iter().map(|(name, count)| format!("{count} {name}")).collect();
            writeln!(f, "  {}", types.join(", "))?;
            if let Some(head) = file.tied_head_bytes {
                writeln!(
                    f,
                    "  {} of it are a second copy of the embedding; --drop-tied-head leaves it out",
                    bytes(head)
                )?;
            }
            for (Fallback { tensor, wanted, got, row_len }, count) in grouped_fallbacks(&file.fallbacks) {
                writeln!(
                    f,
                    "  {count} with rows of {row_len}, no whole {wanted} blocks, are {got}: {tensor}{}",
                    if count > 1 { " ..." } else { "" }
                )?;
            }
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
        match &self.answers {
            None => Ok(()),
            Some(made) => write!(
                f,
                "\nanswers to {} tokens of prompts are in the manifest, for `edgecall doctor` to compare with, {:.1} s",
                grouped(made.tokens as u64),
                made.wall_s
            ),
        }
    }
}

fn row(f: &mut fmt::Formatter<'_>, columns: [String; 7], worst: &str) -> fmt::Result {
    let [name, tensors, bytes, bits, rmse, cosine, busy] = columns;
    writeln!(f, "{name:<8} {tensors:>7} {bytes:>15} {bits:>11} {rmse:>9} {cosine:>8} {busy:>6}  {worst}")
}

/// The first of each kind of fallback, and how many there are of it.
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

/// A size for people: `1.10 GB`, powers of 1000.
pub(super) fn bytes(bytes: u64) -> String {
    let size = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", size / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size / 1e6),
        _ => format!("{:.2} GB", size / 1e9),
    }
}

/// A number with thin groups of three: `1,101,457,408`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_written_for_people() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_101_457_408), "1.10 GB");
        assert_eq!(grouped(1_101_457_408), "1,101,457,408");
        assert_eq!(grouped(12), "12");
    }
}
