//! What the system says of its CPU: temperature, frequency, whether it was held back. Linux only; elsewhere nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the kernel keeps such files.
pub(super) struct Sensors {
    sys: PathBuf,
}

/// What tells, compared with a later one, whether the CPU was held back in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Throttling {
    // A Raspberry Pi's firmware: under-voltage, a capped frequency, throttled, too hot; all as of now.
    now: Option<u64>,
    // x86: how often cores and packages were throttled since the start.
    count: Option<u64>,
}

/// The bits of `get_throttled` that stand for this moment; those above tell of the time since the start.
const NOW: u64 = 0b1111;

impl Sensors {
    pub(super) fn here() -> Sensors {
        Sensors { sys: "/sys".into() }
    }

    /// The CPU's temperature in degrees Celsius, the highest where there are several.
    pub(super) fn celsius(&self) -> Option<f64> {
        let zones = entries(&self.sys.join("class/thermal"), "thermal_zone");
        let zones = zones.iter().filter_map(|zone| Some((text(&zone.join("type"))?, zone.join("temp"))));
        let chips = entries(&self.sys.join("class/hwmon"), "hwmon");
        let chips = chips.iter().filter_map(|chip| Some((text(&chip.join("name"))?, chip)));
        let of_chips = chips.flat_map(|(name, chip)| {
            let inputs =
                entries(chip, "temp").into_iter().filter(|path| path.to_string_lossy().ends_with("_input"));
            inputs.map(move |input| (name.clone(), input)).collect::<Vec<_>>()
        });
        let of_cpu = zones.chain(of_chips).filter(|(name, _)| is_cpu(name));
        let millidegrees = of_cpu.filter_map(|(_, path)| text(&path)?.parse::<f64>().ok());
        millidegrees.map(|value| value / 1000.0).max_by(f64::total_cmp)
    }

    /// The frequency of the fastest CPU now, in MHz.
    pub(super) fn mhz(&self) -> Option<f64> {
        let khz = self.cpus().into_iter().filter_map(|cpu| number(&cpu.join("cpufreq/scaling_cur_freq"), 10));
        khz.max().map(|khz| khz as f64 / 1000.0)
    }

    /// A snapshot, to be compared with a later one.
    pub(super) fn throttling(&self) -> Throttling {
        let platform = entries(&self.sys.join("devices/platform"), "soc");
        let firmware = platform.iter().flat_map(|soc| entries(soc, "soc"));
        let now = firmware.filter_map(|firmware| number(&firmware.join("get_throttled"), 16)).next();
        let counts: Vec<u64> = self
            .cpus()
            .iter()
            .flat_map(|cpu| {
                ["core", "package"].map(|part| cpu.join(format!("thermal_throttle/{part}_throttle_count")))
            })
            .filter_map(|path| number(&path, 10))
            .collect();
        Throttling { now, count: (!counts.is_empty()).then(|| counts.iter().sum()) }
    }

    fn cpus(&self) -> Vec<PathBuf> {
        entries(&self.sys.join("devices/system/cpu"), "cpu")
    }
}

impl Throttling {
    /// Whether the CPU was held back since `before`, or is now; `None` where the system does not tell.
    pub(super) fn since(self, before: Throttling) -> Option<bool> {
        let now = self.now.map(|bits| bits & NOW != 0);
        let counted = self.count.zip(before.count).map(|(after, before)| after > before);
        match (now, counted) {
            (None, None) => None,
            (now, counted) => Some(now == Some(true) || counted == Some(true)),
        }
    }
}

/// Whether a sensor of this name is a CPU's: boards have others, of batteries and radios.
fn is_cpu(name: &str) -> bool {
    let name = name.to_lowercase();
    ["cpu", "soc", "pkg", "core", "k10temp", "zenpower"].iter().any(|part| name.contains(part))
}

/// What is in a folder and begins with `prefix`, sorted.
fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = read
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number(path: &Path, radix: u32) -> Option<u64> {
    u64::from_str_radix(text(path)?.trim_start_matches("0x"), radix).ok()
}

/// The most memory that this process held until now, mapped files included, in bytes.
pub(in crate::benchmark) fn peak_resident_bytes() -> Option<u64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensors(files: &[(&str, &str)]) -> (tempfile::TempDir, Sensors) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sys = folder.path().to_path_buf();
        (folder, Sensors { sys })
    }

    #[test]
    fn a_raspberry_pi_tells_all_three() {
        let throttled = "devices/platform/soc/soc:firmware/get_throttled";
        let (folder, pi) = sensors(&[
            ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("class/thermal/thermal_zone0/temp", "61342\n"),
            ("class/thermal/thermal_zone1/type", "rp1_adc\n"),
            ("class/thermal/thermal_zone1/temp", "90000\n"),
            ("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n"),
            ("devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "2400000\n"),
            (throttled, "50000\n"),
        ]);
        assert_eq!((pi.celsius(), pi.mhz()), (Some(61.342), Some(2400.0)));
        // It was held back before, and is not now.
        let before = pi.throttling();
        assert_eq!(pi.throttling().since(before), Some(false));
        fs::write(folder.path().join(throttled), "0x50004\n").unwrap();
        assert_eq!(pi.throttling().since(before), Some(true));
    }

    #[test]
    fn an_x86_counts_how_often_it_was_throttled() {
        let count = "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count";
        let (folder, x86) = sensors(&[
            ("class/hwmon/hwmon1/name", "coretemp\n"),
            ("class/hwmon/hwmon1/temp1_input", "54000\n"),
            ("class/hwmon/hwmon1/temp2_input", "71000\n"),
            ("class/hwmon/hwmon1/temp2_max", "100000\n"),
            ("class/hwmon/hwmon0/name", "nvme\n"),
            ("class/hwmon/hwmon0/temp1_input", "80000\n"),
            (count, "7\n"),
        ]);
        assert_eq!(x86.celsius(), Some(71.0));
        let before = x86.throttling();
        assert_eq!(x86.throttling().since(before), Some(false));
        fs::write(folder.path().join(count), "8\n").unwrap();
        assert_eq!(x86.throttling().since(before), Some(true));
    }

    #[test]
    fn a_system_that_tells_nothing_gives_nothing() {
        let (_folder, none) = sensors(&[]);
        assert_eq!(
            (none.celsius(), none.mhz(), none.throttling().since(none.throttling())),
            (None, None, None)
        );
        assert_eq!(peak_of("VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_of("Name: x"), None);
    }
}
