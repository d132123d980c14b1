//! Methods and requests that are not there.

use bytes::Bytes;
use ferrpc::server::{Dispatch, HttpResponse, Server};
use ferrpc::{Cardinality, Code, Request, Response, Streaming};
use ferrpc_core::Time;
use ferrpc_core::http2::{self, Field, Role, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::caller::Caller;
use crate::gate::{none, patiently, routes, server};

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let (server, _) = server().await;
    let mut caller = Caller::tcp(&server).await;
    let seen = caller.unary("/t.T/Nothing", "").await;
    assert_eq!(seen.code(), Code::Unimplemented);
    assert_eq!(seen.text(), "unknown method Nothing for service t.T");
    let seen = caller.unary("/no.Service/Nothing", "").await;
    assert_eq!((seen.code(), seen.text()), (Code::Unimplemented, "unknown service no.Service"));
}

#[tokio::test]
async fn unknown_methods_can_be_handled_as_bytes() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .unknown_method(|request: Request<Streaming<Bytes>>| async move {
            let path = request.path().to_owned();
            let requests = request.into_inner();
            let stream: ferrpc::server::ResponseStream<Bytes> = Box::pin(requests);
            let mut response = Response::new(stream);
            response.metadata_mut().append("x-path", &path).expect("legal");
            Ok(response)
        })
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    let seen = caller.unary("/any.Thing/AtAll", "through").await;
    assert_eq!(seen.messages, ["through"]);
    let path = seen.metadata.as_ref().and_then(|metadata| metadata.value("x-path"));
    assert_eq!(path, Some("/any.Thing/AtAll"));
    let call = caller.start("/any.Thing/AtAll", Cardinality::Bidirectional, &none());
    caller.send(call, "a");
    caller.send(call, "b");
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.messages, ["a", "b"]);
}

/// What a plain GET is answered with: the status and the body.
async fn get(server: &Server, path: &str) -> (Vec<u8>, Vec<u8>) {
    let mut stream =
        TcpStream::connect(server.local_addr().expect("bound")).await.expect("connects");
    let mut client = http2::Connection::new(Role::Client, http2::Config::default(), Time::ZERO);
    let field = |name: &'static [u8], value| Field { name, value, sensitive: false };
    let fields = [
        field(b":method", b"GET".as_slice()),
        field(b":scheme", b"http"),
        field(b":authority", b"test.local"),
        field(b":path", path.as_bytes()),
    ];
    client.open(Time::ZERO, fields, true).expect("a stream is free");
    let (mut status, mut body, mut done) = (Vec::new(), Vec::new(), false);
    let mut transmit = Transmit::new();
    while !done {
        client.poll_transmit(Time::ZERO, &mut transmit, usize::MAX);
        stream.write_all(&transmit.take()).await.expect("written");
        let mut buffer = [0; 4096];
        let count = patiently(stream.read(&mut buffer)).await.expect("read");
        let mut input = &buffer[..count];
        while let Some(event) = client.receive(Time::ZERO, &mut input) {
            match event {
                http2::Event::Headers { fields, end, .. } => {
                    status = fields.value(b":status").expect("there is one").to_vec();
                    done |= end;
                }
                http2::Event::Data { payload, end, .. } => {
                    body.extend_from_slice(payload);
                    done |= end;
                }
                _ => {}
            }
        }
    }
    (status, body)
}

#[tokio::test]
async fn plain_http_is_answered() {
    let (server, _) = server().await;
    let (status, body) = get(&server, "/").await;
    assert_eq!(status, b"404");
    assert_eq!(body, b"This is a gRPC server; there is nothing else here.\n");
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .fallback(|request| match request.path() {
            "/" => HttpResponse::text(200, format!("{} is fine\n", request.method())),
            _ => panic!("also answered"),
        })
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    assert_eq!(get(&server, "/").await, (b"200".to_vec(), b"GET is fine\n".to_vec()));
    assert_eq!(get(&server, "/x").await.0, b"500");
}
