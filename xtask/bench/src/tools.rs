//! Programs of the system that the bench needs, installed where that can be done.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::report::Progress;

/// Finds a program, or installs the Debian package that it is in.
pub(crate) fn need(progress: &Progress, program: &str, package: &str) -> Result<()> {
    let runs = || {
        let mut command = Command::new(program);
        process::output(command.arg("--version"), program, process::MINUTE).is_ok()
    };
    if runs() {
        return Ok(());
    }
    for arguments in [&["update"][..], &["install", "--yes", package]] {
        progress.say(&format!("apt-get {}", arguments.join(" ")));
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        process::output(&mut command, "apt-get", process::BUILD).with_context(|| {
            format!("{program} is not there and cannot be installed; it is in Debian's {package}")
        })?;
    }
    ensure!(runs(), "{program} does not run, though {package} is installed");
    Ok(())
}
