//! Our client against our server: the same calls over every transport there is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::transport::in_process;
use ferrpc::{Channel, Code, Encoding, Request, Response, Status, Streaming};

use crate::support::{CHAT, COLLECT, ECHO, FAIL, HANG, STREAM, messages, until};

fn routes() -> Routes {
    let mut routes = Routes::new("t");
    routes
        .unary(ECHO.clone(), |request: Request<Bytes>| async move {
            let mut response = Response::new(request.message().clone());
            response.trailing_mut().append("x-peer", request.peer()).expect("legal");
            Ok(response)
        })
        .unary(FAIL.clone(), |request: Request<Bytes>| async move {
            let text = String::from_utf8_lossy(request.message()).into_owned();
            Err(Status::new(Code::NotFound, text))
        })
        .unary(HANG.clone(), |_: Request<Bytes>| std::future::pending())
        .server_streaming(STREAM.clone(), |request: Request<Bytes>| async move {
            let size = request.message().len();
            let list = (0..100).map(move |at| Ok(Bytes::from(vec![at; size * 100])));
            let mut response = Response::new(Box::pin(messages(list)) as ResponseStream<Bytes>);
            response.set_compression(Encoding::Gzip);
            Ok(response)
        })
        .client_streaming(COLLECT.clone(), |request: Request<Streaming<Bytes>>| async move {
            let mut requests = request.into_inner();
            let mut sum = 0;
            while let Some(message) = requests.message().await? {
                sum += message.len();
            }
            Ok(Response::new(Bytes::from(sum.to_string())))
        })
        .bidirectional(CHAT.clone(), |request: Request<Streaming<Bytes>>| async move {
            Ok(Response::new(Box::pin(request.into_inner()) as ResponseStream<Bytes>))
        });
    routes
}

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

async fn all_kinds(channel: &Channel, peer: &str) {
    let response = channel.unary(&ECHO, request("hello")).await.expect("it answers");
    assert_eq!(response.message(), "hello");
    let seen = response.trailing().value("x-peer").expect("it was sent");
    assert!(seen.starts_with(peer), "{seen}");

    let status = channel.unary(&FAIL, request("gone")).await.expect_err("it fails");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "gone"));

    // More than the client takes: the code arrives, and what there is room for.
    let long = "x".repeat(40_000);
    let status = channel.unary(&FAIL, request(&long)).await.expect_err("it fails");
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().starts_with(&long[..15_000]), "{status}");
    assert!(status.message().contains("this status was shortened"), "{status}");
    let mut ask = request("");
    ask.metadata_mut().append("large", &long).expect("legal");
    let status = channel.unary(&ECHO, ask).await.expect_err("the server does not take it");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("vs. 16384"), "{status}");

    let mut ask = request("");
    ask.set_timeout(Duration::from_millis(30));
    let status = channel.unary(&HANG, ask).await.expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let response = channel.server_streaming(&STREAM, request("0123456789")).await;
    let mut responses = response.expect("it begins").into_inner();
    for at in 0..100 {
        let message = responses.message().await.expect("no error").expect("not the end");
        assert_eq!(message, vec![at; 1000]);
    }
    assert!(responses.message().await.expect("no error").is_none());

    for encoding in [Encoding::Identity, Encoding::Gzip] {
        let mut ask = Request::new(messages(vec![Bytes::from(vec![7; 50_000]); 40]));
        ask.set_compression(encoding);
        let response = channel.client_streaming(&COLLECT, ask).await.expect("it answers");
        assert_eq!(response.message(), "2000000");
    }

    let ask = Request::new(messages(vec![Bytes::from(vec![7; 50_000]); 40]));
    let response = channel.bidirectional(&CHAT, ask).await.expect("it begins");
    let mut responses = response;
    let mut got = 0;
    while let Some(message) = responses.message().await.expect("no error") {
        got += message.len();
    }
    assert_eq!(got, 2_000_000);
}

#[tokio::test]
async fn tcp() {
    let server = Server::builder().add_service(routes()).bind("127.0.0.1:0").await.expect("bound");
    let target = server.local_addr().expect("TCP").to_string();
    let channel = Channel::builder(target).connect().await.expect("the server runs");
    all_kinds(&channel, "ipv4:127.0.0.1:").await;
}

#[tokio::test]
async fn unix() {
    let path = std::env::temp_dir().join(format!("ferrpc-cs-{}.socket", std::process::id()));
    let target = format!("unix:{}", path.display());
    let server = Server::builder().add_service(routes()).bind(&target).await.expect("bound");
    let channel = Channel::builder(&target).connect().await.expect("the server runs");
    all_kinds(&channel, &target).await;
    server.shutdown(None).await;
}

