//! The four kinds of calls against the engine's own server end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::interceptor::{ClientCall, ClientInterceptor, OnEnd};
use ferrpc::{Channel, Code, Encoding, Request, Status};

use crate::support::*;

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

async fn channel(server: &TestServer) -> Channel {
    Channel::builder(server.target()).connect().await.expect("the server runs")
}

#[tokio::test]
async fn unary() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let mut ask = request("hello");
    ask.metadata_mut().append("x-initial", "one").expect("legal");
    ask.metadata_mut().append("x-trailing", "two").expect("legal");
    let response = channel.unary(&ECHO, ask).await.expect("it answers");
    assert_eq!(response.message(), "hello");
    assert_eq!(response.metadata().value("x-initial"), Some("one"));
    assert_eq!(response.trailing().value("x-trailing"), Some("two"));
}

#[tokio::test]
async fn unary_failures() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let mut ask = request("no such thing");
    ask.metadata_mut().append("x-trailing", "two").expect("legal");
    let status = channel.unary(&FAIL, ask).await.expect_err("it fails");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such thing"));
    assert_eq!(status.metadata().value("x-trailing"), Some("two"));

    let status = channel.unary(&DENY, request("")).await.expect_err("it fails");
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = channel.unary(&UNKNOWN, request("")).await.expect_err("it fails");
    assert_eq!(status.code(), Code::Unimplemented);
    channel.unary(&ECHO, request("")).await.expect("the connection lives");
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_share_a_connection() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move {
                let text = number.to_string();
                let response = channel.unary(&ECHO, request(&text)).await.expect("it answers");
                assert_eq!(response.message(), text.as_str());
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!((server.connections(), server.calls()), (1, 500));
}

#[tokio::test]
async fn deadline() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let mut ask = request("");
    ask.set_timeout(Duration::from_millis(50));
    let status = channel.unary(&HANG, ask).await.expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    until("the server hears of it", || server.cancelled() == 1).await;

    let mut ask = request("");
    ask.set_timeout(Duration::ZERO);
    let status = channel.unary(&ECHO, ask).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    {
        let call = channel.unary(&HANG, request(""));
        let waited = tokio::time::timeout(Duration::from_millis(50), call).await;
        assert!(waited.is_err());
    }
    until("the server hears of it", || server.cancelled() == 1).await;

    let responses = channel.server_streaming(&STREAM, request("1000x10000")).await;
    let mut responses = responses.expect("it begins").into_inner();
    responses.message().await.expect("it goes on").expect("not the end");
    drop(responses);
    until("the server hears of it", || server.cancelled() == 2).await;
    channel.unary(&ECHO, request("")).await.expect("the connection lives");
}

#[tokio::test]
async fn server_streaming() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    for (count, size) in [(0, 0), (1, 0), (3, 10), (2000, 7), (20, 300_000)] {
        let mut ask = request(&format!("{count}x{size}"));
        ask.metadata_mut().append("x-trailing", "two").expect("legal");
        let response = channel.server_streaming(&STREAM, ask).await.expect("it begins");
        let mut responses = response.into_inner();
        let mut got = 0;
        while let Some(message) = responses.message().await.expect("no error") {
            assert_eq!(message, vec![got as u8; size]);
            got += 1;
        }
        assert_eq!(got, count);
        assert_eq!(responses.trailing().value("x-trailing"), Some("two"));
        assert!(responses.message().await.expect("the end stays").is_none());
    }
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let response = channel.server_streaming(&STREAM, request("100x50000")).await;
    let mut responses = response.expect("it begins").into_inner();
    let mut got = 0;
    while responses.message().await.expect("no error").is_some() {
        got += 1;
        if got % 20 == 0 {
            // Meanwhile others are served: one slow stream does not stall the connection.
            channel.unary(&ECHO, request("")).await.expect("it answers");
        }
    }
    assert_eq!(got, 100);
}

#[tokio::test]
async fn client_streaming() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    for (count, size) in [(0, 0), (1, 5), (1000, 10), (50, 200_000)] {
        let requests = messages(vec![Bytes::from(vec![7; size]); count]);
        let response = channel.client_streaming(&COLLECT, Request::new(requests)).await;
        let expect = format!("{count} messages, {} bytes", count * size);
        assert_eq!(response.expect("it answers").into_inner(), expect);
    }
}

#[tokio::test]
async fn bidirectional_ping_pong() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(Bytes::from_static(b"first")).await.expect("there is a receiver");
    let response = channel.bidirectional(&CHAT, Request::new(Sent(receiver))).await;
    let mut responses = response.expect("it begins");
    let next = responses.message().await.expect("no error");
    assert_eq!(next.as_deref(), Some(&b"first"[..]));
    for number in 0..100 {
        let text = Bytes::from(number.to_string());
        sender.send(text.clone()).await.expect("there is a receiver");
        assert_eq!(responses.message().await.expect("no error"), Some(text));
    }
    drop(sender);
    assert!(responses.message().await.expect("no error").is_none());
}

