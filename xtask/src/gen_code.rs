//! `cargo xtask gen`: generated code that is committed, and the code map, renewed or compared.
//!
//! `interop/grpc-go/gen` is not among it: what makes it needs programs of Go's and Python's
//! (`interop/grpc-go/README.md`).

use std::fs;

use anyhow::Result;
use clap::Args;

use crate::report::{Progress, Tally};
use crate::workspace::Workspace;
use crate::{code_map, process, testing};

/// What to do.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Change nothing; fail if something would change.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Code that a test compares with what is committed, and writes when `FERRPC_BLESS` is set.
struct Generated {
    what: &'static str,
    test: &'static [&'static str],
}

const GENERATED: &[Generated] = &[Generated {
    what: "testdata/protos/{codegen,python}/golden",
    test: &["test", "--all-features", "-p", "ferrpc-codegen", "--test", "main", "golden::"],
}];

/// Renews or compares; each folder is one check, and so is the code map.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let mut tally = Tally::of(map(workspace, options)?);
    let progress = Progress::new();
    for Generated { what, test } in GENERATED {
        progress.say(what);
        let mut command = workspace.cargo(test);
        if options.check {
            command.env_remove("FERRPC_BLESS");
        } else {
            command.env("FERRPC_BLESS", "1");
        }
        let finished = process::finish(&mut command, what, process::BUILD)?;
        // A filter that finds no test is not what is wanted.
        let passed = finished.stdout.lines().filter_map(testing::summary);
        let passed: usize = passed.map(|(tally, _)| tally.passed).sum();
        let good = passed > 0 && finished.status.is_some_and(|status| status.success());
        tally.count(good);
        match (good, options.check) {
            (true, true) => println!("{what} is up to date"),
            (true, false) => println!("{what} is renewed; read the difference"),
            (false, _) => println!("{what}: {}\n`cargo xtask gen` renews it", finished.account()),
        }
    }
    Ok(tally)
}

/// The code map; whether it is as it should be now.
fn map(workspace: &Workspace, options: &Options) -> Result<bool> {
    let path = workspace.root.join(code_map::MAP);
    let wanted = code_map::map(workspace)?;
    let good = fs::read_to_string(&path).is_ok_and(|found| found == wanted);
    if good {
        println!("{} is up to date", code_map::MAP);
    } else if options.check {
        println!("{} is not as the files are: `cargo xtask gen` renews it", code_map::MAP);
    } else {
        fs::write(&path, wanted)?;
        println!("{} is renewed", code_map::MAP);
    }
    Ok(good || !options.check)
}
