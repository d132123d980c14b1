//! The server that ferrpc is measured against: `example.TestService` alone, on tonic as it comes.

use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_peer::args::Flags;
use tonic_peer::example::Example;
use tonic_peer::tutorial::test_service_server::TestServiceServer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse("bench_server", &["--listen"], &["--current-thread"]);
    let mut runtime = if flags.has("--current-thread") {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    runtime.enable_all().build()?.block_on(serve(&flags))
}

async fn serve(flags: &Flags) -> Result<(), Box<dyn std::error::Error>> {
    let (text, address) = flags.address("--listen");
    let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    println!("listening on {host}:{}", incoming.local_addr()?.port());
    Server::builder()
        .add_service(TestServiceServer::new(Example))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
