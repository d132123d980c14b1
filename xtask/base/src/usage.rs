//! What another process uses, as the kernel has it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// User and system time so far, of all threads, also of those that ended.
#[cfg(target_os = "linux")]
pub fn cpu(pid: u32) -> Result<Duration> {
    let pid = nix::unistd::Pid::from_raw(pid.try_into()?);
    let clock = nix::time::ClockId::pid_cpu_clock_id(pid)?;
    Ok(nix::time::clock_gettime(clock)?.into())
}

/// User and system time so far.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn cpu(_: u32) -> Result<Duration> {
    anyhow::bail!("CPU times are read as Linux has them")
}

/// Resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).context(path)?;
    parse(&status).map(|kilobytes| kilobytes << 10).context("/proc/PID/status names no VmRSS")
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says() {
        assert_eq!(parse("Name:\tx\nVmRSS:\t    8600 kB\nVmData: 1 kB\n"), Some(8600));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_a_clock() {
        assert!(cpu(std::process::id()).expect("we run") > Duration::ZERO);
    }
}
