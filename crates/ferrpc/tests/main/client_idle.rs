//! A blocking channel that nobody uses answers its server all the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{Routes, Server};
use ferrpc::{Request, Response};
use ferrpc_blocking::Channel;
use tokio::runtime::{Builder, Runtime};

use crate::support::ECHO;

fn serve(runtime: &Runtime) -> (Server, String) {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        Ok(Response::new(request.into_inner()))
    });
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0");
    let server = runtime.block_on(server).expect("bound");
    let address = server.local_addr().expect("TCP").to_string();
    (server, address)
}

/// Two servers end, first the one whose client never closes its side: that one waits for it. The
/// other one's client has just made a call, and does nothing more.
#[test]
fn a_server_that_ends_need_not_wait_for_a_client_that_has_just_called() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let ((deaf, deaf_address), (server, address)) = (serve(&runtime), serve(&runtime));
    let channel = Channel::new(Channel::builder(address)).expect("a target");
    let call = || channel.unary(&ECHO, Request::new(Bytes::from_static(b"x"))).expect("an answer");
    call();

    let mut stream = TcpStream::connect(deaf_address).expect("it listens");
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    stream.write_all(hello).expect("it takes it");
    stream.read_exact(&mut [0; 9]).expect("its SETTINGS");
    let waiting = runtime.spawn(async move { deaf.shutdown(Some(Duration::ZERO)).await });
    stream.read_to_end(&mut Vec::new()).expect("until it has closed its side");
    // It waits for a second. If the other one does too, it ends well after.
    std::thread::sleep(Duration::from_millis(200));
    call();
    runtime.block_on(server.shutdown(Some(Duration::ZERO)));
    assert!(!waiting.is_finished(), "the deaf client's server was the first to end");
    drop(stream);
}
