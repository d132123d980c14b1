//! `cargo xtask attack`: what a hostile peer achieves, row by row, while an honest one calls.
//!
//! ```text
//! rows     what is sent, and what has to come of it     honest   calls that must not suffer
//! peer     the hostile end of a connection              subject  a server, its memory and CPU time
//! frames   frames and fields by hand                    bomb     a message that is small on the wire
//! victim   a client, its memory and CPU time            tables   for a terminal, for SECURITY.md
//! ```

mod bomb;
mod frames;
mod honest;
mod peer;
mod rows;
mod subject;
mod tables;
mod victim;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;
use clap::Parser;
use xtask_base::peers::{self, Party};
use xtask_base::report::{self, Progress, Tally};
use xtask_base::workspace::Workspace;

use self::rows::Row;
use self::tables::Figures;

/// What to attack, and how.
#[derive(Parser)]
#[command(name = "cargo xtask attack", bin_name = "cargo xtask attack")]
struct Options {
    /// Our servers alone if none are named, with fewer of everything, and without limits of more than ten seconds.
    #[arg(long)]
    quick: bool,
    /// Only these servers: ferrpc, ferrpc-python, ferrpc-python-aio, tonic, grpcio, grpcio-aio.
    #[arg(long, value_delimiter = ',', value_name = "SERVER")]
    only: Vec<String>,
    /// Only rows with these numbers.
    #[arg(long, value_delimiter = ',', value_name = "NUMBER")]
    rows: Vec<String>,
    /// Write the tables into SECURITY.md.
    #[arg(long, conflicts_with = "rows")]
    write: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    report::exit(Workspace::find().and_then(|workspace| run(&workspace, &options)))
}

/// Each row at each of our servers is one check; what others do is shown.
fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let parties = parties(workspace, options)?;
    let mut rows = rows::all();
    rows.retain(|row| {
        options.rows.is_empty() || options.rows.iter().any(|name| name == row.number)
    });
    if options.quick {
        rows.retain(|row| row.patience <= QUICK);
    }
    let mut figures = Figures::new(&parties, &rows);
    let progress = Progress::new();
    let all = (0..parties.len()).flat_map(|party| (0..rows.len()).map(move |row| (party, row)));
    let (slow, fast): (Vec<_>, Vec<_>) = all.partition(|(_, row)| rows[*row].by_time());
    let mut run = |pairs: &[(usize, usize)], threads| {
        attack(&parties, &rows, pairs, threads, options.quick, &progress, &mut figures)
    };
    run(&fast, 1);
    // These wait for most of their time.
    run(&slow, 8);
    let mut clients = Figures::of_clients(&parties);
    for (party, client) in parties.iter().enumerate().filter(|(_, it)| CLIENTS.contains(&it.name)) {
        for (row, attack) in rows::servers::all().iter().enumerate() {
            if options.rows.is_empty() || options.rows.iter().any(|name| name == attack.number) {
                progress.detail(&format!("{}: {}", client.name, attack.what));
                clients.add(party, row, victim::run(client, &parties[0], attack));
            }
        }
    }
    drop(progress);
    let tally = [figures.print("servers"), clients.print("clients")].into_iter().sum();
    if options.write {
        tables::write(workspace, &[figures, clients], options.quick)?;
    }
    Ok(tally)
}

/// The servers that are asked for, built.
fn parties(workspace: &Workspace, options: &Options) -> Result<Vec<Party>> {
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let progress = Progress::new();
    let mut parties = Vec::new();
    if wanted(peers::FERRPC) {
        parties.push(peers::interop_peer(workspace, &progress)?);
    }
    let (python, mut skipped) = peers::python_ends(workspace, &progress, wanted)?;
    parties.extend(python);
    if !options.quick || !options.only.is_empty() {
        let others: Vec<_> = OTHERS.into_iter().filter(|name| wanted(name)).collect();
        let (others, missing) = peers::prepare(workspace, &progress, &others)?;
        parties.extend(others);
        skipped.extend(missing);
    }
    peers::announce(&skipped, options.quick)?;
    Ok(parties)
}

/// Runs pairs of a party and a row, by so many threads.
fn attack(
    parties: &[Party],
    rows: &[Row],
    pairs: &[(usize, usize)],
    threads: usize,
    quick: bool,
    progress: &Progress,
    figures: &mut Figures,
) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&(party, row)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (server, attack) = (&parties[party], &rows[row]);
                    progress.detail(&format!("{}: {}", server.name, attack.what));
                    let outcome = subject::run(server, attack, quick);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((party, row, outcome));
                }
            });
        }
    });
    for (party, row, outcome) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        figures.add(party, row, outcome);
    }
}

/// Whose clients are attacked.
const CLIENTS: [&str; 2] = [peers::PYTHON_PEER, "grpcio"];
/// Who stands beside ours.
const OTHERS: [&str; 3] = ["tonic", "grpcio", "grpcio-aio"];
/// What is waited for when things have to be quick.
const QUICK: std::time::Duration = std::time::Duration::from_secs(30);
