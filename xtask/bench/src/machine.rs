//! What a run was made on, and with what.

use std::{env, fs, thread};

use super::figures::{Figures, Machine};
use crate::workspace::Workspace;

/// Says so in the figures. Taken before anything is built: builds are load.
pub(crate) fn describe(workspace: &Workspace) -> Figures {
    let said = |program: &str, arguments: &[&str]| workspace.said(program, arguments);
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
        commit: workspace.commit(),
        date: workspace.date(),
        command: format!("cargo xtask bench {}", arguments.join(" ")),
        ..Figures::default()
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
