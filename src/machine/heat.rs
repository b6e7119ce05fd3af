//! Temperature, frequency and throttling of the CPU during some work.

use super::{Sensors, Throttling};
use serde::Serialize;

/// State of the sensors after some work. `None` where the system does not report a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Heat {
    /// CPU temperature in degrees Celsius.
    pub celsius: Option<f64>,
    /// Frequency of the fastest CPU, in MHz.
    pub mhz: Option<f64>,
    /// True if the CPU was throttled during the work, because of heat or the power supply.
    pub throttled: Option<bool>,
}

/// State of the sensors before some work.
pub struct Thermometer {
    sensors: Sensors,
    before: Throttling,
}

impl Thermometer {
    /// Starts a measurement.
    pub fn start() -> Thermometer {
        Thermometer::with(Sensors::here())
    }

    fn with(sensors: Sensors) -> Thermometer {
        let before = sensors.throttling();
        Thermometer { sensors, before }
    }

    /// State of the sensors now, with throttling since the start.
    pub fn read(&self) -> Heat {
        Heat {
            celsius: self.sensors.celsius(),
            mhz: self.sensors.mhz(),
            throttled: self.sensors.throttling().since(self.before),
        }
    }
}

impl Heat {
    /// One line for people, such as `CPU: 61 °C, 2400 MHz, not throttled`; `None` if nothing is known.
    pub fn words(&self) -> Option<String> {
        let throttled = |yes| if yes { "throttled" } else { "not throttled" };
        let parts = [
            self.celsius.map(|celsius| format!("{celsius:.0} °C")),
            self.mhz.map(|mhz| format!("{mhz:.0} MHz")),
            self.throttled.map(throttled).map(str::to_owned),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("CPU: {}", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;
    use std::fs;

    #[test]
    fn a_raspberry_pi_that_grows_hot_says_so_in_one_line() {
        let firmware = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let root = fixture(&[
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "81342\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n"),
            (firmware, "0\n"),
        ]);
        let thermometer = Thermometer::with(Sensors::below(root.path()));
        let words = || thermometer.read().words();
        assert_eq!(words().as_deref(), Some("CPU: 81 °C, 1500 MHz, not throttled"));
        fs::write(root.path().join(firmware), "80008\n").unwrap();
        assert_eq!(words().as_deref(), Some("CPU: 81 °C, 1500 MHz, throttled"));
    }

    #[test]
    fn a_system_that_tells_nothing_gets_no_line() {
        let root = fixture(&[]);
        assert_eq!(Thermometer::with(Sensors::below(root.path())).read().words(), None);
    }
}
