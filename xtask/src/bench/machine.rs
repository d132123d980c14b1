//! What a run was made on, and with what.

use std::process::Command;
use std::{env, fs, thread};

use super::figures::{Figures, Machine};
use crate::process;
use crate::workspace::Workspace;

/// Says so in the figures. Taken before anything is built: builds are load.
pub(crate) fn describe(workspace: &Workspace) -> Figures {
    let said = |program: &str, arguments: &[&str]| said(workspace, program, arguments);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load_average = read("/proc/loadavg");
    let load_average = load_average.split(' ').next().and_then(|number| number.parse().ok());
    let machine = Machine {
        cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| env::consts::ARCH.to_owned()),
        cores: thread::available_parallelism().map_or(1, usize::from),
        kernel: said("uname", &["-r"]),
        rustc: said("rustc", &["--version"]),
        load_average: load_average.unwrap_or(f64::NAN),
        h2load: String::new(),
    };
    let arguments: Vec<_> = env::args().skip(1).collect();
    Figures {
        machine,
        commit: commit(workspace),
        date: date(workspace),
        command: format!("cargo xtask {}", arguments.join(" ")),
        ..Figures::default()
    }
}

/// What is checked out, `-dirty` behind it if files differ.
pub(crate) fn commit(workspace: &Workspace) -> String {
    let mut commit = said(workspace, "git", &["rev-parse", "--short", "HEAD"]);
    let changes = ["status", "--porcelain", "--untracked-files=no"];
    if !said(workspace, "git", &changes).is_empty() {
        commit.push_str("-dirty");
    }
    commit
}

/// Today, in UTC.
pub(crate) fn date(workspace: &Workspace) -> String {
    said(workspace, "date", &["-u", "+%Y-%m-%d"])
}

fn said(workspace: &Workspace, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&workspace.root);
    let said = process::output(&mut command, program, process::MINUTE).unwrap_or_default();
    said.trim().to_owned()
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
