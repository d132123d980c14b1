//! A server under test: pinned to a core, with its CPU time and its memory read from /proc.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::peers::{self, Party};
use crate::process::{self, Server};
use crate::report::Progress;
use crate::workspace::Workspace;

/// A server that is being measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    server: Server,
    /// Ticks of the CPU clock in a second.
    ticks: u64,
}

/// Builds both servers and starts them: what is measured, and what it is measured against.
pub(crate) fn all(
    workspace: &Workspace,
    progress: &Progress,
    peers_only: bool,
) -> Result<[Subject; 2]> {
    let client = build(workspace, progress, peers_only)?;
    let subjects = start(workspace, peers_only)?;
    for subject in &subjects {
        subject.verify(&client)?;
    }
    Ok(subjects)
}

/// Builds the servers with optimizations, and a real client that is neither of them.
fn build(workspace: &Workspace, progress: &Progress, peers_only: bool) -> Result<Party> {
    progress.say("interop/tonic/build --release");
    let mut command = Command::new(workspace.root.join("interop/tonic/build"));
    command.arg("--release").arg(workspace.peer("tonic"));
    // As our own release profile has it, so that the compiler does as much for either.
    command.env("CARGO_PROFILE_RELEASE_LTO", "fat").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    process::output(&mut command, "interop/tonic/build --release", process::BUILD)?;
    if !peers_only {
        let example = ["--release", "-p", "ferrpc-examples", "--example", "test_service_server"];
        workspace.build(progress, &example)?;
    }
    let (mut tonic, _) = peers::prepare(workspace, progress, &["tonic"])?;
    tonic.pop().context("tonic needs no other toolchain")
}

/// Starts both servers anew; they were built before.
pub(crate) fn start(workspace: &Workspace, peers_only: bool) -> Result<[Subject; 2]> {
    let tonic = workspace.peer("tonic").join("release/bench_server");
    let mut other = pinned(SERVER_CORE, &tonic);
    other.args(["--listen", "127.0.0.1:0"]);
    if peers_only {
        let mut own = pinned(SERVER_CORE, &tonic);
        own.args(["--listen", "127.0.0.1:0", "--current-thread"]);
        let own = Subject::start(&mut own, "tonic current-thread")?;
        return Ok([own, Subject::start(&mut other, "tonic")?]);
    }
    let mut own = pinned(SERVER_CORE, workspace.built("release/examples/test_service_server"));
    own.args(["--listen", "127.0.0.1:0"]);
    Ok([Subject::start(&mut own, "ferrpc")?, Subject::start(&mut other, "tonic")?])
}

impl Subject {
    fn start(command: &mut Command, name: &'static str) -> Result<Self> {
        let mut ticks = Command::new("getconf");
        let ticks = process::output(ticks.arg("CLK_TCK"), "getconf CLK_TCK", process::MINUTE)?;
        let ticks = ticks.trim().parse().context("getconf CLK_TCK says a number")?;
        Ok(Self { name, server: Server::start(command, name)?, ticks })
    }

    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    /// An error if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    /// User and system time so far, of all threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.server.pid());
        let stat = fs::read_to_string(&path).context(path)?;
        let ticks = cpu_ticks(&stat).context("/proc/PID/stat is not as proc(5) says")?;
        Ok(Duration::from_nanos(ticks * (1_000_000_000 / self.ticks)))
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.server.pid());
        let status = fs::read_to_string(&path).context(path)?;
        resident(&status).context("/proc/PID/status names no VmRSS")
    }

    /// A real client gets the right answer.
    fn verify(&self, client: &Party) -> Result<()> {
        let mut command = client.client(self.address());
        command.args(["--as", "py"]);
        let said = process::output(&mut command, "the verifying client", process::MINUTE)?;
        let expected = "res1-py-client->rust-server\n".repeat(2);
        ensure!(said == expected, "{} answered {said:?}", self.name);
        Ok(())
    }
}

/// A command on one core, where there are two.
pub(crate) fn pinned(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", core]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// utime and stime are the 14th and 15th fields; the 2nd is a name in parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

const SERVER_CORE: &str = "0";
/// The core of the load.
pub(crate) const LOAD_CORE: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says() {
        let stat = "7183 (a ) b) S 7182 7179 8267 0 -1 4194304 5989 0 1 0 86 24 0 0 20 0 3 0 29";
        assert_eq!(cpu_ticks(stat), Some(110));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    8600 kB\nVmData: 1 kB\n"), Some(8600));
    }
}
