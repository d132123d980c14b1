//! `cargo xtask bench`: ferrpc beside everyone else, interleaved (A B C A B C ...), medians.
//!
//! ```text
//! programs  who is measured, and how each is built        figures   what was measured, as a file
//! plan      parts and cases of a run                      tables    for a terminal, for Markdown
//! measure   rounds of a case, peer by peer                charts    SVG
//! loads     what is sent, and what a right answer is      marks     what the figures have to be
//! h2load, clients   who sends it                          machine   what it was measured on
//! subject   a server's CPU time and memory                counts    --check: instructions
//! memory, relay, syscalls, imports   what is not a call's time
//! compiler  beside protoc; nothing of the above
//! ```
//!
//! How it measures, and what that does not show: `bench/README.md`.

mod charts;
mod clients;
mod compiler;
mod counts;
mod figures;
mod h2load;
mod imports;
mod loads;
mod machine;
mod marks;
mod measure;
mod memory;
mod plan;
mod programs;
mod subject;
mod syscalls;
mod tables;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, ValueEnum};
use xtask_base::report::{self, Progress, Tally};
use xtask_base::workspace::{self, Workspace};
use xtask_base::{peers, process, python, relay};

use self::figures::Figures;
use self::h2load::H2load;
use self::loads::Shape;
use self::marks::Set;
use self::measure::Bench;
use self::plan::Extent;

/// What to measure.
#[derive(Args)]
struct Options {
    /// Only these peers (bench/README.md has the names).
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    peers: Vec<String>,
    /// Connections x streams of the CPU figures, 10x100 say.
    #[arg(long, value_delimiter = ',', value_name = "CxS")]
    shapes: Vec<Shape>,
    /// Only these parts: cpu, tls, latency, handlers, streams, echo, memory, wire, clients, pairs,
    /// import; or compiler, alone.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<String>,
    /// Rounds; the figures are medians over them. [default: 3; 5 with --full or --marks]
    #[arg(long)]
    rounds: Option<usize>,
    /// One short round: a look, not a figure.
    #[arg(long, conflicts_with_all = ["full", "marks"])]
    quick: bool,
    /// Longer rounds, more of them, and all shapes for clients.
    #[arg(long)]
    full: bool,
    /// Only what has a mark of this set, and a mark that is missed is a failure.
    #[arg(long, value_name = "SET", num_args = 0..=1, default_missing_value = "engine")]
    marks: Option<Set>,
    /// A peer that cannot be built is a failure; else it is skipped aloud.
    #[arg(long)]
    require_all: bool,
    /// Write every figure of every round here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure nothing: take the figures of such a file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peers", "shapes", "only", "quick", "full"])]
    from: Option<PathBuf>,
    /// Draw charts (SVG) into this folder.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Write the tables, and the charts if they are drawn, into BENCHMARKS.md.
    #[arg(long)]
    write: bool,
    /// Instruction counts against the committed ones, and nothing else.
    #[arg(long, exclusive = true)]
    check: bool,
    /// Commit the instruction counts as they are now.
    #[arg(long, exclusive = true)]
    bless: bool,
}

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Arguments { options } = Arguments::parse();
    report::exit(Workspace::find().and_then(|workspace| run(&workspace, &options)))
}

/// Measures, prints and writes. A failure is a check that failed; with `--marks` each mark is one.
fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    if options.check || options.bless {
        return counts::run(workspace, options.bless);
    }
    if options.only == ["compiler"] {
        let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 5 }).max(1);
        return compiler::run(workspace, rounds, options.quick);
    }
    make_folders(options)?;
    let figures = match &options.from {
        Some(path) => Figures::read(path)?,
        None => measured(workspace, options)?,
    };
    let mut verdicts = match options.marks {
        Some(set) => marks::judge(&[set], &figures),
        None => marks::judge(Set::value_variants(), &figures),
    };
    if options.marks.is_none() {
        verdicts.retain(|verdict| verdict.met.is_some());
    }
    tables::print(&figures, &verdicts);
    if let Some(path) = &options.json {
        figures.write(path)?;
    }
    let mut charts = Vec::new();
    if let Some(folder) = &options.charts {
        charts = charts::draw(&figures, folder)?;
    }
    if options.write {
        tables::write(&workspace.root.join("BENCHMARKS.md"), &figures, &verdicts, &charts)?;
    }
    let mut tally = Tally { passed: figures.rows.len(), failed: figures.failures.len() };
    if options.require_all {
        tally.failed += figures.skipped.len();
    }
    let missed = verdicts.iter().filter(|verdict| verdict.met != Some(true)).count();
    if options.marks.is_some() {
        tally.passed += verdicts.len() - missed;
        tally.failed += missed;
    } else if missed > 0 {
        println!("Marks missed: {missed}; with --marks that is a failure.");
    }
    Ok(tally)
}

/// The folders of what is to be written, before anything is measured: a run takes long to lose.
fn make_folders(options: &Options) -> Result<()> {
    let of_json = options.json.as_deref().and_then(Path::parent);
    for folder in of_json.into_iter().chain(options.charts.as_deref()) {
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
    }
    Ok(())
}

fn measured(workspace: &Workspace, options: &Options) -> Result<Figures> {
    let thorough = options.full || options.marks.is_some();
    let rounds = options.rounds.unwrap_or(match (options.quick, thorough) {
        (true, _) => 1,
        (_, true) => 5,
        _ => 3,
    });
    if rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    let extent = Extent {
        rounds,
        memory_rounds: if thorough { 3 } else { 1 },
        seconds: match (options.quick, thorough) {
            (true, _) => 0.15,
            (_, true) => 1.0,
            _ => 0.4,
        },
        full: options.full,
        marks: options.marks,
    };
    let mut peers = options.peers.clone();
    if let (Some(set), true) = (options.marks, peers.is_empty()) {
        peers = set.peers().iter().map(|peer| (*peer).to_owned()).collect();
    }
    let cases = plan::cases(&extent, &options.only, &options.shapes)?;
    let about = machine::describe(workspace);
    let progress = Progress::new();
    let h2load = H2load::find(workspace, &progress)?;
    tools::need(&progress, "strace", "strace")?;
    let programs = programs::build(workspace, &progress, &peers)?;
    if cases.iter().any(|case| case.load.tls) {
        let folder = workspace.target.join(measure::CERTIFICATES);
        peers::interop_peer(workspace, &progress)?.make_certificates(&folder)?;
    }
    drop(progress);
    for skipped in &programs.skipped {
        println!("skipped: {}: {}", skipped.peer, skipped.reason);
    }

    let progress = Progress::timed();
    let bench = Bench::new(workspace, &progress, &h2load, &programs, extent, &peers);
    let estimate = bench.estimate(&cases);
    println!("{} cases, about {}", cases.len(), report::elapsed(estimate));
    progress.expect(estimate);
    let mut figures = bench.run(&cases)?;
    drop(progress);
    figures.machine = about.machine;
    figures.machine.h2load = h2load.version;
    (figures.commit, figures.date, figures.command) = (about.commit, about.date, about.command);
    Ok(figures)
}
