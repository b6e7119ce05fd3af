//! Sensors of the CPU: temperature, frequency and throttling. Linux only; on other systems all are unknown.

use super::{entries, kilobytes, number, text};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Reader of the kernel's sensor files.
#[derive(Clone, Debug)]
pub struct Sensors {
    sys: PathBuf,
}

/// State of a Raspberry Pi's power supply and temperature, from its firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// The supply voltage is too low.
    pub under_voltage: bool,
    /// The CPU is throttled, because of the supply or of heat.
    pub throttled: bool,
    /// The supply voltage was too low at some time since boot.
    pub had_under_voltage: bool,
    /// The CPU was throttled at some time since boot.
    pub had_throttled: bool,
}

/// Snapshot of the throttling state, to compare with a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    // A Raspberry Pi's firmware, current bits: under-voltage, capped frequency, throttled, too hot.
    now: Option<u64>,
    // x86: number of throttling events of cores and packages since boot.
    count: Option<u64>,
}

/// Bits of `get_throttled` for the current state; the bits above are for the time since boot.
const NOW: u64 = 0b1111;

impl Sensors {
    /// Sensors of this machine.
    pub fn here() -> Sensors {
        Sensors::below(Path::new("/"))
    }

    /// Sensors of the system whose files are below `root`.
    pub fn below(root: &Path) -> Sensors {
        Sensors { sys: root.join("sys") }
    }

    /// CPU temperature in degrees Celsius; the highest if there are several sensors.
    pub fn celsius(&self) -> Option<f64> {
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

    /// Current frequency of the fastest CPU, in MHz.
    pub fn mhz(&self) -> Option<f64> {
        self.largest_mhz("cpufreq/scaling_cur_freq")
    }

    /// Highest frequency of any CPU, in MHz.
    pub fn max_mhz(&self) -> Option<f64> {
        self.largest_mhz("cpufreq/cpuinfo_max_freq")
    }

    fn largest_mhz(&self, name: &str) -> Option<f64> {
        let khz = self.cpus().into_iter().filter_map(|cpu| number::<u64>(&cpu.join(name)));
        khz.max().map(|khz| khz as f64 / 1000.0)
    }

    /// Frequency governor, such as `ondemand`, of the first CPU that has one.
    pub fn governor(&self) -> Option<String> {
        self.cpus().into_iter().find_map(|cpu| text(&cpu.join("cpufreq/scaling_governor")))
    }

    /// State of a Raspberry Pi's firmware; `None` on other machines.
    pub fn firmware(&self) -> Option<Firmware> {
        // Bits 0 to 3: under-voltage, capped frequency, throttled, too hot; bits 16 to 19: the same since boot.
        let bits = self.firmware_bits()?;
        Some(Firmware {
            under_voltage: bits & 1 != 0,
            throttled: bits & (NOW ^ 1) != 0,
            had_under_voltage: bits & (1 << 16) != 0,
            had_throttled: bits & ((NOW ^ 1) << 16) != 0,
        })
    }

    fn firmware_bits(&self) -> Option<u64> {
        let platform = entries(&self.sys.join("devices/platform"), "soc");
        let mut firmware = platform.iter().flat_map(|soc| entries(soc, "soc"));
        firmware.find_map(|firmware| {
            u64::from_str_radix(text(&firmware.join("get_throttled"))?.trim_start_matches("0x"), 16).ok()
        })
    }

    /// Snapshot of the throttling state, to compare with a later one.
    pub fn throttling(&self) -> Throttling {
        let counts: Vec<u64> = self
            .cpus()
            .iter()
            .flat_map(|cpu| {
                ["core", "package"].map(|part| cpu.join(format!("thermal_throttle/{part}_throttle_count")))
            })
            .filter_map(|path| number(&path))
            .collect();
        Throttling { now: self.firmware_bits(), count: (!counts.is_empty()).then(|| counts.iter().sum()) }
    }

    fn cpus(&self) -> Vec<PathBuf> {
        entries(&self.sys.join("devices/system/cpu"), "cpu")
    }
}

impl Throttling {
    /// True if the CPU was throttled since `before`, or is now; `None` if unknown.
    pub fn since(self, before: Throttling) -> Option<bool> {
        let now = self.now.map(|bits| bits & NOW != 0);
        let counted = self.count.zip(before.count).map(|(after, before)| after > before);
        match (now, counted) {
            (None, None) => None,
            (now, counted) => Some(now == Some(true) || counted == Some(true)),
        }
    }
}

/// True if a sensor with this name belongs to a CPU; boards also have sensors of batteries and radios.
fn is_cpu(name: &str) -> bool {
    let name = name.to_lowercase();
    ["cpu", "soc", "pkg", "core", "k10temp", "zenpower"].iter().any(|part| name.contains(part))
}

/// Peak resident memory of this process in bytes, mapped files included.
pub fn peak_resident_bytes() -> Option<u64> {
    kilobytes(&text(Path::new("/proc/self/status"))?, "VmHWM")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;
    use std::fs;

    fn sensors(files: &[(&str, &str)]) -> (tempfile::TempDir, Sensors) {
        let root = fixture(files);
        let sensors = Sensors { sys: root.path().to_path_buf() };
        (root, sensors)
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
        // It was throttled earlier, and is not now.
        let before = pi.throttling();
        assert_eq!(pi.throttling().since(before), Some(false));
        fs::write(folder.path().join(throttled), "0x50004\n").unwrap();
        assert_eq!(pi.throttling().since(before), Some(true));
        let firmware =
            Firmware { under_voltage: false, throttled: true, had_under_voltage: true, had_throttled: true };
        assert_eq!(pi.firmware(), Some(firmware));
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
        assert_eq!((none.firmware(), none.max_mhz(), none.governor()), (None, None, None));
    }
}
