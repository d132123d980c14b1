//! `cargo xtask bench`: ferrpc's example server beside tonic's, interleaved (A B A B), medians.
//!
//! ```text
//! subject   a server under test: its core, its CPU time, its memory
//! load      h2load: shapes, what is sent, whether every answer came
//! latency   the median latency with 1, 8 and 64 calls in flight
//! idle      resident memory of connections that do nothing
//! marks     what the figures have to be, the tables and the JSON
//! ```
//!
//! How it measures, and what that does not show: `bench/README.md`.

mod idle;
mod latency;
mod load;
mod marks;
mod subject;

use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::load::{H2load, Payload, Shape};
use self::marks::{Comparison, Mark};
use self::subject::Subject;
use crate::report::{Progress, Tally};
use crate::workspace::Workspace;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; the figures are medians over them. Fewer than 5 are for a look only.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Connections x streams of the CPU figures.
    #[arg(long, value_delimiter = ',', default_value = "1x1,1x100,10x100,100x1")]
    shapes: Vec<Shape>,
    /// Only these parts: cpu, latency, idle.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<String>,
    /// Write every figure of every round here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a mark is missed. Without it only a wrong answer fails.
    #[arg(long)]
    check: bool,
    /// tonic's default runtime against its current-thread runtime, without ferrpc.
    #[arg(long, hide = true)]
    peers_only: bool,
}

/// Measures, prints, and with `--check` judges; each mark is one check then.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    if let Some(unknown) = options.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part {unknown}; there are {}", PARTS.join(", "));
    }
    if options.rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    let progress = Progress::new();
    let h2load = H2load::find(workspace, &progress)?;
    let mut subjects = subject::all(workspace, &progress, options.peers_only)?;
    let part = |name: &str| options.only.is_empty() || options.only.iter().any(|part| part == name);

    let mut comparisons = Vec::new();
    if part("cpu") {
        for shape in &options.shapes {
            comparisons.push(cpu(&mut subjects, &h2load, *shape, options.rounds, &progress)?);
        }
    }
    if part("latency") {
        let measured = latency::measure(&mut subjects, &h2load, options.rounds, &progress)?;
        comparisons.extend(measured);
    }
    // Last: it wants servers that have done nothing else, and starts its own.
    let names = subjects.each_ref().map(|subject| subject.name);
    drop(subjects);
    if part("idle") {
        let rounds = options.rounds.min(IDLE_ROUNDS);
        comparisons.push(idle::measure(workspace, options.peers_only, rounds, &progress)?);
    }
    drop(progress);

    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\n{} beside {}: medians of {} rounds, interleaved.",
        names[0], names[1], options.rounds
    );
    if cores > 1 {
        println!(
            "Server on core 0 (a multi-thread runtime has one worker there), h2load on core 1."
        );
    } else {
        println!("One core only: server and load share it, and the figures are rough.");
    }
    marks::print(names, &comparisons);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&marks::json(names, &comparisons, cores))?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    let mut tally = Tally::default();
    for met in comparisons.iter().filter_map(Comparison::met) {
        tally.count(met);
    }
    if tally.failed > 0 && !options.check {
        println!("{} marks are missed; with --check that is a failure.", tally.failed);
        tally.failed = 0;
    }
    Ok(tally)
}

/// Server CPU per call in one shape.
fn cpu(
    subjects: &mut [Subject; 2],
    h2load: &H2load,
    shape: Shape,
    rounds: usize,
    progress: &Progress,
) -> Result<Comparison> {
    let payload = Payload::small();
    let calls = shape.calls();
    let mut figures = [Vec::new(), Vec::new()];
    for subject in subjects.iter_mut() {
        h2load.run(subject, shape, calls / 10, &payload)?;
    }
    for round in 1..=rounds {
        for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
            progress.detail(&format!("cpu {shape}, round {round} of {rounds}: {}", subject.name));
            let before = subject.cpu()?;
            h2load.run(subject, shape, calls, &payload)?;
            let used = subject.cpu()?.saturating_sub(before);
            figures.push(used.as_secs_f64() * 1e6 / calls as f64);
        }
    }
    Ok(Comparison {
        what: format!("server CPU per call, {shape}"),
        unit: "us",
        mark: Mark::of_cpu(shape),
        figures,
    })
}

const PARTS: [&str; 3] = ["cpu", "latency", "idle"];
/// The memory of a fresh process varies little.
const IDLE_ROUNDS: usize = 3;
