//! `cargo xtask ci`: all that a change has to pass. One profile and one target folder throughout,
//! so that nothing is compiled twice.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::report::{self, Tally};
use crate::workspace::Workspace;
use crate::{bench, corpus, demo, gen_code, interop, layering, process, testing, workloads};

/// How to run it.
#[derive(Args)]
pub(crate) struct Options {
    /// Go on after a step that failed.
    #[arg(long)]
    keep_going: bool,
    /// Only these steps, by name.
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<String>,
}

struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Tally>,
}

/// What is quickest to fail comes first.
const STEPS: &[Step] = &[
    Step { name: "fmt", run: |workspace| cargo(workspace, &["fmt", "--all", "--check"], None) },
    Step { name: "lock", run: |workspace| cargo(workspace, LOCK, None) },
    Step { name: "layering", run: layering::run },
    Step { name: "clippy", run: |workspace| cargo(workspace, CLIPPY, None) },
    Step {
        name: "docs",
        run: |workspace| cargo(workspace, DOCS, Some(("RUSTDOCFLAGS", "-D warnings"))),
    },
    Step {
        name: "gen",
        run: |workspace| gen_code::run(workspace, &gen_code::Options { check: true }),
    },
    Step { name: "test", run: |workspace| testing::run(workspace, &testing::Options::default()) },
    Step {
        name: "corpus",
        run: |workspace| corpus::run(workspace, &corpus::Options { quick: true, only: None }),
    },
    // The one release build here, of two small crates: instructions of a debug build say nothing.
    Step { name: "counts", run: |workspace| bench::check(workspace) },
    Step {
        name: "demo",
        run: |workspace| {
            demo::run(workspace, &demo::Options { require_all: true, ..Default::default() })
        },
    },
    Step {
        name: "workloads",
        run: |workspace| {
            let options = workloads::Options { quick: true, ..Default::default() };
            workloads::run(workspace, &options)
        },
    },
    Step {
        name: "interop",
        run: |workspace| {
            let options =
                interop::Options { reduced: true, require_all: true, ..Default::default() };
            interop::run(workspace, &options)
        },
    },
];

/// Cargo.lock is as the manifests want it; the steps after this one take it as it is.
const LOCK: &[&str] = &["fetch", "--locked", "--quiet"];
const CLIPPY: &[&str] = &[
    "clippy",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--all-features",
    "--",
    "--deny",
    "warnings",
];
const DOCS: &[&str] = &["doc", "--quiet", "--no-deps", "--workspace", "--all-features"];

/// Runs the steps, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    if let Some(unknown) =
        options.only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name))
    {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        anyhow::bail!("no step is called {unknown}; there are {}", known.join(", "));
    }
    let wanted =
        |step: &&Step| options.only.is_empty() || options.only.iter().any(|name| name == step.name);
    let mut total = Tally::default();
    let mut table = report::table(["step", "checks", "time"]);
    let began = Instant::now();
    for step in STEPS.iter().filter(wanted) {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let tally = (step.run)(workspace).unwrap_or_else(|error| {
            println!("error: {error:#}");
            Tally::of(false)
        });
        let time = report::elapsed(start.elapsed());
        println!("== {}: {tally}, {time}", step.name);
        total += tally;
        table.add_row([step.name.into(), report::cell(tally, tally.failed == 0), time.into()]);
        if tally.failed > 0 && !options.keep_going {
            break;
        }
    }
    table.add_row([
        "all".into(),
        report::cell(total, total.failed == 0),
        report::elapsed(began.elapsed()).into(),
    ]);
    println!("\n{table}");
    Ok(total)
}

/// A cargo command whose success is one check.
fn cargo(
    workspace: &Workspace,
    arguments: &[&str],
    variable: Option<(&str, &str)>,
) -> Result<Tally> {
    let mut command = workspace.cargo(arguments);
    command.envs(variable);
    Ok(Tally::of(process::shown(&mut command, arguments[0], process::BUILD)?))
}
