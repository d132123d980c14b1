//! `cargo xtask ci`: all that a change has to pass. One profile and one target folder throughout,
//! so that nothing is compiled twice.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::report::{self, Tally};
use crate::workspace::Workspace;
use crate::{
    code_map, corpus, demo, features, gen_code, interop, layering, links, linters, process,
    testing, workloads,
};

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
    /// What to type or to read when it fails.
    mend: &'static str,
    run: fn(&Workspace) -> Result<Tally>,
}

/// What is quickest to fail comes first.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        mend: "cargo fmt --all",
        run: |workspace| cargo(workspace, &["fmt", "--all", "--check"], None),
    },
    Step {
        name: "lock",
        mend: "cargo fetch, and commit Cargo.lock",
        run: |workspace| cargo(workspace, LOCK, None),
    },
    Step {
        name: "layering",
        mend: "move what is used to where it may be seen; xtask/src/layering has the rules",
        run: layering::run,
    },
    Step {
        name: "links",
        mend: "put the links right; they are relative to their file",
        run: links::run,
    },
    Step {
        name: "map",
        mend: "name the files in ARCHITECTURE.md as they are now",
        run: code_map::check,
    },
    Step {
        name: "spelling",
        mend: "target/linters/bin/typos --write-changes; words that are right go into typos.toml",
        run: linters::typos,
    },
    Step {
        name: "ruff",
        mend: "target/linters/bin/ruff check --fix; pyproject.toml has the rules",
        run: linters::ruff,
    },
    Step {
        name: "deny",
        mend: "target/linters/bin/cargo-deny check says more; deny.toml has the rules",
        run: linters::deny,
    },
    Step {
        name: "clippy",
        mend: "cargo clippy --workspace --all-targets --all-features",
        run: |workspace| cargo(workspace, CLIPPY, None),
    },
    Step {
        name: "features",
        mend: "the command above; what needs a feature says so by #[cfg(feature = \"...\")]",
        run: features::run,
    },
    Step {
        name: "docs",
        mend: "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace --all-features",
        run: |workspace| cargo(workspace, DOCS, Some(("RUSTDOCFLAGS", "-D warnings"))),
    },
    Step {
        name: "gen",
        mend: "cargo xtask gen, and read the difference",
        run: |workspace| gen_code::run(workspace, &gen_code::Options { check: true }),
    },
    Step {
        name: "test",
        mend: "cargo xtask test; CONTRIBUTING.md says how to run one",
        run: |workspace| testing::run(workspace, &testing::Options::default()),
    },
    Step {
        name: "corpus",
        mend: "cargo xtask corpus --quick",
        run: |workspace| corpus::run(workspace, &corpus::Options { quick: true, only: None }),
    },
    // The one release build here, of two small crates: instructions of a debug build say nothing.
    Step {
        name: "counts",
        mend: "cargo xtask bench --check; --bless where more instructions are meant",
        run: |workspace| crate::program(workspace, "xtask-bench", &["--check"]),
    },
    Step {
        name: "attack",
        mend: "cargo xtask attack --quick --rows N; SECURITY.md says what each row has to do",
        run: |workspace| crate::program(workspace, "xtask-attack", &["--quick"]),
    },
    Step {
        name: "demo",
        mend: "cargo xtask demo --require-all",
        run: |workspace| {
            demo::run(workspace, &demo::Options { require_all: true, ..Default::default() })
        },
    },
    Step {
        name: "workloads",
        mend: "cargo xtask workloads --quick; --only names one",
        run: |workspace| {
            let options = workloads::Options { quick: true, ..Default::default() };
            workloads::run(workspace, &options)
        },
    },
    Step {
        name: "interop",
        mend: "cargo xtask interop --reduced --require-all",
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
        if tally.failed > 0 {
            println!("== by itself: cargo xtask ci --only {}", step.name);
            println!("== to mend it: {}", step.mend);
        }
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
