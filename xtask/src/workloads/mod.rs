//! `cargo xtask workloads`: real packages, or their own test suites, on grpcio and on ferrpc, and a
//! failure where ferrpc is worse. What is run lies in `workloads/`, a folder a case.
//!
//! ```text
//! case         reads the folders
//! environment  twin environments in target/workloads/cases/NAME/{grpcio,ferrpc}
//! runner       runs a case on a twin; descendants ends what it left
//! verdict      compares the two
//! records      keeps and prints what came out
//! ```

mod case;
mod descendants;
mod environment;
mod records;
mod runner;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::case::Case;
use self::environment::{Prepared, Twin, Workshop};
use self::records::{Record, Records};
use crate::python::Wheel;
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;
use crate::{python, stamp};

/// What to run.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the few cases that CI runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these cases, by name.
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    pub(crate) only: Vec<String>,
    /// Names the cases and runs none.
    #[arg(long)]
    pub(crate) list: bool,
    /// Makes the environments and runs none.
    #[arg(long)]
    pub(crate) prepare: bool,
    /// Pins the packages of the cases anew (requirements.txt), and runs none.
    #[arg(long)]
    pub(crate) lock: bool,
    /// A case whose packages cannot be had is skipped aloud; else it has failed.
    #[arg(long)]
    pub(crate) skip_missing: bool,
    /// Tests this wheel, not one of this checkout.
    #[arg(long, value_name = "FILE")]
    pub(crate) wheel: Option<PathBuf>,
    /// The profile of cargo's that the wheel is built with. [default: dev]
    #[arg(long, value_name = "PROFILE", conflicts_with = "wheel")]
    pub(crate) profile: Option<String>,
    /// Writes the last results of all cases, of earlier runs too, into docs/workloads.md.
    #[arg(long)]
    pub(crate) write: bool,
}

/// Runs the cases; each is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let all = case::read(&workspace.root)?;
    let names: Vec<_> = all.iter().map(|case| case.name.as_str()).collect();
    if let Some(unknown) = options.only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("no case is called {unknown}; there are {}", names.join(", "));
    }
    let wanted = |case: &&Case| {
        (options.only.is_empty() || options.only.contains(&case.name))
            && (!options.quick || case.about.quick)
    };
    let cases: Vec<_> = all.iter().filter(wanted).collect();
    if options.list {
        for case in &cases {
            let quick = if case.about.quick { " (quick)" } else { "" };
            println!("{}: {}{quick}", case.name, case.about.about);
        }
        return Ok(Tally { passed: cases.len(), failed: 0 });
    }
    let progress = Progress::new();
    let workshop = Workshop::new(workspace, &progress)?;
    if options.lock {
        let mut tally = Tally::default();
        for case in &cases {
            let done = workshop.lock(case);
            tally.count(done.is_ok());
            if let Err(error) = done {
                println!("FAIL {}: {error:#}", case.name);
            }
        }
        return Ok(tally);
    }
    let (wheel, commit) = match &options.wheel {
        Some(path) => (given(path)?, "a wheel".to_owned()),
        None => {
            let profile = options.profile.as_deref().unwrap_or(python::DEVELOPMENT);
            (python::wheel(workspace, &progress, profile)?, workspace.commit())
        }
    };
    descendants::adopt()?;
    let path = workspace.target.join(RESULTS);
    let mut tally = Tally::default();
    for case in &cases {
        let mut record = Record {
            about: case.about.about.clone(),
            suite: case.about.suite.is_some(),
            versions: case.versions(),
            ferrpc: commit.clone(),
            python: workshop.python_version().to_owned(),
            date: workspace.date(),
            outcomes: None,
            worse: Vec::new(),
            known: Vec::new(),
            better: Vec::new(),
            skipped: None,
        };
        if let Some(prepared) = prepared(&workshop, case, &wheel, options, &mut record)
            && !options.prepare
        {
            compare(workspace, &progress, case, &prepared, &mut record)?;
        }
        tally.count(record.is_good());
        tell(&case.name, &record);
        if !options.prepare {
            // Each by itself: a run that is cut short keeps what it has, and so does one beside it.
            let mut records = Records::read(&path)?;
            records.insert(&case.name, record);
            records.write(&path)?;
        }
    }
    drop(progress);
    if options.write {
        Records::read(&path)?.only(&names).write_into(&workspace.root.join("docs/workloads.md"))?;
    }
    if !options.prepare {
        let ran: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        Records::read(&path)?.only(&ran).print();
    }
    Ok(tally)
}

/// A wheel that was built elsewhere.
fn given(path: &Path) -> Result<Wheel> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Wheel { path: path.canonicalize()?, mark: stamp::mark(bytes) })
}

/// The environments, or why there are none.
fn prepared(
    workshop: &Workshop<'_>,
    case: &Case,
    wheel: &Wheel,
    options: &Options,
    record: &mut Record,
) -> Option<Prepared> {
    match workshop.prepare(case, wheel) {
        Ok(prepared) => return Some(prepared),
        Err(error) if options.skip_missing => record.skipped = Some(format!("{error:#}")),
        Err(error) => record.worse.push(format!("cannot be had: {error:#}")),
    }
    None
}

/// Runs a case on both.
fn compare(
    workspace: &Workspace,
    progress: &Progress,
    case: &Case,
    prepared: &Prepared,
    record: &mut Record,
) -> Result<()> {
    let on = |twin: Twin| {
        progress.say(&format!("{} on {}", case.name, twin.name()));
        runner::run(workspace, case, prepared, twin)
    };
    let outcomes = [on(Twin::Grpcio)?, on(Twin::Ferrpc)?];
    let verdict = verdict::judge(case, &outcomes[0], &outcomes[1]);
    record.worse = verdict.worse;
    record.known = verdict.known;
    record.better = verdict.better;
    if !record.is_good() {
        println!("{}: what was said lies in {}", case.name, prepared.twin(Twin::Ferrpc).display());
    }
    record.outcomes = Some(outcomes);
    Ok(())
}

/// What is to be known of a case, as soon as it is.
fn tell(name: &str, record: &Record) {
    if let Some(reason) = &record.skipped {
        println!("skipped: {name}: {reason}");
    }
    let lists = [("FAIL", &record.worse), ("known", &record.known), ("better", &record.better)];
    for (word, list) in lists {
        for what in list.iter().take(MOST) {
            println!("{word} {name}: {what}");
        }
        if list.len() > MOST {
            println!("{word} {name}: and {} more, in {RESULTS}", list.len() - MOST);
        }
    }
}

/// Everything that came out, below the target folder.
const RESULTS: &str = "workloads/results.json";
/// As many lines of one kind as still show the others.
const MOST: usize = 12;
