//! Findings, each with a remedy, and the verdict over all of them.

use super::ModelReport;
use crate::remedy::Remedy;
use serde::Serialize;

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Topic of the finding.
    pub topic: Topic,
    /// Severity of the finding.
    pub severity: Severity,
    /// Description of the finding.
    pub what: String,
    /// Remedy to try.
    pub remedy: String,
    /// Changes of the run, each of which would help by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Remedy>,
}

/// Topic of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Answers of the model.
    Answers,
    /// Bytes of the model's file.
    File,
    /// The profile in the model's file.
    Profile,
    /// Temperature, power supply and frequency.
    Sensors,
    /// Memory and swapping.
    Memory,
    /// Limits of the process.
    Limits,
    /// Load of other programs.
    Load,
    /// Speed of prefill and decode.
    Speed,
    /// CPU features and kernels.
    Kernels,
    /// Cache folder of calls.
    Cache,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is wrong; the exit code shows it.
    Wrong,
    /// Worth knowing.
    Note,
}

impl Finding {
    /// Creates a finding of something that is wrong.
    pub fn wrong(topic: Topic, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            topic,
            severity: Severity::Wrong,
            what: what.into(),
            remedy: remedy.into(),
            changes: Vec::new(),
        }
    }

    /// Creates a finding that is worth knowing.
    pub fn note(topic: Topic, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            topic,
            severity: Severity::Note,
            what: what.into(),
            remedy: remedy.into(),
            changes: Vec::new(),
        }
    }
}

/// The verdict over all findings, in one line.
pub(super) fn verdict(findings: &[Finding], model: Option<&ModelReport>) -> String {
    let wrong: Vec<&Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Wrong).collect();
    // A memory shortage has details in further lines.
    let first_line = |finding: &&Finding| finding.what.lines().next().unwrap_or_default().to_owned();
    match (wrong.as_slice(), model) {
        ([], None) => "nothing is wrong with this machine".to_owned(),
        ([], Some(model)) => {
            let speed = match model.speed.as_ref().is_some_and(super::speed::Speed::is_judged) {
                true => "as fast as this machine allows",
                false => "nothing is wrong with this machine",
            };
            format!("{speed}; {}", model.answers.verdict())
        }
        ([one], _) => format!("wrong: {}", first_line(one)),
        (several, _) => {
            // Numbered, since a finding may have semicolons of its own.
            let lines: Vec<String> = several
                .iter()
                .zip(1..)
                .map(|(finding, n)| format!("({n}) {}", first_line(finding)))
                .collect();
            format!("{} things are wrong: {}", several.len(), lines.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_makes_the_verdict_and_notes_do_not() {
        let note = Finding::note(Topic::Cache, "the folder is not there yet", "nothing");
        assert_eq!(verdict(std::slice::from_ref(&note), None), "nothing is wrong with this machine");
        let hot = Finding::wrong(Topic::Sensors, "the CPU is held back", "cool it");
        assert_eq!(verdict(&[note, hot.clone()], None), "wrong: the CPU is held back");
        let memory = Finding::wrong(Topic::Memory, "no memory\n  weights 5\n", "less");
        let both = "2 things are wrong: (1) the CPU is held back; (2) no memory";
        assert_eq!(verdict(&[hot.clone(), memory], None), both);
        let slow = Finding::wrong(Topic::Speed, "prefill is slow; decode is slow", "no reason is known");
        let both = "2 things are wrong: (1) the CPU is held back; (2) prefill is slow; decode is slow";
        assert_eq!(verdict(&[hot, slow], None), both);
    }
}
