//! What is wrong or could be better, each with what to do about it; and the verdict over all of them.

use super::ModelReport;
use serde::Serialize;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub topic: Topic,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// What the model says.
    Answers,
    /// The bytes of the model's file.
    File,
    /// Temperature, supply, frequency.
    Sensors,
    /// Memory and swapping.
    Memory,
    /// Limits of the process.
    Limits,
    /// Other programs.
    Load,
    /// Prefill and decode.
    Speed,
    /// Instructions and kernels.
    Kernels,
    /// The folder of what calls keep.
    Cache,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is wrong: the exit code says so.
    Wrong,
    /// Worth to know.
    Note,
}

impl Finding {
    /// Something that is wrong.
    pub fn wrong(topic: Topic, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { topic, severity: Severity::Wrong, what: what.into(), remedy: remedy.into() }
    }

    /// Something that is worth to know.
    pub fn note(topic: Topic, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { topic, severity: Severity::Note, what: what.into(), remedy: remedy.into() }
    }
}

/// The whole in one line.
pub(super) fn verdict(findings: &[Finding], model: Option<&ModelReport>) -> String {
    let wrong: Vec<&Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Wrong).collect();
    // A shortage tells its numbers in further lines.
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
            let lines: Vec<String> = several.iter().map(first_line).collect();
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
        let both = "2 things are wrong: the CPU is held back; no memory";
        assert_eq!(verdict(&[hot, memory], None), both);
    }
}
