//! The project's own commands. CI runs nothing but these, and they run the same on a laptop.
//!
//! ```text
//! demo       callers in five languages ask servers in five languages      demo
//! test       every test of the workspace, in Rust and in Python           testing, python
//! interop    gRPC's interop cases with real peers, both ways; h2spec      interop, proxies, h2spec
//! workloads  real packages and their test suites, on grpcio and on ferrpc workloads
//! corpus     public .proto files by protoc and by ferrpc-compiler         corpus, python
//! gen        the generated code that is committed; pages of the docs      gen_code, code_map, front_page
//! ci         all that a change has to pass                                ci and what it calls
//! bench      speed and memory beside everyone else; instruction counts    the crate xtask-bench
//! attack     hostile peers on raw sockets, and what they achieve          the crate xtask-attack
//! ```
//!
//! What they share is in the crate `xtask-base`. Only `ci` calls `layering` (who sees whom), `features`
//! (each alone), `linters` (programs of PyPI) and `links` (in Markdown).

mod ci;
mod code_map;
mod corpus;
mod demo;
mod features;
mod front_page;
mod gen_code;
mod h2spec;
mod interop;
mod layering;
mod lifetime;
mod links;
mod linters;
mod proxies;
mod testing;
mod workloads;

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use xtask_base::report::Tally;
use xtask_base::workspace::Workspace;
use xtask_base::{debian, peers, process, python, relay, report, stamp, workspace};

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
    /// Renews the generated code and the code map that are committed.
    Gen(gen_code::Options),
    /// All that a change has to pass.
    Ci(ci::Options),
    /// Speed and memory beside everyone else; instruction counts.
    #[command(disable_help_flag = true)]
    Bench(Rest),
    /// Hostile peers on raw sockets, and what they achieve.
    #[command(disable_help_flag = true)]
    Attack(Rest),
}

/// All of it is for a program of its own, so that the other commands are built sooner.
#[derive(Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

fn main() -> ExitCode {
    report::exit(run(&Arguments::parse().command))
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
        Task::Bench(Rest { rest }) => program(&workspace, "xtask-bench", rest),
        Task::Attack(Rest { rest }) => program(&workspace, "xtask-attack", rest),
    }
}

/// Runs a program of the workspace; its success is one check.
fn program(workspace: &Workspace, package: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Tally> {
    let mut command = workspace.cargo(&["run", "--quiet", "--package", package, "--"]);
    command.args(arguments);
    Ok(Tally::of(process::shown(&mut command, package, HOURS)?))
}

/// `bench --full` takes an hour for each set of peers.
const HOURS: Duration = Duration::from_secs(12 * 60 * 60);