#[cfg(feature = "tls")]
mod over_tls {
    use ferrpc::credentials::{ChannelCredentials, ClientTls, ServerCredentials, ServerTls};

    use super::*;
    use crate::certificates::Authority;

    fn credentials() -> (ServerCredentials, ChannelCredentials) {
        let authority = Authority::new("root");
        let server = ServerTls::builder(authority.issue(&["localhost"]).identity());
        let client = ClientTls::builder().roots(authority.roots());
        (
            ServerCredentials::tls(server.build().expect("an identity")),
            ChannelCredentials::tls(client.build().expect("roots")),
        )
    }

    #[tokio::test]
    async fn tcp() {
        let (ours, theirs) = credentials();
        let server = Server::builder().add_service(routes()).credentials(ours);
        let server = server.bind("127.0.0.1:0").await.expect("bound");
        let target = format!("localhost:{}", server.local_addr().expect("TCP").port());
        let channel = Channel::builder(target).credentials(theirs).connect().await;
        all_kinds(&channel.expect("the server runs"), "ipv4:127.0.0.1:").await;
    }

    #[tokio::test]
    async fn unix() {
        let (ours, theirs) = credentials();
        let path = std::env::temp_dir().join(format!("ferrpc-cst-{}.socket", std::process::id()));
        let target = format!("unix:{}", path.display());
        let server = Server::builder().add_service(routes()).credentials(ours);
        let server = server.bind(&target).await.expect("bound");
        let channel = Channel::builder(&target).credentials(theirs).connect().await;
        all_kinds(&channel.expect("the server runs"), &target).await;
        server.shutdown(None).await;
    }

    /// The pipe holds less than what is written at once: what TLS could not pass on waits.
    #[tokio::test]
    async fn in_the_same_process() {
        let (ours, theirs) = credentials();
        let server = Arc::new(Server::builder().add_service(routes()).credentials(ours).build());
        let channel = Channel::builder("inproc:test").credentials(theirs);
        let channel = channel.connector(move |_: &_| {
            let (ours, theirs) = in_process();
            server.serve_io(theirs);
            std::future::ready(Ok(ours))
        });
        let channel = channel.connect().await.expect("the server runs");
        all_kinds(&channel, "inproc").await;
    }
}

#[tokio::test]
async fn in_the_same_process() {
    let server = Arc::new(Server::builder().add_service(routes()).build());
    let channel = {
        let server = Arc::clone(&server);
        Channel::builder("inproc:test").connector(move |_: &_| {
            let (ours, theirs) = in_process();
            server.serve_io(theirs);
            std::future::ready(Ok(ours))
        })
    };
    let channel = channel.connect().await.expect("the server runs");
    all_kinds(&channel, "inproc").await;
}

/// More answers than one pass writes, while calls go on coming: none is read before it has a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_calls_at_a_time() {
    let server = Server::builder().add_service(routes()).bind("127.0.0.1:0").await.expect("bound");
    let target = server.local_addr().expect("TCP").to_string();
    let channel = Channel::builder(target).connect().await.expect("the server runs");
    let message = Bytes::from(vec![7; 64 << 10]);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (channel, message) = (channel.clone(), message.clone());
            tokio::spawn(async move {
                for _ in 0..30 {
                    let response = channel.unary(&ECHO, Request::new(message.clone())).await;
                    assert_eq!(response.expect("it answers").message().len(), message.len());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("all are answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_shutdown_loses_nothing() {
    let server = Server::builder().add_service(routes()).bind("127.0.0.1:0").await.expect("bound");
    let address = server.local_addr().expect("TCP").to_string();
    let channel = Channel::builder(&*address).connect().await.expect("the server runs");
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for number in 0_u32.. {
                    let mut ask = request("x");
                    ask.set_wait_for_ready(true);
                    ask.set_timeout(Duration::from_millis(500));
                    match channel.unary(&ECHO, ask).await {
                        Ok(_) => {}
                        // Nothing but having no server ends it.
                        Err(status) => {
                            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
                            return number;
                        }
                    }
                }
                unreachable!("it ends when the server has ended");
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shutdown(None).await;
    for caller in callers {
        assert!(caller.await.expect("nothing is lost") > 0);
    }
    until("no connection", || server.connection_count() == 0).await;
}
