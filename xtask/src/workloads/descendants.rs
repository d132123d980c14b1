//! The end of what a case left running: Ray, Beam and others start processes that outlive their
//! parents. They become our children (`adopt`), and are ended by their ids.

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::{Duration, Instant};

    use anyhow::{Result, bail};
    use nix::sys::prctl;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;

    /// Orphans among our descendants become our children from now on.
    pub(crate) fn adopt() -> Result<()> {
        Ok(prctl::set_child_subreaper(true)?)
    }

    /// Kills every descendant and waits for their ends.
    pub(crate) fn end() -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = descendants()?;
            if left.is_empty() {
                return Ok(());
            }
            for pid in left {
                // Both fail only if it has ended meanwhile, or is not our child yet.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            if Instant::now() > until {
                bail!("processes of the case do not end: {:?}", descendants()?);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everyone whose parent's parent's ... parent we are.
    fn descendants() -> Result<Vec<Pid>> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            // It may have ended since.
            if let Some(parent) = fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok())
            {
                parents.insert(pid, parent);
            }
        }
        let own = Pid::this().as_raw();
        let ours = |pid: &i32| {
            let ancestors = std::iter::successors(Some(*pid), |pid| parents.get(pid).copied());
            ancestors.skip(1).take(parents.len()).any(|ancestor| ancestor == own)
        };
        Ok(parents.keys().filter(|pid| ours(pid)).map(|pid| Pid::from_raw(*pid)).collect())
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[cfg(test)]
    mod tests {
        use std::process::Command;

        use super::*;

        #[test]
        fn a_grandchild_is_a_descendant() {
            let mut child =
                Command::new("sh").args(["-c", "sleep 654 & wait"]).spawn().expect("sh is there");
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
            // Other tests have programs, too; and a fork has its parent's line until it is `sleep`.
            let is_sleeper = |found: &Pid| {
                fs::read(format!("/proc/{found}/cmdline")).is_ok_and(|it| it == b"sleep\x00654\x00")
            };
            let until = Instant::now() + PATIENCE;
            let sleeper = loop {
                let found = descendants().expect("/proc is there");
                if let Some(sleeper) = found.iter().copied().find(is_sleeper) {
                    assert!(found.contains(&pid), "{found:?}");
                    break sleeper;
                }
                assert!(Instant::now() < until, "no grandchild among {found:?}");
                std::thread::sleep(Duration::from_millis(5));
            };
            kill(sleeper, Signal::SIGKILL).expect("it runs");
            child.wait().expect("its end is ours to see");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use anyhow::Result;

    /// Nothing to adopt: only Linux lets a process ask for it.
    pub(crate) fn adopt() -> Result<()> {
        Ok(())
    }

    /// What a case leaves running stays.
    pub(crate) fn end() -> Result<()> {
        Ok(())
    }
}

pub(crate) use system::{adopt, end};
