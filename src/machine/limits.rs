//! Limits of this process: CPUs, CPU time, threads, address space.

use super::{
    cgroup::{Groups, Version},
    cpu_list, field,
    memory::{address_space_limit, limit},
    number, text,
};
use serde::Serialize;
use std::{collections::BTreeSet, path::Path};

/// Limits of this process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Number of CPUs that are online.
    pub online_cpus: usize,
    /// Number of CPUs that this process may run on, by its affinity and the cpusets of its groups.
    pub allowed_cpus: usize,
    /// Number of physical cores among these; `None` if unknown.
    pub allowed_cores: Option<usize>,
    /// CPU time that a control group grants, in CPUs, such as 1.5; `None` without a quota.
    pub quota_cpus: Option<f64>,
    /// Number of further threads that a control group allows; `None` without a limit.
    pub group_tasks_left: Option<u64>,
    /// Maximum number of threads of the user (`RLIMIT_NPROC`, which does not bind root); `None` without a limit.
    pub user_tasks: Option<u64>,
    /// Maximum size of the address space in bytes (`RLIMIT_AS`); `None` without a limit.
    pub address_space_bytes: Option<u64>,
}

impl Limits {
    /// Limits of this process, on the system whose files are below `root`; `None` without a `/proc/self/status`.
    pub fn below(root: &Path) -> Option<Limits> {
        let allowed = allowed_cpus(root)?;
        let groups = Groups::read(root);
        let online =
            text(&root.join("sys/devices/system/cpu/online")).map_or(0, |list| cpu_list(&list).len());
        let limits = text(&root.join("proc/self/limits")).unwrap_or_default();
        Some(Limits {
            online_cpus: online.max(allowed.len()),
            allowed_cpus: allowed.len(),
            allowed_cores: cores(root, &allowed),
            quota_cpus: quota(&groups),
            group_tasks_left: tasks_left(&groups),
            user_tasks: limit(&limits, "Max processes"),
            address_space_bytes: address_space_limit(root),
        })
    }

    /// Maximum CPU time that this process can get, in CPUs.
    pub fn cpus(&self) -> f64 {
        let allowed = self.allowed_cpus as f64;
        self.quota_cpus.map_or(allowed, |quota| quota.min(allowed))
    }
}

/// Length of a file beyond which writing to it ends this process with the signal SIGXFSZ (`RLIMIT_FSIZE`); `None` without
/// a limit, and if the signal is ignored, so that the write fails.
pub fn deadly_file_bytes(root: &Path) -> Option<u64> {
    /// Number of the signal, in Linux on x86-64 and ARM.
    const SIGXFSZ: u32 = 25;
    let most = limit(&text(&root.join("proc/self/limits"))?, "Max file size")?;
    let status = text(&root.join("proc/self/status"))?;
    let ignored = field(&status, "SigIgn").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    (ignored & (1 << (SIGXFSZ - 1)) == 0).then_some(most)
}

/// Numbers of the CPUs that this process may run on.
pub(super) fn allowed_cpus(root: &Path) -> Option<Vec<usize>> {
    let status = text(&root.join("proc/self/status"))?;
    Some(cpu_list(field(&status, "Cpus_allowed_list")?)).filter(|cpus| !cpus.is_empty())
}

/// Number of physical cores of `cpus`; CPUs of one core have the same list of siblings.
fn cores(root: &Path, cpus: &[usize]) -> Option<usize> {
    let siblings =
        |cpu| text(&root.join(format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")));
    Some(cpus.iter().map(siblings).collect::<Option<BTreeSet<String>>>()?.len())
}

/// Lowest quota of the groups, in CPUs.
fn quota(groups: &Groups) -> Option<f64> {
    let folders = groups.folders("cpu").into_iter();
    let quotas = folders.filter_map(|(version, folder)| {
        let (quota, period): (f64, f64) = match version {
            Version::V1 => {
                (number(&folder.join("cpu.cfs_quota_us"))?, number(&folder.join("cpu.cfs_period_us"))?)
            }
            Version::V2 => {
                let both = text(&folder.join("cpu.max"))?;
                let (quota, period) = both.split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        // Version 1 has -1 for no quota.
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    });
    quotas.min_by(f64::total_cmp)
}

fn tasks_left(groups: &Groups) -> Option<u64> {
    let folders = groups.folders("pids").into_iter();
    let left = folders.filter_map(|(_, folder)| {
        let most: u64 = number(&folder.join("pids.max"))?;
        Some(most.saturating_sub(number(&folder.join("pids.current")).unwrap_or(0)))
    });
    left.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;

    const CGROUP: &str = "proc/self/cgroup";
    const MOUNTS: &str = "proc/self/mountinfo";
    const STATUS: (&str, &str) = ("proc/self/status", "Name:\tedgecall\nCpus_allowed_list:\t0-3\n");
    const SIBLINGS: [(&str, &str); 4] = [
        ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n"),
        ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n"),
        ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n"),
        ("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3\n"),
    ];

    fn limits(files: &[(&str, &str)]) -> Limits {
        let root = fixture(&[&[STATUS], &SIBLINGS[..], files].concat());
        Limits::below(root.path()).unwrap()
    }

    #[test]
    fn without_groups_the_affinity_and_the_process_limits_count() {
        let found = limits(&[
            ("sys/devices/system/cpu/online", "0-7\n"),
            (
                "proc/self/limits",
                "Max processes  95  100  processes\nMax address space unlimited unlimited bytes\n",
            ),
        ]);
        let expected = Limits {
            online_cpus: 8,
            allowed_cpus: 4,
            allowed_cores: Some(2),
            quota_cpus: None,
            group_tasks_left: None,
            user_tasks: Some(95),
            address_space_bytes: None,
        };
        assert_eq!(found, expected);
        assert_eq!(found.cpus(), 4.0);
    }

    #[test]
    fn a_limit_of_a_files_length_is_deadly_unless_its_signal_is_ignored() {
        let deadly = |limit: &str, ignored: &str| {
            let limits =
                format!("Limit  Soft Limit  Hard Limit  Units\nMax file size  {limit}  unlimited  bytes\n");
            let status = format!("Name:\tedgecall\nSigIgn:\t{ignored}\n");
            let root = fixture(&[("proc/self/limits", &limits), ("proc/self/status", &status)]);
            deadly_file_bytes(root.path())
        };
        assert_eq!(deadly("32768", "0000000000001000"), Some(32768));
        assert_eq!(deadly("32768", "0000000001001000"), None);
        assert_eq!(deadly("unlimited", "0000000000001000"), None);
    }

    #[test]
    fn groups_of_version_2_limit_time_and_tasks_at_any_height() {
        let found = limits(&[
            (CGROUP, "0::/user/app\n"),
            (MOUNTS, "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/user/app/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/user/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/user/app/pids.max", "20\n"),
            ("sys/fs/cgroup/user/app/pids.current", "15\n"),
            ("sys/fs/cgroup/user/pids.max", "max\n"),
        ]);
        assert_eq!((found.quota_cpus, found.group_tasks_left), (Some(1.5), Some(5)));
        assert_eq!(found.cpus(), 1.5);
    }

    #[test]
    fn groups_of_version_1_limit_time_and_tasks_each_in_its_tree() {
        let found = limits(&[
            (CGROUP, "8:pids:/p\n4:cpu,cpuacct:/c\n"),
            (
                MOUNTS,
                "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                 39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/pids/p/pids.max", "64\n"),
            ("sys/fs/cgroup/pids/p/pids.current", "60\n"),
        ]);
        assert_eq!((found.quota_cpus, found.group_tasks_left), (Some(0.5), Some(4)));
    }
}
