//! The interop server.

use std::io;

use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_peer::args::Flags;
use tonic_peer::example::Example;
use tonic_peer::layer::Around;
use tonic_peer::test_service::Test;
use tonic_peer::testing::test_service_server::TestServiceServer;
use tonic_peer::tutorial::test_service_server::TestServiceServer as ExampleServer;
use tonic_peer::{CONNECTION_WINDOW, MESSAGE_LIMIT};
use tower::layer::layer_fn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse("server", &["--listen"], &[]);
    let (text, address) = flags.address("--listen");
    let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    println!("listening on {host}:{}", incoming.local_addr()?.port());

    // A thread, because tokio's own standard input would keep the runtime from ending.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });

    let test = TestServiceServer::new(Test)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .accept_compressed(Gzip)
        .send_compressed(Gzip);
    Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(layer_fn(Around::new))
        .add_service(test)
        .add_service(ExampleServer::new(Example))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
