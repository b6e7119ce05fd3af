//! Facts about the machine from the operating system, and findings on them.

use super::{
    finding::{Finding, Topic},
    words::shown,
};
use crate::{
    cache::{Cache, FolderState},
    display::visible,
    machine::{self, Firmware, Limits, Load, Machine, Processor, Sensors},
    runtime::kernels::{self, Kernels},
};
use serde::Serialize;
use std::path::Path;

/// Remedy for a lack of memory.
pub(super) const MORE_MEMORY: &str = "end other programs, or take a smaller model or a shorter context";
/// Temperature above which a CPU will soon be throttled. A Raspberry Pi throttles at 80 to 85 degrees, others at 90 to
/// 105.
const HOT_CELSIUS: f64 = 85.0;
/// Kernels of this program that are not in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Name of the kernels.
    pub name: &'static str,
    /// Instruction sets that they need and this CPU lacks. Empty if the CPU could run them, but others are faster or
    /// were requested.
    pub missing: Vec<&'static str>,
}

/// Facts about the machine, as the operating system reports them.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The processor and its board.
    pub processor: Processor,
    /// The architecture that this program was built for.
    pub architecture: &'static str,
    /// Instruction sets that the CPU has, of those that some kernels use.
    pub features: Vec<&'static str>,
    /// Name of the kernels that compute.
    pub kernels: &'static str,
    /// CPU features that the kernels do not use.
    pub unused_features: Vec<&'static str>,
    /// Other kernels of this program.
    pub kernels_left_out: Vec<LeftOut>,
    /// Number of threads that calls use.
    pub threads: usize,
    /// Limits of this process; `None` if unknown.
    pub limits: Option<Limits>,
    /// Memory; `None` if unknown.
    pub memory: Option<Machine>,
    /// Size of the swap space and the part in use, in bytes; `None` if unknown.
    pub swap_bytes: Option<(u64, u64)>,
    /// Size of a memory page, in bytes; `None` if unknown.
    pub page_bytes: Option<u64>,
    /// Cache folder of calls; `None` if the user has none.
    pub cache: Option<FolderState>,
    /// CPU temperature in degrees Celsius; `None` if unknown.
    pub celsius: Option<f64>,
    /// Frequency of the fastest CPU, in MHz; `None` if unknown.
    pub mhz: Option<f64>,
    /// Highest frequency of any CPU, in MHz.
    pub max_mhz: Option<f64>,
    /// Frequency governor.
    pub governor: Option<String>,
    /// State of a Raspberry Pi's firmware.
    pub firmware: Option<Firmware>,
    /// Load of other programs while edgecall was idle.
    pub load: Option<Load>,
}

impl Facts {
    /// Collects the facts of the system whose files are below `root`, for calls with the kernels `active` on `threads`
    /// threads.
    pub fn gather(
        root: &Path,
        active: &'static Kernels,
        threads: usize,
        cache_folder: Option<&Path>,
    ) -> Facts {
        let sensors = Sensors::below(root);
        let others = kernels::compiled().into_iter().filter(|kernels| kernels.name != active.name);
        Facts {
            processor: Processor::below(root),
            architecture: std::env::consts::ARCH,
            features: kernels::features(),
            kernels: active.name,
            unused_features: useful(active.unused(), &kernels::features()),
            kernels_left_out: others
                .map(|kernels| LeftOut { name: kernels.name, missing: kernels.missing() })
                .collect(),
            threads,
            limits: Limits::below(root),
            memory: Machine::below(root),
            swap_bytes: machine::swap(root),
            page_bytes: machine::page_bytes(root),
            cache: cache_folder.map(|folder| Cache::new(folder).folder_state()),
            celsius: sensors.celsius(),
            mhz: sensors.mhz(),
            max_mhz: sensors.max_mhz(),
            governor: sensors.governor(),
            firmware: sensors.firmware(),
            load: None,
        }
    }

