//! How a channel gets, loses and replaces its connection, and what calls notice of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::client::{BackoffConfig, ConnectivityState};
use ferrpc::{Channel, Code, Request, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::*;

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

fn patient(text: &str) -> Request<Bytes> {
    let mut request = request(text);
    request.set_wait_for_ready(true);
    request.set_timeout(Duration::from_secs(20));
    request
}

fn quick_backoff() -> BackoffConfig {
    BackoffConfig { initial: Duration::from_millis(20), ..BackoffConfig::default() }
}

async fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    listener.local_addr().expect("bound").to_string()
}

#[tokio::test]
async fn nobody_there() {
    let address = free_port().await;
    let channel = Channel::builder(&*address).connect_lazy().expect("a target");
    assert_eq!(channel.state(), ConnectivityState::Idle);
    let expect =
        format!("failed to connect to {address}: connection refused; is the server running?");
    let status = channel.unary(&ECHO, request("")).await.expect_err("nobody is there");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, &*expect));
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);

    // While the channel waits for its next attempt, calls fail at once.
    let began = Instant::now();
    channel.unary(&ECHO, request("")).await.expect_err("nobody is there");
    assert!(began.elapsed() < Duration::from_millis(500));

    let error = Channel::builder(&*address).connect().await.expect_err("nobody is there");
    assert_eq!(error.to_string(), expect);
}

#[tokio::test]
async fn no_target() {
    let error = Channel::builder("localhost:port").connect_lazy().expect_err("no target");
    assert!(error.to_string().contains("\"port\" is no port number"), "{error}");
    let secure = Channel::builder("https://localhost").connect_lazy();
    if cfg!(any(feature = "tls", feature = "tls-ring")) {
        secure.expect("TLS with the system's roots");
    } else {
        let error = secure.expect_err("no TLS");
        assert!(error.to_string().contains("has no TLS"), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let channel = Channel::builder("no-such-host.invalid:1").connect_lazy().expect("a target");
    let status = channel.unary(&ECHO, request("")).await.expect_err("no such host");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("failed to resolve no-such-host.invalid:1: "), "{status}");
}

#[tokio::test]
async fn wait_for_ready_waits_for_the_server() {
    let address = free_port().await;
    let channel = Channel::builder(&*address).backoff(quick_backoff());
    let channel = channel.connect_lazy().expect("a target");
    channel.unary(&ECHO, request("")).await.expect_err("nobody is there");
    let call = {
        let channel = channel.clone();
        tokio::spawn(async move { channel.unary(&ECHO, patient("late")).await })
    };
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(!call.is_finished());
    let listener = TcpListener::bind(&address).await.expect("still free");
    let _server = TestServer::serve(listener, config());
    assert_eq!(call.await.expect("no panic").expect("it answers").message(), "late");
    assert_eq!(channel.state(), ConnectivityState::Ready);
}

#[tokio::test]
async fn the_deadline_holds_while_there_is_no_connection() {
    let channel = Channel::builder(free_port().await).connect_lazy().expect("a target");
    let mut ask = patient("");
    ask.set_timeout(Duration::from_millis(60));
    let status = channel.unary(&ECHO, ask).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("connection refused"), "{status}");
}

#[tokio::test]
async fn states() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
    assert_eq!(channel.state(), ConnectivityState::Idle);
    channel.start_connecting();
    assert_eq!(channel.state(), ConnectivityState::Connecting);
    assert_eq!(
        channel.state_changed(ConnectivityState::Connecting).await,
        ConnectivityState::Ready
    );
    server.order(Order::Cut);
    assert_eq!(channel.state_changed(ConnectivityState::Ready).await, ConnectivityState::Idle);
    channel.close();
    assert_eq!(channel.state(), ConnectivityState::Shutdown);
    let status = channel.unary(&ECHO, patient("")).await.expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test]
