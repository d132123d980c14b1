//! Serves `example.TestService`: callers written in different languages each get the answer that
//! is meant for them.
//!
//! `cargo run -p ferrpc-examples --example test_service_server -- --listen 127.0.0.1:50051`

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use clap::Parser;
use ferrpc::server::{HttpResponse, Server};
use ferrpc::{Request, Response, Status};
use ferrpc_examples::example::{self, TestService, TestServiceServer};
use tokio::signal::unix::{SignalKind, signal};

/// Serves `example.TestService`.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: HOST:PORT (port 0: any free one) or unix:PATH.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    listen: String,
}

struct Answers;

impl TestService for Answers {
    async fn method(
        &self,
        request: Request<example::Request>,
    ) -> Result<Response<example::Result>, Status> {
        Ok(Response::new(answer(&request.message().request1)))
    }
}

fn answer(request1: &str) -> example::Result {
    let caller = request1.strip_suffix("-request1").filter(|caller| CALLERS.contains(caller));
    let (result1, result2) = match caller {
        Some(caller) => {
            let both = format!("res1-{caller}-client->rust-server");
            (both.clone(), both)
        }
        None => ("f1".to_owned(), "fn1".to_owned()),
    };
    example::Result { result1, result2, ..Default::default() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let server = Server::builder()
        .add_service(TestServiceServer::new(Answers))
        .fallback(|_| HttpResponse::text(200, "This is a gRPC server.\n"))
        .bind(&arguments.listen)
        .await?;
    for address in server.addresses() {
        writeln!(std::io::stdout(), "listening on {address}")?;
    }
    std::io::stdout().flush()?;

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    // Calls that are being handled may end; new ones are refused.
    server.shutdown(Some(GRACE)).await;
    Ok(())
}

/// The languages that callers are written in.
const CALLERS: [&str; 5] = ["java", "py", "rust", "go", "node"];

/// Longer than any call here takes, shorter than anybody waits for a program to end.
const GRACE: Duration = Duration::from_secs(5);
