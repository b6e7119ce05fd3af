//! How much memory this machine has, as the kernel and a cgroup (v2) limit tell.

use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// What there is: `MemTotal`, or a cgroup's limit where it is lower.
    pub total_bytes: u64,
    /// What a new process can have without swapping: `MemAvailable`, or what a cgroup has left.
    pub available_bytes: u64,
}

impl Machine {
    /// This machine; `None` where there is no `/proc/meminfo` (Linux has one).
    pub fn this() -> Option<Machine> {
        let machine = Machine::parse(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Some(folders(&groups).iter().fold(machine, |machine, folder| machine.within(folder)))
    }

    /// The two figures of a `/proc/meminfo`.
    fn parse(meminfo: &str) -> Option<Machine> {
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Machine { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
    }

    /// The machine as a member of the cgroup at `folder` sees it.
    fn within(self, folder: &Path) -> Machine {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        // "max", or no such file: no limit.
        let Some(limit) = number("memory.max") else { return self };
        // File pages count as used, and are given back when memory runs short.
        let reclaimable = read("memory.stat")
            .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok()));
        let used = number("memory.current").unwrap_or(0).saturating_sub(reclaimable.unwrap_or(0));
        Machine {
            total_bytes: self.total_bytes.min(limit),
            available_bytes: self.available_bytes.min(limit.saturating_sub(used)),
        }
    }
}

/// The folders of this process's cgroup and of those it is in, by `/proc/self/cgroup`.
fn folders(groups: &str) -> Vec<PathBuf> {
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let root = Path::new("/sys/fs/cgroup");
    root.join(group)
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .map(Path::to_path_buf)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MACHINE: Machine = Machine { total_bytes: 8 * GIB, available_bytes: 6 * GIB };

    #[test]
    fn meminfo_gives_total_and_available() {
        let text = "MemTotal:        8388608 kB\nMemFree:  1 kB\nMemAvailable:    6291456 kB\n";
        assert_eq!(Machine::parse(text), Some(MACHINE));
        assert_eq!(Machine::parse("MemTotal: 8388608 kB\n"), None);
    }

    #[test]
    fn a_cgroup_s_limit_lowers_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("memory.max", format!("{}\n", 2 * GIB));
        write("memory.current", format!("{GIB}\n"));
        write("memory.stat", format!("anon 5\ninactive_file {}\nactive_file 9\n", GIB / 2));
        let within = MACHINE.within(folder.path());
        assert_eq!(within, Machine { total_bytes: 2 * GIB, available_bytes: 3 * GIB / 2 });
        write("memory.max", "max\n".into());
        assert_eq!(MACHINE.within(folder.path()), MACHINE);
    }

    #[test]
    fn the_groups_above_count_too() {
        let folders = folders("1:cpu:/a\n0::/user.slice/app\n");
        let root = Path::new("/sys/fs/cgroup");
        assert_eq!(folders, [root.join("user.slice/app"), root.join("user.slice"), root.to_path_buf()]);
    }
}
