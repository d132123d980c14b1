//! The server that ferrpc is measured against: both services, on tonic as it comes.

use std::time::{Duration, Instant};

use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_peer::args::{Flags, usage};
use tonic_peer::bench::{BIG_WINDOWS, MESSAGE_LIMIT, Test};
use tonic_peer::example::Example;
use tonic_peer::testing::test_service_server::TestServiceServer;
use tonic_peer::tutorial;
use tonic_peer::tutorial::test_service_server::{TestService, TestServiceServer as ExampleServer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse(
        "bench_server",
        &["--listen", "--handler", "--tls-cert", "--tls-key"],
        &["--current-thread", "--big-windows"],
    );
    let mut runtime = if flags.has("--current-thread") {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    runtime.enable_all().build()?.block_on(serve(&flags))
}

async fn serve(flags: &Flags) -> Result<(), Box<dyn std::error::Error>> {
    let work = match flags.value("--handler") {
        None | Some("answers") => Work::Answers,
        Some("yields") => Work::Yields,
        Some("sleeps") => Work::Sleeps,
        Some("computes") => Work::Computes,
        Some(other) => usage("bench_server", &format!("--handler {other}")),
    };
    let (text, address) = flags.address("--listen");
    let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    println!("listening on {host}:{}", incoming.local_addr()?.port());
    let mut server = Server::builder();
    if flags.has("--big-windows") {
        server = server
            .initial_stream_window_size(BIG_WINDOWS.0)
            .initial_connection_window_size(BIG_WINDOWS.1);
    }
    if let (Some(chain), Some(key)) = (flags.value("--tls-cert"), flags.value("--tls-key")) {
        server = with_tls(server, chain, key)?;
    }
    server
        .add_service(TestServiceServer::new(Test).max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(ExampleServer::new(Working { work }))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

#[cfg(feature = "tls")]
fn with_tls(server: Server, chain: &str, key: &str) -> Result<Server, Box<dyn std::error::Error>> {
    use tonic::transport::{Identity, ServerTlsConfig};
    let identity = Identity::from_pem(std::fs::read(chain)?, std::fs::read(key)?);
    Ok(server.tls_config(ServerTlsConfig::new().identity(identity))?)
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: Server, _: &str, _: &str) -> Result<Server, Box<dyn std::error::Error>> {
    Err("built without the feature tls".into())
}

/// What `example.TestService` does before it answers.
enum Work {
    /// Nothing.
    Answers,
    /// Gives way to other tasks once.
    Yields,
    /// Waits for a timer of 1 ms.
    Sleeps,
    /// Computes for 1 ms.
    Computes,
}

struct Working {
    work: Work,
}

#[tonic::async_trait]
impl TestService for Working {
    async fn method(
        &self,
        request: Request<tutorial::Request>,
    ) -> Result<Response<tutorial::Result>, Status> {
        match self.work {
            Work::Answers => {}
            Work::Yields => tokio::task::yield_now().await,
            Work::Sleeps => tokio::time::sleep(Duration::from_millis(1)).await,
            Work::Computes => compute(),
        }
        Ok(Response::new(Example::answer(request.get_ref())))
    }
}

fn compute() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}
