//! The project's own commands. CI runs nothing but these, and they run the same on a laptop.
//!
//! ```text
//! demo       callers in five languages ask servers in five languages      demo
//! test       every test of the workspace, in Rust and in Python           testing, python
//! interop    gRPC's interop cases with real peers, both ways; h2spec      interop, proxies, h2spec
//! workloads  real packages and their test suites, on grpcio and on ferrpc workloads
//! corpus     public .proto files by protoc and by ferrpc-compiler         corpus, python
//! gen        the generated code that is committed                         gen
//! ci         all that a change has to pass                                ci, layering
//! bench      speed and memory beside everyone else; instruction counts    bench
//! ```
//!
//! What they share: `workspace` knows the folders, `process` runs programs with time limits,
//! `peers` builds the real peers of `interop/`, `debian` finds programs of Debian, `stamp` remembers
//! what is done, `report` counts and prints.

mod bench;
mod ci;
mod corpus;
mod debian;
mod demo;
mod gen_code;
mod h2spec;
mod interop;
mod layering;
mod lifetime;
mod peers;
mod process;
mod proxies;
mod python;
mod report;
mod stamp;
mod testing;
mod walls;
mod workloads;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::report::Tally;
use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Callers in five languages ask servers in five languages.
    Demo(demo::Options),
    /// Every test of the workspace.
    Test(testing::Options),
    /// gRPC's interop cases with real peers, both ways, and h2spec.
    Interop(interop::Options),
    /// Real packages and their test suites, on grpcio and on ferrpc.
    Workloads(workloads::Options),
    /// Public .proto files by protoc and by ferrpc-compiler.
    Corpus(corpus::Options),
    /// Renews the generated code that is committed.
    Gen(gen_code::Options),
    /// All that a change has to pass.
    Ci(ci::Options),
    /// Speed and memory beside everyone else; instruction counts.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.command) {
        Ok(tally) => {
            println!("\n{tally}");
            if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<Tally> {
    let workspace = Workspace::find()?;
    match task {
        Task::Demo(options) => demo::run(&workspace, options),
        Task::Test(options) => testing::run(&workspace, options),
        Task::Interop(options) => interop::run(&workspace, options),
        Task::Workloads(options) => workloads::run(&workspace, options),
        Task::Corpus(options) => corpus::run(&workspace, options),
        Task::Gen(options) => gen_code::run(&workspace, options),
        Task::Ci(options) => ci::run(&workspace, options),
        Task::Bench(options) => bench::run(&workspace, options),
    }
}
