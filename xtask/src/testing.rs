//! `cargo xtask test`: every test of the workspace, doc tests included, then the Python tests on
//! real grpcio and on ferrpc.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::report::Tally;
use crate::workspace::Workspace;
use crate::{process, python};

/// What to run.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the tests in Rust.
    #[arg(long)]
    pub(crate) no_python: bool,
    /// Only the tests in Python.
    #[arg(long, conflicts_with = "no_python")]
    pub(crate) python_only: bool,
    /// The tests of leaks in Python make 100,000 calls of each kind, not 10,000.
    #[arg(long, conflicts_with = "no_python")]
    pub(crate) soak: bool,
    /// The tests in Python that install packages from the index run, too: half an hour, and 3 GB.
    #[arg(long, conflicts_with = "no_python")]
    pub(crate) adoption: bool,
    /// Passed on to `cargo test`: a filter, `-p ferrpc-core` and the like; with --python-only to
    /// pytest. The tests in Python are left out then, unless asked for.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) rest: Vec<String>,
}

/// Runs the tests; each is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let long = python::Long { soak: options.soak, adoption: options.adoption };
    if options.python_only {
        return python::test(workspace, &options.rest, long);
    }
    let mut tally = rust(workspace, options)?;
    if !options.no_python && options.rest.is_empty() {
        tally += python::test(workspace, &[], long)?;
    }
    Ok(tally)
}

fn rust(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let mut command = workspace.cargo(&["test", "--all-features", "--no-fail-fast"]);
    let package = |argument: &String| argument == "-p" || argument.starts_with("--package");
    if !options.rest.iter().any(package) {
        command.arg("--workspace");
    }
    command.args(&options.rest).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("stdout is a pipe")?;
    let mut tally = Tally::default();
    let mut ignored = 0;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some((outcome, skipped)) = summary(&line) {
            tally += outcome;
            ignored += skipped;
        }
        println!("{line}");
    }
    let status = process::wait(&mut child, process::MINUTE)?;
    let success = status.is_some_and(|status| status.success());
    if !success && tally.failed == 0 {
        bail!("cargo test failed, though no test did: something does not compile");
    }
    if ignored > 0 {
        println!("{ignored} ignored");
    }
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`: the tally and the ignored.
pub(crate) fn summary(line: &str) -> Option<(Tally, usize)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| -> Option<usize> {
        let part = counts.split("; ").find(|part| part.ends_with(what))?;
        part.split(' ').next()?.parse().ok()
    };
    let tally = Tally { passed: count(" passed")?, failed: count(" failed")? };
    Some((tally, count(" ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_test_binary() {
        let line = "test result: FAILED. 31 passed; 2 failed; 1 ignored; 0 measured; \
                    0 filtered out; finished in 0.03s";
        assert_eq!(summary(line), Some((Tally { passed: 31, failed: 2 }, 1)));
        assert_eq!(summary("test a_test ... ok"), None);
    }
}
