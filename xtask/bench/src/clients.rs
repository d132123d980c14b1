//! Load clients: how they are called, and the line of JSON that they print.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::loads::{Load, Shape};
use super::programs::{PROFILE, Program};
use super::subject::{LOAD_CORE, pinned};
use crate::process;
use crate::workspace::Workspace;

/// What a client measured of itself.
pub(crate) struct Done(Value);

impl Done {
    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        self.0[name].as_f64().with_context(|| format!("the client says no {name}: {}", self.0))
    }
}

/// Makes the calls; the client checks every answer and fails on a wrong one.
pub(crate) fn run(
    workspace: &Workspace,
    client: &Program,
    address: &str,
    load: &Load,
    shape: Shape,
    calls: usize,
) -> Result<Done> {
    let line = client.line(workspace);
    let mut command = pinned(LOAD_CORE, &line[0]);
    command.args(&line[1..]).args(flags(address, load, shape, calls));
    done(&mut command, client.name, calls)
}

/// The floor's client on the floor's server. It counts its bytes and looks at each.
pub(crate) fn echo(
    workspace: &Workspace,
    address: &str,
    shape: Shape,
    calls: usize,
) -> Result<Done> {
    let mut command = pinned(LOAD_CORE, workspace.built(PROFILE).join("raw_echo"));
    command.arg("client").args(echo_flags(address, shape, calls));
    done(&mut command, "raw_echo client", calls)
}

/// The command line, for a reader.
pub(crate) fn shown(client: &Program, load: &Load, shape: Shape, calls: usize) -> String {
    format!("{} {}", client.shown(), flags("HOST:PORT", load, shape, calls).join(" "))
}

/// The command line of the floor, for a reader.
pub(crate) fn echo_shown(shape: Shape, calls: usize) -> String {
    let flags = echo_flags("HOST:PORT", shape, calls).join(" ");
    format!("target/{PROFILE}/raw_echo client {flags}")
}

fn flags(address: &str, load: &Load, shape: Shape, calls: usize) -> Vec<String> {
    let (shape, calls) = (shape.to_string(), calls.to_string());
    let mut flags =
        ["--connect", address, "--shape", &shape, "--calls", &calls].map(str::to_owned).to_vec();
    flags.extend(load.flags.iter().cloned());
    flags
}

fn echo_flags(address: &str, shape: Shape, calls: usize) -> [String; 6] {
    let (shape, calls) = (shape.to_string(), calls.to_string());
    ["--connect", address, "--shape", &shape, "--calls", &calls].map(str::to_owned)
}

fn done(command: &mut Command, name: &str, calls: usize) -> Result<Done> {
    let said = process::output(command, name, LIMIT)?;
    let done = said.lines().last().unwrap_or_default();
    let done = Done(serde_json::from_str(done).with_context(|| format!("{name}: {said:?}"))?);
    ensure!(done.number("calls")? == calls as f64, "{name} made other calls: {said}");
    Ok(done)
}

/// A run takes seconds.
const LIMIT: Duration = Duration::from_secs(3 * 60);