    /// Findings on the machine alone.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        self.limit_findings(&mut found);
        self.judge_sensors(&mut found);
        found.extend(self.kernel_finding());
        match &self.cache {
            None => found.push(Finding::note(
                Topic::Cache,
                "the user has no cache folder: each call computes its prompt from the beginning",
                "set HOME or XDG_CACHE_HOME, or name a folder",
            )),
            Some(FolderState { path, problem: Some(problem), .. }) => found.push(Finding::wrong(
                Topic::Cache,
                format!("{}: {}: calls keep and use nothing", shown(path), visible(problem)),
                format!("make {} a folder of your own that nobody else may use (chmod 700)", shown(path)),
            )),
            Some(FolderState { limit_bytes: Some(limit), free_bytes: Some(free), .. })
                if *limit < 64 << 20 =>
            {
                found.push(Finding::note(
                    Topic::Cache,
                    format!(
                        "the disk of the cache folder has {} MiB left: hardly a state can be kept",
                        free >> 20
                    ),
                    "free some space, or name a folder on another disk",
                ));
            }
            Some(_) => {}
        }
        found
    }

    /// Finding on instructions of this CPU that the kernels do not use.
    fn kernel_finding(&self) -> Option<Finding> {
        if self.unused_features.is_empty() {
            return None;
        }
        let what =
            format!("the kernels {} do not use this CPU's {}", self.kernels, self.unused_features.join(", "));
        // Kernels are sorted from slowest to fastest: the last that can run is the best.
        let better = self.kernels_left_out.iter().rev().find(|kernels| kernels.missing.is_empty());
        let is_named = better.filter(|better| {
            kernels::compiled().iter().position(|kernels| kernels.name == better.name)
                > kernels::compiled().iter().position(|kernels| kernels.name == self.kernels)
        });
        Some(Finding::note(
            Topic::Kernels,
            what,
            match is_named {
                Some(better) => format!("{} are faster: leave the choice to the program", better.name),
                None => "this program has none that do, or ggml has none that are safe".to_owned(),
            },
        ))
    }

    fn judge_sensors(&self, found: &mut Vec<Finding>) {
        const SUPPLY: &str =
            "take a stronger supply (27 W for a Raspberry Pi 5, 15 W for a 4) and a short, thick cable";
        const COOL: &str = "give it a fan or a heat sink, or more air, and look again when it is cool";
        if let Some(firmware) = self.firmware {
            match (firmware.under_voltage, firmware.throttled) {
                (true, _) => {
                    found.push(Finding::wrong(Topic::Sensors, "the supply's voltage is too low", SUPPLY))
                }
                (_, true) => {
                    found.push(Finding::wrong(Topic::Sensors, "the CPU is held back: it is too hot", COOL))
                }
                _ => {}
            }
            match (firmware.had_under_voltage, firmware.had_throttled) {
                (true, _) if !firmware.under_voltage => {
                    found.push(Finding::note(
                        Topic::Sensors,
                        "the supply's voltage was too low since the start",
                        SUPPLY,
                    ));
                }
                (_, true) if !firmware.throttled => {
                    found.push(Finding::note(Topic::Sensors, "the CPU was held back since the start", COOL));
                }
                _ => {}
            }
        } else if let Some(celsius) = self.celsius.filter(|&celsius| celsius >= HOT_CELSIUS) {
            found.push(Finding::wrong(Topic::Sensors, format!("the CPU is at {celsius:.0} °C"), COOL));
        }
        if self.governor.as_deref() == Some("powersave")
            && self.mhz.zip(self.max_mhz).is_some_and(|(now, max)| now < 0.6 * max)
        {
            found.push(Finding::note(
                Topic::Sensors,
                "the governor `powersave` keeps the frequency low",
                "choose another one: cpupower frequency-set -g performance (or ondemand, schedutil)",
            ));
        }
    }
}