async fn an_idle_connection_is_given_up() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).idle_timeout(Duration::from_millis(50));
    let channel = channel.connect().await.expect("the server runs");
    for number in 1..=2 {
        channel.unary(&ECHO, patient("")).await.expect("it answers");
        assert_eq!(server.connections(), number);
        assert_eq!(channel.state_changed(ConnectivityState::Ready).await, ConnectivityState::Idle);
    }
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    for number in 1..=3 {
        channel.unary(&ECHO, request("")).await.expect("it answers");
        assert_eq!(server.connections(), number);
        let hanging = {
            let channel = channel.clone();
            tokio::spawn(async move { channel.unary(&HANG, request("")).await })
        };
        until("the call is there", || server.calls() == number * 2).await;
        server.order(Order::Cut);
        // The server may have seen it: it is not repeated.
        let status = hanging.await.expect("no panic").expect_err("lost");
        assert_eq!(status.code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn goaway_loses_nothing() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let hanging: Vec<_> = (0..5)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.unary(&HANG, request("hung")).await })
        })
        .collect();
    until("the calls are there", || server.calls() == 5).await;
    server.order(Order::Drain);
    channel.state_changed(ConnectivityState::Ready).await;
    // A new call makes a new connection at once, beside the old one.
    channel.unary(&ECHO, request("")).await.expect("it answers");
    assert_eq!(server.connections(), 2);
    server.order(Order::Release);
    for call in hanging {
        assert_eq!(call.await.expect("no panic").expect("it answers").message(), "hung");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_while_the_server_drains_again_and_again() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    channel.unary(&ECHO, request("x")).await.expect("nothing is lost");
                }
            })
        })
        .collect();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        server.order(Order::Drain);
    }
    for caller in callers {
        caller.await.expect("no panic");
    }
    assert!(server.connections() > 1);
}

#[tokio::test]
async fn calls_above_the_stream_limit_wait() {
    let mut limited = config();
    limited.http2.limits.max_concurrent_streams = 2;
    let server = TestServer::start_with(limited).await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.unary(&HANG, request("hung")).await })
        })
        .collect();
    until("two calls are there", || server.calls() == 2).await;

    // One that waits for a stream still has its deadline, and one may be dropped.
    let mut ask = request("");
    ask.set_timeout(Duration::from_millis(50));
    let status = channel.unary(&ECHO, ask).await.expect_err("no stream");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("a stream"), "{status}");
    let dropped =
        tokio::time::timeout(Duration::from_millis(20), channel.unary(&ECHO, request("")));
    dropped.await.expect_err("no stream");

    while !calls.iter().all(tokio::task::JoinHandle::is_finished) {
        server.order(Order::Release);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for call in calls {
        call.await.expect("no panic").expect("it answers");
    }
    assert_eq!((server.connections(), server.calls()), (1, 6));
}

#[tokio::test]
async fn waiting_calls_survive_goaway() {
    let mut limited = config();
    limited.http2.limits.max_concurrent_streams = 1;
    let server = TestServer::start_with(limited).await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let first = {
        let channel = channel.clone();
        tokio::spawn(async move { channel.unary(&HANG, request("first")).await })
    };
    until("the call is there", || server.calls() == 1).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { channel.unary(&ECHO, request("waited")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(server.calls(), 1);
    server.order(Order::Drain);
    for call in waiting {
        assert_eq!(call.await.expect("no panic").expect("it answers").message(), "waited");
    }
    server.order(Order::Release);
    first.await.expect("no panic").expect("it answers");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn close_ends_everything() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let hanging = {
        let channel = channel.clone();
        tokio::spawn(async move { channel.unary(&HANG, request("")).await })
    };
    until("the call is there", || server.calls() == 1).await;
    channel.close();
    let status: Status = hanging.await.expect("no panic").expect_err("closed");
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "the channel was closed"));
}

