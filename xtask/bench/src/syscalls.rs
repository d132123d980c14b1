//! System calls of a server, counted by strace while it is under load. strace slows the server, and
//! with that changes how calls gather: the count is of a server that is slower than its client.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::subject::Subject;
use crate::process;

/// Counts while `load` runs.
pub(crate) fn count(
    subject: &Subject,
    folder: &Path,
    load: impl FnOnce() -> Result<()>,
) -> Result<u64> {
    let report = folder.join("strace");
    let pid = subject.pid().to_string();
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-p", &pid, "-o"]).arg(&report);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut strace = command.spawn().context("cannot start strace")?;
    let loaded = attached(subject).and_then(|()| load());
    // It writes its table when it is interrupted.
    let mut interrupt = Command::new("kill");
    interrupt.args(["-INT", &strace.id().to_string()]);
    let interrupted = process::output(&mut interrupt, "kill -INT strace", process::MINUTE);
    process::wait(&mut strace, process::MINUTE)?;
    loaded?;
    interrupted?;
    let text = fs::read_to_string(&report).with_context(|| report.display().to_string())?;
    total(&text).with_context(|| format!("strace's table has no total:\n{text}"))
}

/// Waits until every thread is traced.
fn attached(subject: &Subject) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let tasks = format!("/proc/{}/task", subject.pid());
    loop {
        let mut traced = true;
        for task in fs::read_dir(&tasks).context("the server's threads")? {
            // A thread may have ended since.
            let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
            traced &= !status.contains("TracerPid:\t0\n");
        }
        if traced {
            return Ok(());
        }
        ensure!(Instant::now() < until, "strace may not trace the server here");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The fourth column of the last line: share, seconds, time each, calls, and then errors if any.
fn total(table: &str) -> Option<u64> {
    let line = table.lines().rev().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            99.00    0.010000           1       900        10 recvfrom\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.010101           1      1003        10 total\n";
        assert_eq!(total(table), Some(1003));
        assert_eq!(total(""), None);
    }
}
