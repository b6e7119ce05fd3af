//! Facts about the machine from the operating system, and findings on them.

use super::finding::{Finding, Topic};
use crate::{
    cache::{Cache, FolderState},
    machine::{self, Firmware, Limits, Load, Machine, Processor, Sensors},
    runtime::kernels::{self, Kernels},
};
use serde::Serialize;
use std::path::Path;

/// Remedy for a lack of memory.
pub(super) const MORE_MEMORY: &str = "end other programs, or take a smaller model or a shorter context";
/// Number of threads besides the computing ones: for reading, writing and Ctrl-C.
const OTHER_THREADS: u64 = 6;
/// Temperature above which a CPU will soon be throttled. A Raspberry Pi throttles at 80 to 85 degrees, others at 90 to
/// 105.
const HOT_CELSIUS: f64 = 85.0;
/// Share of the CPUs above which other programs slow calls down.
const BUSY_SHARE: f64 = 0.1;

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
            unused_features: active.unused(),
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
        self.judge_limits(&mut found);
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
                format!("{}: {problem}: calls keep and use nothing", path.display()),
                format!("make {} a folder of your own that nobody else may use (chmod 700)", path.display()),
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

    fn judge_limits(&self, found: &mut Vec<Finding>) {
        let Some(limits) = &self.limits else { return };
        let wanted = self.threads as u64 + OTHER_THREADS;
        if let Some(left) = limits.group_tasks_left.filter(|&left| left < wanted) {
            found.push(Finding::wrong(
                Topic::Limits,
                format!("the control group lets {left} more threads be started, and a call starts up to {wanted}"),
                "raise the group's pids.max (systemd: TasksMax; containers: the limit of pids), or compute with fewer threads",
            ));
        }
        if let Some(quota) = limits.quota_cpus.filter(|&quota| quota < self.threads as f64) {
            found.push(Finding::wrong(
                Topic::Limits,
                format!(
                    "{} threads compute and a control group gives them the time of {quota:.1} CPUs: they wait for each \
                     other",
                    self.threads
                ),
                format!("compute with {} threads, or raise the quota", quota.floor().max(1.0)),
            ));
        }
        if limits.allowed_cpus < limits.online_cpus {
            found.push(Finding::note(
                Topic::Limits,
                format!("this process may run on {} of {} CPUs", limits.allowed_cpus, limits.online_cpus),
                "widen its affinity (taskset) or its control group's cpuset, if that is not on purpose",
            ));
        }
        let cores = limits.allowed_cores.unwrap_or(limits.allowed_cpus);
        if (self.threads as f64) < limits.cpus().min(cores as f64).floor() {
            found.push(Finding::note(
                Topic::Limits,
                format!("{} threads compute and there are {cores} cores", self.threads),
                "leave the number of threads to the program",
            ));
        }
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

    /// Findings on other programs and swapping: while edgecall was idle, and in `measured`, while the model ran.
    pub fn load_findings(&self, measured: Option<Load>) -> Vec<Finding> {
        let mut found = Vec::new();
        let cpus = self.limits.as_ref().map_or(self.threads as f64, Limits::cpus).max(1.0);
        if let Some(load) = self.load {
            if load.others_cpus / cpus > BUSY_SHARE {
                found.push(Finding::wrong(
                    Topic::Load,
                    format!("other programs keep {:.1} of {cpus:.0} CPUs busy", load.others_cpus),
                    "end them, or look again when they are done",
                ));
            }
            if load.stolen_cpus / cpus > BUSY_SHARE {
                found.push(Finding::wrong(
                    Topic::Load,
                    format!(
                        "the hypervisor gives {:.1} of {cpus:.0} CPUs to other machines",
                        load.stolen_cpus
                    ),
                    "look again at another time, or rent CPUs that are not shared",
                ));
            }
        }
        if let Some(pages) = measured.map(|load| load.swapped_pages).filter(|&pages| pages > 0) {
            found.push(Finding::wrong(
                Topic::Memory,
                format!("the machine swapped {pages} pages while the model ran"),
                MORE_MEMORY,
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
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

    fn facts(files: &[(&str, &str)], threads: usize) -> Facts {
        let root = fixture(&[&PI, files].concat());
        let cache = root.path().join("cache");
        let facts = Facts::gather(root.path(), kernels::active().unwrap(), threads, Some(&cache));
        // Features of this CPU beyond the build do not matter in these tests.
        Facts { unused_features: Vec::new(), ..facts }
    }

    fn wrong(facts: &Facts) -> Vec<String> {
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
    fn limits_of_either_version_of_control_groups_are_wrong_where_calls_feel_them() {
        let v1 = [
            ("proc/self/cgroup", "8:pids:/p\n4:cpu:/c\n"),
            (
                "proc/self/mountinfo",
                "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                 39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
            ),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/pids/p/pids.max", "64\n"),
            ("sys/fs/cgroup/pids/p/pids.current", "60\n"),
        ];
        let v2 = [
            ("proc/self/cgroup", "0::/app\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/app/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/app/pids.max", "64\n"),
            ("sys/fs/cgroup/app/pids.current", "60\n"),
        ];
        for files in [&v1[..], &v2[..]] {
            let found = wrong(&facts(files, 4));
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[0].contains("4 more threads") && found[1].contains("1.5 CPUs"), "{found:?}");
        }
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
    fn a_busy_machine_is_wrong_and_an_idle_one_is_not() {
        let load = |others_cpus, stolen_cpus| {
            let load = Some(Load { others_cpus, stolen_cpus, swapped_pages: 0 });
            Facts { load, ..facts(&[], 4) }.load_findings(None)
        };
        assert_eq!(load(0.2, 0.1), []);
        let busy = load(2.0, 1.0);
        assert_eq!(busy.len(), 2);
        assert_eq!(busy[0].what, "other programs keep 2.0 of 4 CPUs busy");
    }
}
