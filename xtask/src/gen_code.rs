//! `cargo xtask gen`: generated code that is committed, renewed or compared.
//!
//! `interop/grpc-go/gen` is not among it: what makes it needs programs of Go's and Python's
//! (`interop/grpc-go/README.md`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

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
    test: &["test", "--quiet", "--all-features", "-p", "ferrpc-codegen", "--test", "golden"],
}];

/// Files that are copies: what lies in the second folder is what lies in the first one.
const COPIED: (&str, &str) = ("crates/ferrpc-compiler/protos", "python/grpc_tools/_proto");

/// Renews or compares; each folder is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let progress = Progress::new();
    let mut tally = Tally::default();
    tally.count(copied(workspace, options)?);
    for Generated { what, test } in GENERATED {
        progress.say(what);
        let mut command = workspace.cargo(test);
        if options.check {
            command.env_remove("FERRPC_BLESS");
        } else {
            command.env("FERRPC_BLESS", "1");
        }
        let finished = process::finish(&mut command, what, process::BUILD)?;
        let good = finished.status.is_some_and(|status| status.success());
        tally.count(good);
        match (good, options.check) {
            (true, true) => println!("{what} is up to date"),
            (true, false) => println!("{what} is renewed; read the difference"),
            (false, _) => println!("{what}: {}\n`cargo xtask gen` renews it", finished.account()),
        }
    }
    Ok(tally)
}

/// Whether the copies are up to date, or could be renewed.
fn copied(workspace: &Workspace, options: &Options) -> Result<bool> {
    let (from, to) = (workspace.root.join(COPIED.0), workspace.root.join(COPIED.1));
    let (wanted, there) = (files(&from, &from)?, files(&to, &to)?);
    let same = |name: &PathBuf| {
        let read = |folder: &Path| fs::read(folder.join(name)).ok();
        read(&from) == read(&to)
    };
    let good = wanted == there && wanted.iter().all(same);
    let what = COPIED.1;
    match (good, options.check) {
        (true, _) => println!("{what} is up to date"),
        (false, true) => println!("{what} is no copy of {}\n`cargo xtask gen` renews it", COPIED.0),
        (false, false) => {
            for name in there.iter().filter(|name| !wanted.contains(name)) {
                fs::remove_file(to.join(name))?;
            }
            for name in &wanted {
                fs::create_dir_all(to.join(name).parent().unwrap_or(&to))?;
                fs::copy(from.join(name), to.join(name))?;
            }
            println!("{what} is renewed");
        }
    }
    Ok(good || !options.check)
}

/// The files below a folder, sorted.
fn files(folder: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path, root)?),
            false => found.push(path.strip_prefix(root)?.to_owned()),
        }
    }
    found.sort();
    Ok(found)
}
