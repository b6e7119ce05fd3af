//! The report as text for people.

use super::{
    Finding, ModelReport, Report, Severity,
    answers::{Compared, Reference, Way},
    facts::{Facts, LeftOut},
    hash::FileState,
    speed::{Rate, Speed},
    words::{shown, threads},
};
use crate::{display::visible, machine::Limits};
use std::fmt;

/// Writes a fact after its name.
fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{name:<18}{value}")
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "edgecall", format_args!("{}, {}", self.edgecall, self.engine))?;
        write!(f, "{}", self.machine)?;
        row(
            f,
            "possible",
            format_args!(
                "{:.1} GB/s of memory, {:.1} billion 8-bit products a second, {}",
                self.ceiling.bytes_per_s / 1e9,
                self.ceiling.multiply_adds_per_s / 1e9,
                threads(self.ceiling.threads)
            ),
        )?;
        if let Some(model) = &self.model {
            write!(f, "\n{model}")?;
        }
        for Finding { severity, what, remedy, changes, .. } in &self.findings {
            let severity = match severity {
                Severity::Wrong => "wrong",
                Severity::Note => "note",
            };
            write!(f, "\n{severity}: {what}\n  {remedy}\n")?;
            for change in changes {
                writeln!(f, "  {change}")?;
            }
        }
        write!(f, "\n{}", self.verdict)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "not told by the system".to_owned();
        let names = [self.processor.board.as_deref(), self.processor.name.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        row(f, "processor", if names.is_empty() { unknown() } else { names.join(", ") })?;
        row(f, "features", format_args!("{}, {}", self.architecture, self.features.join(", ")))?;
        row(f, "kernels", self.kernels)?;
        for LeftOut { name, missing } in &self.kernels_left_out {
            match missing.as_slice() {
                [] => {
                    row(f, "  left out", format_args!("{name}: this CPU can run them, and others compute"))?
                }
                missing => {
                    row(f, "  left out", format_args!("{name}: this CPU has no {}", missing.join(", ")))?
                }
            }
        }
        row(f, "threads", self.threads)?;
        row(f, "limits", self.limits.as_ref().map_or_else(unknown, limits))?;
        let memory = self.memory.map(|memory| {
            format!("{} MiB available of {}", mib(memory.available_bytes), mib(memory.total_bytes))
        });
        let swap = match self.swap_bytes {
            Some((0, _)) => ", no swap".to_owned(),
            Some((total, used)) => format!(", {} of {} MiB of swap used", mib(used), mib(total)),
            None => String::new(),
        };
        row(f, "memory", memory.unwrap_or_else(unknown) + &swap)?;
        let page = self.page_bytes.map(|bytes| format!("{} KiB", bytes >> 10));
        row(f, "page", page.unwrap_or_else(unknown))?;
        match &self.cache {
            None => row(f, "cache", "no folder")?,
            Some(cache) => {
                let state = match (&cache.problem, cache.exists) {
                    (Some(problem), _) => visible(problem),
                    (None, true) => format!("{} files, {} MiB", cache.files, mib(cache.bytes)),
                    (None, false) => "not there yet".to_owned(),
                };
                let disk = cache.free_bytes.map(|free| format!("; the disk has {} MiB left", mib(free)));
                row(f, "cache", format!("{}: {state}{}", shown(&cache.path), disk.unwrap_or_default()))?;
            }
        }
        row(f, "heat", heat(self))?;
        let load = self.load.map(|load| match load.stolen_cpus >= 0.05 {
            true => format!(
                "others keep {:.1} CPUs busy, {:.1} are with other machines",
                load.others_cpus, load.stolen_cpus
            ),
            false => format!("others keep {:.1} CPUs busy", load.others_cpus),
        });
        row(f, "load", load.unwrap_or_else(unknown))
    }
}

fn limits(limits: &Limits) -> String {
    let mut parts = vec![format!("{} of {} CPUs", limits.allowed_cpus, limits.online_cpus)];
    parts.extend(limits.allowed_cores.map(|cores| format!("{cores} cores")));
    parts.extend(limits.quota_cpus.map(|quota| format!("the time of {quota:.1} CPUs")));
    parts.extend(limits.group_tasks_left.map(|left| format!("{left} more threads in the control group")));
    parts.extend(limits.user_tasks.map(|tasks| format!("{tasks} threads of the user")));
    parts.extend(limits.address_space_bytes.map(|bytes| format!("{} MiB of addresses", mib(bytes))));
    parts.join(", ")
}

