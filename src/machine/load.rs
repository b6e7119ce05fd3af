//! Load of other programs, and swapping, between two moments.

use super::{limits::allowed_cpus, text};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Load of other programs between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// CPUs that other programs kept busy, among those that this process may run on.
    pub others_cpus: f64,
    /// CPUs that a hypervisor gave to other virtual machines.
    pub stolen_cpus: f64,
    /// Number of pages read from or written to swap space.
    pub swapped_pages: u64,
}

/// Counters of the kernel at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    root: PathBuf,
    // In ticks, summed over the allowed CPUs.
    all: u64,
    busy: u64,
    stolen: u64,
    own: u64,
    cpus: usize,
    swapped_pages: u64,
}

impl Moment {
    /// Counters now, on the system whose files are below `root`; `None` without a `/proc/stat`.
    pub fn now(root: &Path) -> Option<Moment> {
        let cpus = allowed_cpus(root)?;
        let stat = text(&root.join("proc/stat"))?;
        let (mut all, mut busy, mut stolen) = (0, 0, 0);
        for cpu in &cpus {
            // user nice system idle iowait irq softirq steal; time of guests is also counted in the first two.
            let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{cpu} ")))?;
            let ticks: Vec<u64> = line.split(' ').take(8).map_while(|n| n.parse().ok()).collect();
            let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
            all += ticks.iter().sum::<u64>();
            busy += at(0) + at(1) + at(2) + at(5) + at(6);
            stolen += at(7);
        }
        let vmstat = text(&root.join("proc/vmstat")).unwrap_or_default();
        let pages = |name: &str| -> u64 {
            vmstat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
        };
        let swapped_pages = pages("pswpin ") + pages("pswpout ");
        Some(Moment {
            root: root.to_path_buf(),
            all,
            busy,
            stolen,
            own: own(root)?,
            cpus: cpus.len(),
            swapped_pages,
        })
    }

    /// Load from that moment until now; `None` if less than a tick has passed.
    pub fn until_now(&self) -> Option<Load> {
        let now = Moment::now(&self.root)?;
        let all = now.all.checked_sub(self.all).filter(|&ticks| ticks > 0)?;
        let cpus = |ticks: u64| ticks as f64 / all as f64 * self.cpus as f64;
        // Both are rounded to ticks at different moments, so the difference may be negative.
        let others = now.busy.saturating_sub(self.busy).saturating_sub(now.own.saturating_sub(self.own));
        Some(Load {
            others_cpus: cpus(others),
            stolen_cpus: cpus(now.stolen.saturating_sub(self.stolen)),
            swapped_pages: now.swapped_pages.saturating_sub(self.swapped_pages),
        })
    }
}

/// Ticks of this process, all its threads included: `utime` and `stime`, fields 14 and 15 of `/proc/self/stat`.
fn own(root: &Path) -> Option<u64> {
    let stat = text(&root.join("proc/self/stat"))?;
    // The program's name in parentheses may contain any characters.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;
    use std::fs;

    #[test]
    fn what_others_did_is_what_was_busy_and_not_ours_on_our_cpus() {
        let own = |user: u64| format!("7 (a ) b) R {} {user} 10 0 0 20 0\n", "0 ".repeat(10).trim());
        let root = fixture(&[
            ("proc/self/status", "Cpus_allowed_list:\t0,2\n"),
            ("proc/self/stat", &own(100)),
            (
                "proc/stat",
                "cpu  9 9 9 9\ncpu0 50 0 0 50 0 0 0 0 0 0\ncpu1 7 7 7 7\ncpu2 50 0 0 50 0 0 0 0 0 0\n",
            ),
            ("proc/vmstat", "pswpin 5\npswpout 7\n"),
        ]);
        let before = Moment::now(root.path()).unwrap();
        assert_eq!(before.until_now(), None);
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        // 200 ticks: 120 busy, 90 of them from this process, 20 stolen.
        write("proc/stat", "cpu0 110 0 0 90 0 0 0 0 0 0\ncpu1 900 0 0 0\ncpu2 80 10 20 70 0 0 0 20 0 0\n");
        write("proc/self/stat", &own(190));
        write("proc/vmstat", "pswpin 6\npswpout 7\n");
        let load = before.until_now().unwrap();
        let rounded = |cpus: f64| (cpus * 1000.0).round() / 1000.0;
        assert_eq!((rounded(load.others_cpus), rounded(load.stolen_cpus)), (0.3, 0.2));
        assert_eq!(load.swapped_pages, 1);
    }
}