#[tokio::test]
async fn a_bidirectional_call_that_only_reads_does_not_deadlock() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    // More than all buffers on the way hold.
    let requests = messages(vec![Bytes::from(vec![1; 100_000]); 200]);
    let response = channel.bidirectional(&CHAT, Request::new(requests)).await;
    let mut responses = response.expect("it begins");
    let mut got = 0;
    while responses.message().await.expect("no error").is_some() {
        got += 1;
    }
    assert_eq!(got, 200);
}

#[tokio::test]
async fn requests_are_dropped_when_the_call_is_over() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(Bytes::from_static(b"first")).await.expect("there is a receiver");
    let response = channel.bidirectional(&CHAT, Request::new(Sent(receiver))).await;
    let mut responses = response.expect("it starts");
    responses.metadata().await.expect("it begins");
    drop(responses);
    tokio::time::timeout(Duration::from_secs(20), sender.closed()).await.expect("dropped");
    until("the server hears of it", || server.cancelled() == 1).await;
}

#[tokio::test]
async fn compressed_requests() {
    let server = TestServer::start().await;
    let channel = channel(&server).await;
    for size in [0, 100, 100_000] {
        let text = "a".repeat(size);
        let mut ask = request(&text);
        ask.set_compression(Encoding::Gzip);
        let response = channel.unary(&ECHO, ask).await.expect("it answers");
        assert_eq!(response.into_inner(), text);
    }
    let mut ask = Request::new(messages(vec![Bytes::from(vec![7; 30_000]); 10]));
    ask.set_compression(Encoding::Deflate);
    let response = channel.client_streaming(&COLLECT, ask).await.expect("it answers");
    assert_eq!(response.into_inner(), "10 messages, 300000 bytes");

    // What is echoed without being touched comes back compressed.
    let mut ask = Request::new(messages([Bytes::from(vec![7; 30_000])]));
    ask.set_compression(Encoding::Gzip);
    let response = channel.bidirectional(&CHAT, ask).await;
    // The server names no encoding: the compressed flag alone breaks a rule.
    let error = match response {
        Ok(mut responses) => responses.message().await.expect_err("no encoding"),
        Err(status) => status,
    };
    assert_eq!(error.code(), Code::Internal);
}

#[tokio::test]
async fn limits() {
    let server = TestServer::start().await;
    let builder = Channel::builder(server.target()).max_send_message(1000);
    let channel = builder.max_receive_message(100).connect().await.expect("the server runs");
    let check = |result: Result<(), Status>| {
        assert_eq!(result.expect_err("too large").code(), Code::ResourceExhausted);
    };
    check(channel.unary(&ECHO, request(&"x".repeat(1001))).await.map(drop));
    check(channel.unary(&ECHO, request(&"x".repeat(101))).await.map(drop));
    let requests = messages([Bytes::from(vec![0; 10]), Bytes::from(vec![0; 1001])]);
    check(channel.client_streaming(&COLLECT, Request::new(requests)).await.map(drop));
    channel.unary(&ECHO, request(&"x".repeat(100))).await.expect("it fits");
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl ClientInterceptor for Recorder {
    fn begin(&self, call: &mut ClientCall<'_>) -> Result<OnEnd, Status> {
        if call.metadata.value("refuse").is_some() {
            return Err(Status::new(Code::Unauthenticated, "refused"));
        }
        call.metadata.append("x-initial", "intercepted").expect("legal");
        let (log, path) = (Arc::clone(&self.0), call.path.to_owned());
        Ok(OnEnd::new(move |status| {
            log.lock().expect("not poisoned").push(format!("{path} {}", status.code()));
        }))
    }
}

#[tokio::test]
async fn interceptors() {
    let server = TestServer::start().await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let builder = Channel::builder(server.target()).interceptor(Recorder(Arc::clone(&log)));
    let channel = builder.connect().await.expect("the server runs");

    let response = channel.unary(&ECHO, request("")).await.expect("it answers");
    assert_eq!(response.metadata().value("x-initial"), Some("intercepted"));
    channel.unary(&FAIL, request("")).await.expect_err("it fails");
    let mut responses =
        channel.server_streaming(&STREAM, request("1x1")).await.expect("it begins").into_inner();
    assert_eq!(log.lock().expect("not poisoned").len(), 2);
    while responses.message().await.expect("no error").is_some() {}
    drop(channel.server_streaming(&STREAM, request("1000x10000")).await);
    let mut ask = request("");
    ask.metadata_mut().append("refuse", "yes").expect("legal");
    let status = channel.unary(&ECHO, ask).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated);
    let expect = ["/t/Echo OK", "/t/Fail NOT_FOUND", "/t/Stream OK", "/t/Stream CANCELLED"];
    assert_eq!(*log.lock().expect("not poisoned"), expect);
}

#[test]
fn call_futures_can_be_sent() {
    fn check<T: Send>(_: &T) {}
    let channel = Channel::builder("localhost:1").connect_lazy().expect("a target");
    check(&channel.unary(&ECHO, request("")));
    check(&channel.server_streaming(&STREAM, request("")));
    check(&channel.client_streaming(&COLLECT, Request::new(messages([Bytes::new()]))));
    check(&channel.bidirectional(&CHAT, Request::new(messages([Bytes::new()]))));
}
