//! The control groups (version 1 and 2) of this process: folders with their limits.

use super::text;
use std::path::{Component, Path, PathBuf};

/// Version of a control group, which determines the names of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// Control groups of this process.
pub(super) struct Groups {
    // Lines of `/proc/self/cgroup`: the controllers, and the group's path in its hierarchy.
    groups: Vec<(String, String)>,
    mounts: Vec<Mount>,
    root: PathBuf,
}

/// A mounted hierarchy of control groups.
struct Mount {
    version: Version,
    /// Group at the mount point; in a container this is often the container's own group.
    top: String,
    point: PathBuf,
    /// Mount options; in version 1 they include the controllers.
    options: String,
}

impl Groups {
    /// Reads the groups of this process, on the system whose files are below `root`.
    pub(super) fn read(root: &Path) -> Groups {
        let read = |name: &str| text(&root.join(name)).unwrap_or_default();
        let groups = read("proc/self/cgroup");
        let groups = groups.lines().filter_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            Some((controllers.to_owned(), group.to_owned()))
        });
        let mounts = read("proc/self/mountinfo").lines().filter_map(Mount::parse).collect();
        Groups { groups: groups.collect(), mounts, root: root.to_path_buf() }
    }

    /// Folders with the limits of `controller`: the process's own group first, then its ancestors.
    pub(super) fn folders(&self, controller: &str) -> Vec<(Version, PathBuf)> {
        let mut folders = self.usual_folders(controller);
        for mount in &self.mounts {
            let group = self.groups.iter().find(|(controllers, _)| match mount.version {
                Version::V1 => controllers.split(',').any(|name| name == controller),
                Version::V2 => controllers.is_empty(),
            });
            let has_it =
                mount.version == Version::V2 || mount.options.split(',').any(|name| name == controller);
            let Some((_, group)) = group.filter(|_| has_it) else { continue };
            let point = self.root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
            let below = below(group, &mount.top);
            for folder in ancestors(&point, &below) {
                if !folders.contains(&(mount.version, folder.clone())) {
                    folders.push((mount.version, folder));
                }
            }
        }
        folders
    }

    /// Folders below the usual mount point of a hierarchy that is not among the mounts: container runtimes hide these, or
    /// bind the folder of a group there.
    fn usual_folders(&self, controller: &str) -> Vec<(Version, PathBuf)> {
        let is_mounted = self.mounts.iter().any(|mount| {
            mount.version == Version::V1 && mount.options.split(',').any(|name| name == controller)
        });
        let found = self.groups.iter().find(|(names, _)| names.split(',').any(|name| name == controller));
        let Some((controllers, group)) = found.filter(|_| !is_mounted) else {
            let unified = self.groups.iter().find(|(names, _)| names.is_empty());
            let is_mounted = self.mounts.iter().any(|mount| mount.version == Version::V2);
            let point = self.root.join("sys/fs/cgroup");
            let folders =
                unified.filter(|_| !is_mounted).map(|(_, group)| ancestors(&point, &below(group, "/")));
            return folders.into_iter().flatten().map(|folder| (Version::V2, folder)).collect();
        };
        let points =
            [controllers.as_str(), controller].map(|name| self.root.join("sys/fs/cgroup").join(name));
        let point = points.into_iter().find(|point| point.is_dir());
        let folders = point.into_iter().flat_map(|point| ancestors(&point, &below(group, "/")));
        folders.map(|folder| (Version::V1, folder)).collect()
    }
}

/// The folder of the group `below` the mount point, and its ancestors up to that.
fn ancestors(point: &Path, below: &Path) -> Vec<PathBuf> {
    let group = point.join(below);
    group.ancestors().take_while(|folder| folder.starts_with(point)).map(Path::to_path_buf).collect()
}

/// Path of `group` relative to the mounted group `top`; empty if it is not below it.
fn below(group: &str, top: &str) -> PathBuf {
    let path = Path::new(group).strip_prefix(top).unwrap_or(Path::new(""));
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { path.to_path_buf() } else { PathBuf::new() }
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`: `36 25 0:31 TOP POINT OPTIONS ... - TYPE SOURCE SUPER_OPTIONS`.
    fn parse(line: &str) -> Option<Mount> {
        let (before, behind) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (top, point) = (before.next()?.to_owned(), PathBuf::from(before.next()?));
        let mut behind = behind.split(' ');
        let version = match behind.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        Some(Mount { version, top, point, options: behind.nth(1).unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;

    fn folders(cgroup: &str, mountinfo: &str, controller: &str) -> Vec<(Version, String)> {
        let root = fixture(&[("proc/self/cgroup", cgroup), ("proc/self/mountinfo", mountinfo)]);
        let found = Groups::read(root.path()).folders(controller);
        let name = |path: PathBuf| path.strip_prefix(root.path()).unwrap().display().to_string();
        found.into_iter().map(|(version, path)| (version, name(path))).collect()
    }

    #[test]
    fn the_groups_above_count_too() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = folders("0::/user.slice/app\n", mounts, "memory");
        let expected = ["sys/fs/cgroup/user.slice/app", "sys/fs/cgroup/user.slice", "sys/fs/cgroup"];
        assert_eq!(found, expected.map(|path| (Version::V2, path.to_owned())));
    }

    #[test]
    fn each_controller_of_version_1_has_a_tree_of_its_own() {
        let mounts = "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let groups = "4:memory:/a\n1:cpu,cpuacct:/b\n1:name=systemd:/c\n";
        let cpu = folders(groups, mounts, "cpu");
        assert_eq!(cpu[0], (Version::V1, "sys/fs/cgroup/cpu,cpuacct/b".to_owned()));
        let memory = folders(groups, mounts, "memory");
        assert_eq!(memory.len(), 2);
        assert_eq!(memory[0].1, "sys/fs/cgroup/memory/a");
        assert_eq!(folders(groups, mounts, "pids"), []);
    }

    #[test]
    fn a_hierarchy_of_version_1_that_is_not_among_the_mounts_is_found_at_its_usual_place() {
        let root = fixture(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/1d50\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "1\n"),
        ]);
        let groups = Groups::read(root.path());
        let point = root.path().join("sys/fs/cgroup/memory");
        let expected = [point.join("docker/1d50"), point.join("docker"), point];
        assert_eq!(groups.folders("memory"), expected.map(|path| (Version::V1, path)));
        assert_eq!(groups.folders("cpu"), [(Version::V1, root.path().join("sys/fs/cgroup/cpu,cpuacct"))]);
        assert_eq!(groups.folders("pids"), []);
        let root = fixture(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1\n")]);
        let expected = [(Version::V2, root.path().join("sys/fs/cgroup"))];
        let found: Vec<(Version, PathBuf)> = Groups::read(root.path()).folders("memory");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.components().collect::<PathBuf>(), expected[0].1);
    }

    #[test]
    fn in_a_container_the_mount_point_is_the_containers_group() {
        let mounts = "35 31 0:32 /docker/1d50 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let here = [(Version::V1, "sys/fs/cgroup/memory".to_owned())];
        assert_eq!(folders("4:memory:/docker/1d50\n", mounts, "memory"), here);
        // A group outside the mounted hierarchy, as namespaces show it.
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let here = [(Version::V2, "sys/fs/cgroup".to_owned())];
        assert_eq!(folders("0::/../other\n", mounts, "memory"), here);
    }
}