#[tokio::test]
async fn a_stream_outlives_its_channel() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Bytes::from_static(b"a")).await.expect("there is a receiver");
    let response = channel.bidirectional(&CHAT, Request::new(Sent(receiver))).await;
    let mut responses = response.expect("it begins");
    drop(channel);
    for _ in 0..3 {
        assert!(responses.message().await.expect("no error").is_some());
        sender.send(Bytes::from_static(b"b")).await.expect("there is a receiver");
    }
    drop(sender);
    while responses.message().await.expect("no error").is_some() {}
}

#[tokio::test]
async fn unix_sockets() {
    // The target's kinds meet sockets only here; the protocol is the same.
    let path = std::env::temp_dir().join(format!("ferrpc-{}.socket", std::process::id()));
    let error = Channel::builder(format!("unix:{}", path.display())).connect().await;
    let text = error.expect_err("nobody is there").to_string();
    assert!(text.contains("there is no such socket: is the server running?"), "{text}");

    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let accepted = tokio::spawn(async move { listener.accept().await.map(|(stream, _)| stream) });
    let channel = Channel::builder(format!("unix://{}", path.display()));
    let connect = tokio::spawn(channel.connect());
    let mut stream = accepted.await.expect("no panic").expect("accepted");
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a preface");
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("SETTINGS");
    connect.await.expect("no panic").expect("it is up");
    std::fs::remove_file(path).expect("it was made here");
}

#[tokio::test]
async fn what_does_not_speak_http2_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        }
    });
    let error = Channel::builder(address.to_string()).connect().await.expect_err("no HTTP/2");
    assert!(error.to_string().contains("did not speak HTTP/2"), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    let channel = Channel::builder(target).connect_timeout(Duration::from_millis(80));
    let error = channel.connect().await.expect_err("it says nothing");
    assert!(error.to_string().contains("no answer within 0.08 s"), "{error}");
}

/// A server that refuses the first streams, as one that is just full does.
async fn refusing(refusals: usize) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        stream.read_exact(&mut [0; 24]).await.expect("a preface");
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("SETTINGS");
        let mut seen = 0;
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return seen;
            }
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.expect("a frame");
            if head[3] == 1 {
                seen += 1;
                let code = if seen <= refusals { 7 } else { 2 };
                let reset = [0, 0, 4, 3, 0, head[5], head[6], head[7], head[8], 0, 0, 0, code];
                stream.write_all(&reset).await.expect("RST_STREAM");
            }
        }
    });
    (target, server)
}

#[tokio::test]
async fn a_refused_call_goes_again_once() {
    for (refusals, code, attempts) in
        [(0, Code::Internal, 1), (1, Code::Internal, 2), (5, Code::Unavailable, 2)]
    {
        let (target, server) = refusing(refusals).await;
        let channel = Channel::builder(target).connect().await.expect("it is up");
        let status = channel.unary(&ECHO, request("")).await.expect_err("reset");
        assert_eq!(status.code(), code, "{status}");
        drop(channel);
        assert_eq!(server.await.expect("no panic"), attempts);
    }
}

#[tokio::test]
async fn a_refused_stream_of_requests_goes_again_whole() {
    let (target, server) = refusing(5).await;
    let channel = Channel::builder(target).connect().await.expect("it is up");
    let requests = messages([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    let response = channel.bidirectional(&CHAT, Request::new(requests)).await;
    let result = response.expect("it starts").message().await;
    assert_eq!(result.expect_err("reset").code(), Code::Unavailable);
    drop(channel);
    assert_eq!(server.await.expect("no panic"), 2);
}

#[test]
fn a_channel_outlives_a_runtime() {
    let runtime = |threads| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let servers = runtime(1);
    let server = servers.block_on(TestServer::start());
    let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
    for number in 1..=2 {
        let clients = runtime(1);
        clients.block_on(channel.unary(&ECHO, request(""))).expect("it answers");
        assert_eq!(server.connections(), number);
        clients.shutdown_background();
        let began = Instant::now();
        while channel.state() == ConnectivityState::Ready {
            assert!(began.elapsed() < Duration::from_secs(20), "the connection is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    servers.block_on(async move { drop(server) });
}