/// Those of the `unused` features that other kernels would gain from, on a CPU with these `features`: AVX-512 VNNI
/// multiplies twice as many numbers at once as AVX-VNNI.
fn useful(mut unused: Vec<&'static str>, features: &[&str]) -> Vec<&'static str> {
    if features.contains(&"AVX-512 VNNI") {
        unused.retain(|feature| *feature != "AVX-VNNI");
    }
    unused
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{doctor::Severity, machine::fixture};

    const PI: [(&str, &str); 8] = [
        ("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"),
        (
            "proc/meminfo",
            "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\nSwapTotal: 1024 kB\nSwapFree: 24 kB\n",
        ),
        ("proc/self/status", "Cpus_allowed_list:\t0-3\n"),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "61342\n"),
        ("sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
    ];

    /// Facts of a Raspberry Pi with these `files`, too.
    pub(in crate::doctor) fn facts(files: &[(&str, &str)], threads: usize) -> Facts {
        let root = fixture(&[&PI, files].concat());
        let cache = root.path().join("cache");
        let facts = Facts::gather(root.path(), kernels::active().unwrap(), threads, Some(&cache));
        // Features of this CPU beyond the build do not matter in these tests.
        Facts { unused_features: Vec::new(), ..facts }
    }

    /// The findings that are wrong.
    pub(in crate::doctor) fn wrong(facts: &Facts) -> Vec<String> {
        let found = facts.findings().into_iter();
        found.filter(|finding| finding.severity == Severity::Wrong).map(|finding| finding.what).collect()
    }

    #[test]
    fn a_quiet_raspberry_pi_has_nothing_wrong() {
        let facts = facts(&[], 4);
        assert_eq!(facts.findings(), []);
        assert_eq!(facts.processor.name.as_deref(), Some("Cortex-A72"));
        assert_eq!((facts.celsius, facts.swap_bytes), (Some(61.342), Some((1 << 20, 1000 << 10))));
        assert_eq!(facts.memory.unwrap().available_bytes, 3 << 30);
    }

    #[test]
    fn a_weak_supply_and_heat_are_wrong_while_they_last() {
        let firmware = |bits| facts(&[(PI[7].0, bits)], 4);
        assert_eq!(wrong(&firmware("50005\n")), ["the supply's voltage is too low"]);
        assert_eq!(wrong(&firmware("40004\n")), ["the CPU is held back: it is too hot"]);
        let was = firmware("50000\n");
        assert_eq!(wrong(&was), [""; 0]);
        assert_eq!(was.findings().len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_kept_in_is_wrong() {
        let root = fixture(&[("cache", "a file")]);
        let facts =
            Facts::gather(root.path(), kernels::active().unwrap(), 1, Some(&root.path().join("cache")));
        let found = Facts { unused_features: Vec::new(), ..facts }.findings();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].topic, found[0].severity), (Topic::Cache, Severity::Wrong));
    }

    #[test]
    fn avx_vnni_is_of_no_use_beside_avx_512_vnni() {
        let both = ["AVX-VNNI", "AVX-512 VNNI"];
        assert_eq!(useful(vec!["AVX-VNNI"], &both), [""; 0]);
        assert_eq!(useful(vec!["AVX-VNNI", "AVX-512 VNNI"], &both), ["AVX-512 VNNI"]);
        assert_eq!(useful(vec!["AVX-VNNI"], &["AVX-VNNI"]), ["AVX-VNNI"]);
    }

    #[test]
    fn the_path_of_the_cache_folder_steers_no_terminal() {
        let root = fixture(&[("a", "a file")]);
        let folder = root.path().join("a").join("\u{1b}[2Jb");
        let facts = Facts::gather(root.path(), kernels::active().unwrap(), 1, Some(&folder));
        let found = facts.findings().into_iter().find(|finding| finding.topic == Topic::Cache).unwrap();
        assert!(found.what.contains("\\u{1b}[2Jb") && !found.what.contains('\u{1b}'), "{}", found.what);
    }
}
