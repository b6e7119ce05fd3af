//! Findings on the CPUs: limits of this process, and other programs that compute on them.

use super::{
    facts::{Facts, MORE_MEMORY},
    finding::{Finding, Topic},
    words::{cpus, threads},
};
use crate::machine::{Limits, Load};

/// Number of threads besides the computing ones: for reading, writing and Ctrl-C.
const OTHER_THREADS: u64 = 6;
/// Share of the CPUs above which other programs slow calls down.
const BUSY_SHARE: f64 = 0.1;

impl Facts {
    /// Findings on the limits of this process.
    pub(super) fn limit_findings(&self, found: &mut Vec<Finding>) {
        let Some(limits) = &self.limits else { return };
        let wanted = self.threads as u64 + OTHER_THREADS;
        if let Some(left) = limits.group_tasks_left.filter(|&left| left < wanted) {
            found.push(Finding::wrong(
                Topic::Limits,
                format!("the control group lets {left} more threads be started, and a call starts up to {wanted}"),
                "raise the group's pids.max (systemd: TasksMax; containers: the limit of pids), or compute with fewer threads",
            ));
        }
        found.extend(self.too_many_threads(limits).or_else(|| self.quota_finding(limits)));
        if limits.allowed_cpus < limits.online_cpus {
            found.push(Finding::note(
                Topic::Limits,
                format!("this process may run on {} of {} CPUs", limits.allowed_cpus, limits.online_cpus),
                "widen its affinity (taskset) or its control group's cpuset, if that is not on purpose",
            ));
        }
        let cores = limits.allowed_cores.unwrap_or(limits.allowed_cpus);
        if (self.threads as f64) < limits.cpus().min(cores as f64).floor() {
            let cores = if cores == 1 { "is 1 core".to_owned() } else { format!("are {cores} cores") };
            found.push(Finding::note(
                Topic::Limits,
                format!("calls compute with {}, and there {cores}", threads(self.threads)),
                "leave the number of threads to the program",
            ));
        }
    }

    /// Finding on more threads than CPUs to run them on.
    fn too_many_threads(&self, limits: &Limits) -> Option<Finding> {
        (self.threads > limits.allowed_cpus).then(|| {
            Finding::wrong(
                Topic::Limits,
                format!(
                    "{} compute, and this process may run on {}: they wait for each other",
                    threads(self.threads),
                    cpus(limits.allowed_cpus)
                ),
                format!("compute with {}", threads(limits.allowed_cpus)),
            )
        })
    }

    /// Finding on a control group that gives less time than the threads need.
    fn quota_finding(&self, limits: &Limits) -> Option<Finding> {
        let quota = limits.quota_cpus.filter(|&quota| quota < self.threads as f64)?;
        let time = format!("a control group gives the time of {quota:.1} CPUs");
        let raise =
            "raise the quota (cpu.max or cpu.cfs_quota_us; systemd: CPUQuota; containers: the limit of CPUs)";
        Some(match self.threads {
            0 | 1 => Finding::wrong(
                Topic::Limits,
                format!("{time}: even one thread stands still for a part of the time"),
                raise,
            ),
            several => Finding::wrong(
                Topic::Limits,
                format!("{} compute, and {time}: they wait for each other", threads(several)),
                format!("compute with {}, or {raise}", threads(quota.floor().max(1.0) as usize)),
            ),
        })
    }

    /// Findings on other programs and swapping: while edgecall was idle, and in `measured`, while the model ran.
    pub fn load_findings(&self, measured: Option<Load>) -> Vec<Finding> {
        let mut found = Vec::new();
        // The load is that of the CPUs that this process may run on, whatever time of them it may take.
        let on = self.limits.as_ref().map_or(self.threads, |limits| limits.allowed_cpus).max(1);
        if let Some(load) = self.load {
            let is_busy = |share: f64| share / on as f64 > BUSY_SHARE;
            if is_busy(load.others_cpus) {
                found.push(Finding::wrong(
                    Topic::Load,
                    format!("other programs keep {:.1} of {} busy", load.others_cpus, cpus(on)),
                    "end them, or look again when they are done",
                ));
            }
            if is_busy(load.stolen_cpus) {
                found.push(Finding::wrong(
                    Topic::Load,
                    format!("the hypervisor gives {:.1} of {} to other machines", load.stolen_cpus, cpus(on)),
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
    use crate::doctor::facts::tests::{facts, wrong};

    const CGROUP: (&str, &str) = ("proc/self/cgroup", "0::/app\n");
    const MOUNTS: (&str, &str) =
        ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");

    fn with_quota(quota: &str, threads: usize) -> Facts {
        facts(&[CGROUP, MOUNTS, ("sys/fs/cgroup/app/cpu.max", quota)], threads)
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
    fn advice_on_a_quota_is_not_what_is_done_already() {
        let half = with_quota("50000 100000\n", 1).findings();
        assert_eq!(half.len(), 1, "{half:?}");
        assert_eq!(
            half[0].what,
            "a control group gives the time of 0.5 CPUs: even one thread stands still for a part of the time"
        );
        assert!(half[0].remedy.starts_with("raise the quota"), "{}", half[0].remedy);
        let more = with_quota("150000 100000\n", 2).findings();
        assert!(more[0].what.starts_with("2 threads compute, and a control group gives"), "{}", more[0].what);
        assert!(more[0].remedy.starts_with("compute with 1 thread, or raise"), "{}", more[0].remedy);
        assert_eq!(with_quota("200000 100000\n", 2).findings(), []);
    }

    #[test]
    fn more_threads_than_cpus_wait_for_each_other() {
        let one = facts(&[("proc/self/status", "Cpus_allowed_list:\t0\n")], 2);
        assert_eq!(
            wrong(&one),
            ["2 threads compute, and this process may run on 1 CPU: they wait for each other"]
        );
        assert_eq!(one.findings()[0].remedy, "compute with 1 thread");
    }

    #[test]
    fn a_busy_machine_is_wrong_and_an_idle_one_is_not() {
        let load = |facts: Facts, others_cpus, stolen_cpus| {
            let load = Some(Load { others_cpus, stolen_cpus, swapped_pages: 0 });
            Facts { load, ..facts }.load_findings(None)
        };
        assert_eq!(load(facts(&[], 4), 0.2, 0.1), []);
        let busy = load(facts(&[], 4), 2.0, 1.0);
        assert_eq!(busy.len(), 2);
        assert_eq!(busy[0].what, "other programs keep 2.0 of 4 CPUs busy");
    }

    #[test]
    fn the_load_is_that_of_the_cpus_and_not_of_a_quota() {
        let quota = || with_quota("50000 100000\n", 1);
        let load = |others_cpus| {
            let load = Some(Load { others_cpus, stolen_cpus: 0.0, swapped_pages: 0 });
            Facts { load, ..quota() }.load_findings(None)
        };
        assert_eq!(load(2.0)[0].what, "other programs keep 2.0 of 4 CPUs busy");
        assert_eq!(load(0.3), []);
    }
}
