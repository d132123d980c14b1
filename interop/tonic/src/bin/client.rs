//! The interop client.

use std::process::ExitCode;
use std::time::Duration;

use tonic::Status;
use tonic::transport::Endpoint;
use tonic_peer::CONNECTION_WINDOW;
use tonic_peer::args::{Flags, usage};
use tonic_peer::cases::{CASES, Peer};
use tonic_peer::failure::Failure;
use tonic_peer::tutorial::Request;
use tonic_peer::tutorial::test_service_client::TestServiceClient;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse("client", &["--connect", "--case", "--as"], &[]);
    let (address, _) = flags.address("--connect");
    let endpoint = match Endpoint::from_shared(format!("http://{address}")) {
        Ok(endpoint) => endpoint.initial_connection_window_size(CONNECTION_WINDOW),
        Err(error) => usage("client", &format!("{address}: {error}")),
    };
    let done = match (flags.value("--case"), flags.value("--as")) {
        (Some(cases), None) => run_cases(&endpoint, &chosen(cases)).await,
        (None, Some(caller)) => ask(&endpoint, caller).await,
        _ => usage("client", "either --case CASE[,CASE...] or --as CALLER is needed"),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(cases: &str) -> Vec<&str> {
    if cases == "all" {
        return CASES.to_vec();
    }
    let names: Vec<_> = cases.split(',').collect();
    if let Some(unknown) = names.iter().find(|name| !CASES.contains(name)) {
        usage("client", &format!("no such case: {unknown}"));
    }
    names
}

async fn run_cases(endpoint: &Endpoint, names: &[&str]) -> bool {
    let mut peer = Peer::new(endpoint);
    let mut done = true;
    for name in names {
        match peer.run(name).await {
            Ok(()) => println!("ok {name}"),
            Err(reason) => {
                println!("FAIL {name}: {reason}");
                done = false;
            }
        }
    }
    done
}

async fn ask(endpoint: &Endpoint, caller: &str) -> bool {
    let mut client = TestServiceClient::new(endpoint.connect_lazy());
    let request =
        Request { request1: format!("{caller}-request1"), request2: format!("{caller}-request2") };
    let call = tokio::time::timeout(LIMIT, client.method(request)).await;
    match call.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
        Ok(reply) => {
            let reply = reply.into_inner();
            println!("{}\n{}", reply.result1, reply.result2);
            true
        }
        Err(status) => {
            eprintln!("client: {}", Failure::from(status));
            false
        }
    }
}
