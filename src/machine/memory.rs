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
        let stat = text(&folder.join("memory.stat")).unwrap_or_default();
        let in_stat = |name: &str| {
            stat.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
        };
        let in_file = |name: &str| number::<u64>(&folder.join(name));
        // "max" or a missing file means no limit. Version 1 has a number larger than any memory.
        let (limits, used, prefix) = match version {
            Version::V1 => (
                // The lowest of the groups above, too, which a container may not see.
                [in_file("memory.limit_in_bytes"), in_stat("hierarchical_memory_limit")],
                in_file("memory.usage_in_bytes"),
                "total_",
            ),
            // Beyond `memory.high` a process is not ended, but slowed down until nothing moves.
            Version::V2 => ([in_file("memory.max"), in_file("memory.high")], in_file("memory.current"), ""),
        };
        let Some(limit) = limits.into_iter().flatten().min() else { return self };
        // Pages of files count as used, but the kernel frees them when memory runs short: first the inactive ones, and
        // then the active ones, such as those of a model that was read twice.
        let pages = |name: &str| in_stat(&format!("{prefix}{name}")).or_else(|| in_stat(name)).unwrap_or(0);
        let reclaimable = pages("inactive_file").saturating_add(pages("active_file"));
        self.at_most(limit, used.unwrap_or(0).saturating_sub(reclaimable))
    }

    /// The memory within the limit of the address space, which also counts mapped files.
    fn in_address_space(self, root: &Path) -> Machine {
        match address_space(root) {
            Some((limit, left)) => self.at_most(limit, limit - left),
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

/// Limit on this process's address space in bytes (`RLIMIT_AS`), and what is left of it; `None` without a limit.
pub fn address_space(root: &Path) -> Option<(u64, u64)> {
    let limit = address_space_limit(root)?;
    let status = text(&root.join("proc/self/status"))?;
    Some((limit, limit.saturating_sub(kilobytes(&status, "VmSize").unwrap_or(0))))
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
            ("sys/fs/cgroup/app/memory.stat", "anon 5\ninactive_file 268435456\nactive_file 268435456\n"),
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
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 1073741824\ntotal_active_file 0\n",
            ),
        ]);
        let within = Machine { total_bytes: 3 * GIB, available_bytes: 2 * GIB };
        assert_eq!(Machine::below(root.path()), Some(within));
    }

    #[test]
    fn pages_of_a_model_that_was_read_twice_are_available() {
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/memory.max", "209715200\n"),
            ("sys/fs/cgroup/memory.current", "199229440\n"),
            (
                "sys/fs/cgroup/memory.stat",
                "anon 10485760\nfile 188743680\ninactive_file 20971520\nactive_file 167772160\n",
            ),
        ]);
        let within = Machine { total_bytes: 200 << 20, available_bytes: 190 << 20 };
        assert_eq!(Machine::below(root.path()), Some(within));
    }

    #[test]
    fn a_wider_group_that_is_full_leaves_nothing_to_a_narrower_one() {
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/all/app\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/all/app/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/all/app/memory.high", "536870912\n"),
            ("sys/fs/cgroup/all/app/memory.current", "0\n"),
            ("sys/fs/cgroup/all/memory.max", "3221225472\n"),
            ("sys/fs/cgroup/all/memory.current", "3221225372\n"),
        ]);
        let within = Machine { total_bytes: GIB / 2, available_bytes: 100 };
        assert_eq!(Machine::below(root.path()), Some(within));
    }

    #[test]
    fn a_container_of_version_1_learns_of_limits_above_it_from_its_own_files() {
        let root = fixture(&[
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 4096\nhierarchical_memory_limit 2147483648\n",
            ),
        ]);
        let within = Machine { total_bytes: 2 * GIB, available_bytes: GIB + 4096 };
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
