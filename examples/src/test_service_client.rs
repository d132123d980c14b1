//! Asks `example.TestService` once and prints the two results.
//!
//! `cargo run -p ferrpc-examples --example test_service_client -- --connect 127.0.0.1:50051`

use std::process::ExitCode;

use clap::Parser;
use ferrpc::Channel;
use ferrpc_examples::example::{self, TestServiceClient};

/// Asks `example.TestService` once.
#[derive(Parser)]
struct Arguments {
    /// The server: HOST:PORT, unix:PATH or any other gRPC target.
    #[arg(long, value_name = "TARGET", default_value = "127.0.0.1:50051")]
    connect: String,
    /// In whose name: the language of the caller.
    #[arg(long = "as", value_name = "CALLER", default_value = "rust")]
    caller: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match ask(&arguments).await {
        Ok(result) => {
            println!("{}\n{}", result.result1, result.result2);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(arguments: &Arguments) -> Result<example::Result, Box<dyn std::error::Error>> {
    let channel = Channel::builder(&arguments.connect).connect_lazy()?;
    let request = example::Request {
        request1: format!("{}-request1", arguments.caller),
        request2: format!("{}-request2", arguments.caller),
        ..Default::default()
    };
    Ok(TestServiceClient::new(channel).method(request).await?.into_inner())
}