fn heat(facts: &Facts) -> String {
    let mut parts = Vec::new();
    parts.extend(facts.celsius.map(|celsius| format!("{celsius:.0} °C")));
    match (facts.mhz, facts.max_mhz) {
        (Some(mhz), Some(max)) => parts.push(format!("{mhz:.0} of {max:.0} MHz")),
        (Some(mhz), None) => parts.push(format!("{mhz:.0} MHz")),
        _ => {}
    }
    parts.extend(facts.governor.as_ref().map(|governor| format!("governor {governor}")));
    parts.extend(facts.firmware.map(|firmware| {
        let held = firmware.throttled || firmware.under_voltage;
        if held { "held back now" } else { "not held back" }.to_owned()
    }));
    if parts.is_empty() { "not told by the system".to_owned() } else { parts.join(", ") }
}

impl fmt::Display for ModelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "model", shown(&self.path))?;
        row(
            f,
            "file",
            match self.file {
                FileState::Same => "every byte as its manifest says",
                FileState::SameLength => "as long as its manifest says; too long to be read now",
                FileState::Differs => "not the one that its manifest was written for",
                FileState::NoManifest => "no manifest beside it",
                FileState::UnusableManifest => "a manifest beside it that cannot be used",
                FileState::Unreadable => "cannot be read to its end",
            },
        )?;
        row(f, "weights", if self.repack { "rearranged for this CPU" } else { "as the file has them" })?;
        if let Some(speed) = &self.speed {
            write!(f, "{speed}")?;
        }
        write!(f, "\n{}", self.answers)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "loaded in", format_args!("{:.2} s", self.load_s))?;
        writeln!(f)?;
        writeln!(f, "{:<18}{:>10}{:>20}{:>12}", "", "tokens/s", "expected at least", "possible")?;
        let number = |number: Option<f64>| number.map_or("—".to_owned(), |number| format!("{number:.1}"));
        for (name, rate) in [("prefill", &self.prefill), ("decode", &self.decode)] {
            let Rate { tokens, tokens_per_s, possible_tokens_per_s, expected_tokens_per_s } = rate;
            writeln!(
                f,
                "{:<18}{tokens_per_s:>10.1}{:>20}{:>12}",
                format!("{name}, {tokens}"),
                number(*expected_tokens_per_s),
                number(*possible_tokens_per_s)
            )?;
        }
        if let Some(heat) = self.heat.words() {
            writeln!(f, "{heat}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = match &self.reference {
            Reference::Manifest { kernels, .. } => format!("the manifest's, of {}", visible(kernels)),
            Reference::ThisMachine => "the first way's".to_owned(),
        };
        writeln!(f, "answers beside {beside}")?;
        let head = ["prompts", "first token", "KL mean", "KL max", "at most", "s"];
        writeln!(
            f,
            "{:<18}{:>8}{:>13}{:>9}{:>9}{:>9}{:>7}",
            "", head[0], head[1], head[2], head[3], head[4], head[5]
        )?;
        for way in &self.ways {
            let Way { name, prompts, top1, kl_max, kl_mean, kl_bound, flaw, seconds, .. } = way;
            match flaw {
                Some(flaw) => writeln!(f, "{name:<18}  {flaw}")?,
                None => writeln!(
                    f,
                    "{name:<18}{prompts:>8}{:>13}{kl_mean:>9.4}{kl_max:>9.4}{:>9}{seconds:>7.1}",
                    format!("{top1} right"),
                    kl_bound.map_or("—".to_owned(), |bound| format!("{bound:.2}"))
                )?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::words::cpus;
    use std::path::Path;

    #[test]
    fn a_manifest_and_a_path_steer_no_terminal() {
        let reference =
            Reference::Manifest { kernels: "\u{1b}[31mEVIL\nline".into(), engine: "llama.cpp".into() };
        let text = Compared { reference, ways: Vec::new() }.to_string();
        assert!(text.starts_with("answers beside the manifest's, of \\u{1b}[31mEVIL\\nline\n"), "{text}");
        assert_eq!(shown(Path::new("\u{1b}[2J/a\nb")), "\\u{1b}[2J/a\\nb");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            (threads(1), threads(2), cpus(1)),
            ("1 thread".into(), "2 threads".into(), "1 CPU".into())
        );
    }
}
