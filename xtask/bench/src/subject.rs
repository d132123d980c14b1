//! A server under test: pinned to a core, with its CPU time and its memory as the kernel has them.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use xtask_base::usage;

use super::programs::{Offers, Program};
use crate::process::Server;
use crate::workspace::Workspace;

/// A server that is being measured.
pub(crate) struct Subject {
    pub(crate) program: &'static Program,
    /// Whether it was started for one case alone.
    pub(crate) special: bool,
    server: Server,
}

impl Subject {
    /// Starts a server that was built before: with `--handler`, or with the certificate in a
    /// folder, if it is for one case.
    pub(crate) fn start(
        workspace: &Workspace,
        program: &'static Program,
        handler: Option<&str>,
        certificates: Option<&Path>,
    ) -> Result<Self> {
        let line = program.line(workspace);
        let pinned = pinned(SERVER_CORE, &line[0]);
        // Should we be killed, so is the server: few of them look at their standard input.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(pinned.get_program()).args(pinned.get_args());
        command.args(&line[1..]).args(["--listen", "127.0.0.1:0"]);
        if let Some(handler) = handler {
            command.args(["--handler", handler]);
        }
        if let Some(folder) = certificates {
            command.arg("--tls-cert").arg(folder.join("server.pem"));
            command.arg("--tls-key").arg(folder.join("server.key"));
        }
        let server = Server::start(&mut command, program.name)?;
        Ok(Self { program, special: handler.is_some() || certificates.is_some(), server })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.program.name
    }

    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// An error if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    pub(crate) fn speaks_grpc(&self) -> bool {
        self.program.offers != Offers::Echo
    }

    /// User and system time so far, of all threads, also of those that ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        usage::cpu(self.server.pid()).with_context(|| format!("{}: CPU time", self.name()))
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        Ok(usage::resident(self.server.pid())? >> 10)
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

const SERVER_CORE: &str = "0";
/// The core of the load.
pub(crate) const LOAD_CORE: &str = "1";
