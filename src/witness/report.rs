//! The report: the verdict in one line, then what was compared.

use super::{
    Error, Finding, Probabilities, WeightsReport, Witness, template::TemplateReport, tokens::TokensReport,
};
use crate::display::grouped;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Result of the comparison of a file with its witness.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// True if nothing is wrong.
    pub ok: bool,
    /// Verdict in one line.
    pub verdict: String,
    /// Differences, in the order of the stages.
    pub findings: Vec<Finding>,
    /// Conversations rendered by the file's template.
    pub template: TemplateReport,
    /// Texts tokenized by the file's vocabulary.
    pub tokens: TokensReport,
    /// Number of keys that were compared with the trainer's configuration.
    pub keys: usize,
    /// Tensors compared with the trainer's marks of them.
    pub weights: WeightsReport,
    /// Probabilities after the trainer's ids; `None` if the file's vocabulary does not have them.
    pub probabilities: Option<Probabilities>,
    /// Versions of the programs that wrote the witness.
    pub made_with: BTreeMap<String, String>,
}

/// Results of all stages.
pub(super) struct Stages {
    pub template: TemplateReport,
    pub tokens: TokensReport,
    pub keys: usize,
    pub weights: WeightsReport,
    pub probabilities: Option<Probabilities>,
}

impl Report {
    pub(super) fn new(path: &Path, witness: &Witness, stages: Stages, mut findings: Vec<Finding>) -> Report {
        findings.sort_by_key(|finding| (!finding.is_wrong(), finding.cause));
        let wrong: Vec<&Finding> = findings.iter().filter(|finding| finding.is_wrong()).collect();
        let verdict = match wrong.as_slice() {
            [] => "the file says what the trainer's model says".to_owned(),
            [one] => format!("wrong: {}: {}", one.cause.name(), one.what),
            several => {
                let mut names: Vec<&str> = several.iter().map(|finding| finding.cause.name()).collect();
                names.dedup();
                format!("wrong: {}", names.join(", "))
            }
        };
        let Stages { template, tokens, keys, weights, probabilities } = stages;
        Report {
            path: path.to_path_buf(),
            ok: wrong.is_empty(),
            verdict,
            findings,
            template,
            tokens,
            keys,
            weights,
            probabilities,
            made_with: witness.made_with.clone(),
        }
    }
}

impl Report {
    /// The report, if nothing is wrong with the file, which will be at `target`.
    ///
    /// # Errors
    /// [`Error::Differs`] with what is wrong.
    pub fn expect_ok(self, target: &Path) -> Result<Report, Error> {
        if self.ok {
            return Ok(self);
        }
        let wrong = self.findings.iter().filter(|finding| finding.is_wrong());
        let list: Vec<String> =
            wrong.map(|finding| format!("\n  {}: {}", finding.cause.name(), finding.what)).collect();
        let verdict =
            format!("{}{}", self.verdict, if list.len() > 1 { list.concat() } else { String::new() });
        Err(Error::Differs { path: target.to_path_buf(), verdict })
    }
}

/// Writes a fact after its name.
fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    write!(f, "\n{name:<16}{value}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.verdict)?;
        for finding in &self.findings {
            let severity = if finding.is_wrong() { "wrong" } else { "note" };
            write!(f, "\n{severity}: {}: {}\n  {}", finding.cause.name(), finding.what, finding.remedy)?;
        }
        let TemplateReport { conversations, same } = self.template;
        row(f, "template", format_args!("{same} of {conversations} conversations rendered alike"))?;
        let TokensReport { texts, same, tokens, .. } = self.tokens;
        row(f, "tokens", format_args!("{same} of {texts} texts alike, {} tokens", grouped(tokens as u64)))?;
        row(f, "configuration", format_args!("{} keys compared", self.keys))?;
        row(f, "weights", &self.weights)?;
        match &self.probabilities {
            Some(probabilities) => row(f, "probabilities", probabilities)?,
            None => {
                row(f, "probabilities", "not compared: the vocabulary is too small for the trainer's ids")?
            }
        }
        let versions: Vec<String> =
            self.made_with.iter().map(|(name, version)| format!("{name} {version}")).collect();
        row(f, "witness", format_args!("of {}", versions.join(", ")))
    }
}

impl fmt::Display for WeightsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} tensors alike", self.tensors - self.different, self.tensors)?;
        if self.skipped > 0 {
            write!(f, ", {} of other types not compared", self.skipped)?;
        }
        if let Some(largest) = &self.largest {
            let super::Deviation { tensor, r#type, relative, allowed } = largest;
            write!(f, "; furthest {tensor} {type}, {relative:.4} of its size, at most {allowed}")?;
        }
        match self.adapter_scale {
            Some(scale) => write!(f, "; adapter {scale:.2} times"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Probabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probabilities { positions, top1, kl_mean, kl_max, .. } = self;
        if let Some(flaw) = &self.flaw {
            return write!(f, "{flaw}");
        }
        write!(
            f,
            "{top1} of {positions} likeliest tokens alike, KL mean {kl_mean:.4}, largest {kl_max:.4} nats"
        )?;
        match (self.kl_usual, self.kl_limit) {
            (Some((from, to)), Some(limit)) => write!(f, "; usual {from} to {to}, at most {limit}"),
            _ => Ok(()),
        }
    }
}
