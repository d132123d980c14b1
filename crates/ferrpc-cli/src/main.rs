//! The program `ferrpc`.
//!
//! ```text
//! ferrpc protoc -I. --python_out=gen --grpc_python_out=gen service.proto
//! ```

mod protoc;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// gRPC from the command line.
#[derive(Parser)]
#[command(name = "ferrpc", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Protoc(protoc::Options),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Protoc(options) => protoc::run(options),
    }
}
