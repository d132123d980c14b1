//! A server's life: its limits, and its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrpc::Code;
use ferrpc::server::{Dispatch, Server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::caller::Caller;
use crate::gate::{patiently, routes, server};

// -- the end --------------------------------------------------------------------------------------

#[tokio::test]
async fn a_graceful_end_lets_calls_finish() {
    let (server, gate) = server().await;
    let mut caller = Caller::tcp(&server).await;
    let call = caller.begin("/t.T/Gate", "late");
    caller.unary("/t.T/Echo", "").await;
    let address = server.local_addr().expect("bound");
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(None).await }
    });
    caller.until(|caller| caller.draining).await;
    TcpStream::connect(address).await.expect_err("it does not listen any more");
    gate.permits.add_permits(1);
    assert_eq!(caller.finished(call).await.messages, ["late"]);
    caller.until_closed().await;
    drop(caller);
    patiently(ending).await.expect("no panic");
    patiently(server.wait()).await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test]
async fn a_graceful_end_has_a_limit() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let (routes, _gate) = routes(dispatch);
        let server =
            Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
        let mut caller = Caller::tcp(&server).await;
        let call = caller.begin("/t.T/Gate", "never");
        caller.unary("/t.T/Echo", "").await;
        let ending = tokio::spawn({
            let server = server.clone();
            async move { server.shutdown(Some(Duration::from_millis(20))).await }
        });
        let seen = caller.finished(call).await;
        assert_ne!(seen.code(), Code::Ok);
        drop(caller);
        patiently(ending).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_server_without_connections_ends_at_once() {
    let (server, _) = server().await;
    patiently(server.shutdown(None)).await;
    patiently(server.shutdown(None)).await;
}

#[tokio::test]
async fn idle_connections_end_gracefully() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_connection_idle(Duration::from_millis(20))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    caller.unary("/t.T/Echo", "").await;
    caller.until_closed().await;
}

#[tokio::test]
async fn callers_that_say_nothing_are_sent_away() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .handshake_timeout(Duration::from_millis(20))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut stream =
        TcpStream::connect(server.local_addr().expect("bound")).await.expect("connects");
    let mut all = Vec::new();
    patiently(stream.read_to_end(&mut all)).await.expect("a clean end");
    assert!(!all.is_empty(), "SETTINGS and GOAWAY at least");
}

// -- limits ---------------------------------------------------------------------------------------

#[tokio::test]
async fn calls_over_the_limit_of_handlers_wait_and_then_fail() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let (routes, gate) = routes(dispatch);
        let server = Server::builder()
            .add_service(routes)
            .max_handlers_per_connection(2)
            .bind("127.0.0.1:0")
            .await
            .expect("binds");
        let mut caller = Caller::tcp(&server).await;
        // Two run, eight wait, and the last is too much.
        let mut calls: Vec<_> =
            (0..11).map(|at| caller.begin("/t.T/Gate", at.to_string())).collect();
        let last = calls.pop().expect("eleven");
        let seen = caller.finished(last).await;
        assert_eq!(seen.code(), Code::ResourceExhausted, "{dispatch:?}: {seen:?}");
        assert!(gate.started.load(Ordering::SeqCst) <= 2);
        // One that waits is given up: it never starts.
        let given_up = calls.pop().expect("ten");
        caller.cancel(given_up);
        // Needs no handler, and is answered after the cancellation was seen.
        caller.unary("/t.T/Nothing", "").await;
        gate.permits.add_permits(9);
        for (at, call) in calls.into_iter().enumerate() {
            assert_eq!(caller.finished(call).await.messages, [at.to_string()]);
        }
        assert_eq!(gate.started.load(Ordering::SeqCst), 9);
        gate.permits.add_permits(1);
        assert_eq!(caller.unary("/t.T/Gate", "free").await.messages, ["free"]);
    }
}

#[tokio::test]
async fn the_limit_of_handlers_holds_across_connections() {
    let (routes, gate) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_handlers(1)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut first = Caller::tcp(&server).await;
    let mut second = Caller::tcp(&server).await;
    second.unary("/t.T/Echo", "").await;
    let one = first.begin("/t.T/Gate", "one");
    first.write().await;
    while gate.started.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let two = second.begin("/t.T/Gate", "two");
    second.write().await;
    gate.permits.add_permits(1);
    assert_eq!(first.finished(one).await.messages, ["one"]);
    gate.permits.add_permits(1);
    assert_eq!(second.finished(two).await.messages, ["two"]);
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_connections(1)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut first = Caller::tcp(&server).await;
    first.unary("/t.T/Echo", "").await;
    let mut second = Caller::tcp(&server).await;
    let call = second.begin("/t.T/Echo", "waits");
    second.write().await;
    first.unary("/t.T/Echo", "").await;
    assert_eq!(server.connection_count(), 1);
    drop(first);
    assert_eq!(second.finished(call).await.messages, ["waits"]);
}
