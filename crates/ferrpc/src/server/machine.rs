//! What the system lets this process use.

use std::path::Path;

/// Bytes of memory, the least of all that is said: by control groups, resource limits, and the size
/// of the machine. `None` where the system says nothing.
pub(crate) fn memory() -> Option<usize> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let groups = read("/proc/self/cgroup").and_then(|groups| {
        let mounted = Path::new("/sys/fs/cgroup");
        groups.lines().filter_map(|line| group_limit(mounted, line)).min()
    });
    let machine = read("/proc/meminfo").and_then(|text| machine_size(&text));
    [groups, resource_limit(), machine].into_iter().flatten().min().map(bytes)
}

/// Descriptors of files and sockets; `None`: any number.
#[cfg(unix)]
pub(crate) fn descriptors() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.map(bytes)
}

#[cfg(not(unix))]
pub(crate) fn descriptors() -> Option<usize> {
    None
}

#[cfg(unix)]
fn resource_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    // RLIMIT_DATA is what a program can run into; the address space is larger than what is used.
    [Resource::As, Resource::Data].into_iter().filter_map(|one| getrlimit(one).current).min()
}

#[cfg(not(unix))]
fn resource_limit() -> Option<u64> {
    None
}

/// The limit of a control group, or of one above it. `line` is one of /proc/self/cgroup:
/// "0::/path" for version 2, "4:memory:/path" for version 1. In a container the path may be one of
/// the host's: then that of the mounted root is found.
fn group_limit(mounted: &Path, line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, names) = if controllers.is_empty() {
        (mounted.to_owned(), &["memory.max", "memory.high"][..])
    } else if controllers.split(',').any(|one| one == "memory") {
        (mounted.join("memory"), &["memory.limit_in_bytes"][..])
    } else {
        return None;
    };
    let groups = Path::new(path.trim_start_matches('/'));
    groups
        .ancestors()
        .flat_map(|group| names.iter().map(|name| root.join(group).join(*name)).collect::<Vec<_>>())
        .filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok())
        .filter(|limit| *limit < UNLIMITED)
        .min()
}

/// "MemTotal:       16315432 kB".
fn machine_size(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Version 1 says so, in whole pages, where there is no limit.
const UNLIMITED: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_least_limit_of_a_control_group_and_those_above_it_counts() {
        let root = std::env::temp_dir().join(format!("ferrpc-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("a/memory.max", "1000000\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.high", "2000000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/x/memory.limit_in_bytes", "3000000\n");
        assert_eq!(group_limit(&root, "0::/a/b"), Some(1_000_000));
        assert_eq!(group_limit(&root, "4:memory:/x/not/here"), Some(3_000_000));
        assert_eq!(group_limit(&root, "4:memory:/"), None, "there is no limit");
        assert_eq!(group_limit(&root, "5:devices:/x"), None);
        assert_eq!(group_limit(&root, "0::/"), None);
        fs::remove_dir_all(&root).expect("it is ours");
    }

    #[test]
    fn the_size_of_the_machine() {
        let text = "MemFree: 1 kB\nMemTotal:       16315432 kB\n";
        assert_eq!(machine_size(text), Some(16_315_432 * 1024));
        assert_eq!(machine_size(""), None);
        if cfg!(target_os = "linux") {
            assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
