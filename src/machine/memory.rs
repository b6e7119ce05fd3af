//! Memory of this machine, within the limits of control groups (version 1 and 2) and of the process.

use super::{
    cgroup::{Groups, Version},
    kilobytes, number, text,
};
use serde::Serialize;
use std::path::Path;

/// Memory of this machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Total memory: `MemTotal`, or a lower limit.
    pub total_bytes: u64,
    /// Memory that a new process can use without swapping: `MemAvailable`, or the rest of a limit.
    pub available_bytes: u64,
}

impl Machine {
    /// Memory of this machine; `None` without a `/proc/meminfo`, which Linux has.
    pub fn this() -> Option<Machine> {
        Machine::below(Path::new("/"))
    }

    /// Memory of the system whose files are below `root`.
    pub fn below(root: &Path) -> Option<Machine> {
        let machine = Machine::parse(&text(&root.join("proc/meminfo"))?)?;
        let groups = Groups::read(root).folders("memory");
        let machine =
            groups.iter().fold(machine, |machine, (version, folder)| machine.within(*version, folder));
        Some(machine.in_address_space(root))
    }

    /// Parses `/proc/meminfo`.
    fn parse(meminfo: &str) -> Option<Machine> {
        let bytes = |name: &str| kilobytes(meminfo, name);
        Some(Machine { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
    }

    /// The memory within the limit of the control group at `folder`.
    fn within(self, version: Version, folder: &Path) -> Machine {
        let (limit, used, reclaimable) = match version {
            Version::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
            Version::V2 => ("memory.max", "memory.current", "inactive_file "),
        };
        // "max" or a missing file means no limit. Version 1 has a number larger than any memory.
        let limit = number::<u64>(&folder.join(limit)).filter(|&limit| limit < self.total_bytes);
        let Some(limit) = limit else { return self };
        // Pages of files count as used, but the kernel frees them when memory runs short.
        let reclaimable = text(&folder.join("memory.stat"))
            .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.parse().ok()));
        let used: u64 = number(&folder.join(used)).unwrap_or(0);
        self.at_most(limit, used.saturating_sub(reclaimable.unwrap_or(0)))
    }

    /// The memory within the limit of the address space, which also counts mapped files.
    fn in_address_space(self, root: &Path) -> Machine {
        let limit = address_space_limit(root);
        let status = text(&root.join("proc/self/status")).unwrap_or_default();
        match limit {
            Some(limit) => self.at_most(limit, kilobytes(&status, "VmSize").unwrap_or(0)),
            None => self,
        }
    }

    fn at_most(self, limit: u64, used: u64) -> Machine {
        Machine {
            total_bytes: self.total_bytes.min(limit),
            available_bytes: self.available_bytes.min(limit.saturating_sub(used)),
        }
    }
}

/// Maximum size of this process's address space in bytes (`RLIMIT_AS`); `None` without a limit.
pub(super) fn address_space_limit(root: &Path) -> Option<u64> {
    limit(&text(&root.join("proc/self/limits"))?, "Max address space")
}

/// Soft limit called `name` in `/proc/self/limits`; `None` for `unlimited`.
pub(super) fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Total and used bytes of swap space.
pub fn swap(root: &Path) -> Option<(u64, u64)> {
    let meminfo = text(&root.join("proc/meminfo"))?;
    let total = kilobytes(&meminfo, "SwapTotal")?;
    Some((total, total.saturating_sub(kilobytes(&meminfo, "SwapFree")?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;
    use std::fs;

    const GIB: u64 = 1 << 30;
    const MEMINFO: &str = "MemTotal:        8388608 kB\nMemFree:  1 kB\nMemAvailable:    6291456 kB\n";
    const MACHINE: Machine = Machine { total_bytes: 8 * GIB, available_bytes: 6 * GIB };

    #[test]
    fn meminfo_gives_total_and_available() {
        assert_eq!(Machine::parse(MEMINFO), Some(MACHINE));
        assert_eq!(Machine::parse("MemTotal: 8388608 kB\n"), None);
    }

    #[test]
    fn a_limit_of_a_group_of_version_2_lowers_both_figures() {
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/app\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/app/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/app/memory.current", "1073741824\n"),
            ("sys/fs/cgroup/app/memory.stat", "anon 5\ninactive_file 536870912\nactive_file 9\n"),
        ]);
        let within = Machine { total_bytes: 2 * GIB, available_bytes: 3 * GIB / 2 };
        assert_eq!(Machine::below(root.path()), Some(within));
        fs::write(root.path().join("sys/fs/cgroup/app/memory.max"), "max\n").unwrap();
        assert_eq!(Machine::below(root.path()), Some(MACHINE));
    }

    #[test]
    fn a_limit_of_a_group_of_version_1_lowers_both_figures() {
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/a/b\n"),
            ("proc/self/mountinfo", "35 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1073741824\n"),
        ]);
        let within = Machine { total_bytes: 3 * GIB, available_bytes: 2 * GIB };
        assert_eq!(Machine::below(root.path()), Some(within));
    }

    #[test]
    fn a_limit_of_the_address_space_counts_what_is_used_of_it() {
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax address space {soft} unlimited bytes\n")
        };
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/limits", &limits("4294967296")),
            ("proc/self/status", "VmSize:\t 1048576 kB\n"),
        ]);
        let within = Machine { total_bytes: 4 * GIB, available_bytes: 3 * GIB };
        assert_eq!(Machine::below(root.path()), Some(within));
        fs::write(root.path().join("proc/self/limits"), limits("unlimited")).unwrap();
        assert_eq!(Machine::below(root.path()), Some(MACHINE));
    }
}
