//! The blocking channel: calls by threads, and who drives the connection.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::client::ConnectivityState;
use ferrpc::{Code, Encoding, Request};
use ferrpc_blocking::Channel;

use crate::support::*;

/// A server in a runtime of its own; the test's thread has none.
struct Host {
    runtime: tokio::runtime::Runtime,
    server: Option<TestServer>,
}

impl Host {
    fn start() -> Self {
        Self::start_with(config())
    }

    fn start_with(config: ferrpc_core::transport::Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(TestServer::start_with(config));
        Self { runtime, server: Some(server) }
    }

    fn channel(&self) -> Channel {
        Channel::new(Channel::builder(self.target())).expect("a target")
    }
}

impl std::ops::Deref for Host {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        self.server.as_ref().expect("until it is dropped")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        self.server = None;
    }
}

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn unary() {
    let host = Host::start();
    let channel = host.channel();
    assert_eq!(channel.state(), ConnectivityState::Idle);
    for _ in 0..100 {
        let mut ask = request("hello");
        ask.metadata_mut().append("x-initial", "one").expect("legal");
        ask.metadata_mut().append("x-trailing", "two").expect("legal");
        let response = channel.unary(&ECHO, ask).expect("it answers");
        assert_eq!(response.message(), "hello");
        assert_eq!(response.metadata().value("x-initial"), Some("one"));
        assert_eq!(response.trailing().value("x-trailing"), Some("two"));
    }
    let status = channel.unary(&FAIL, request("no such thing")).expect_err("it fails");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such thing"));
    let status = channel.unary(&DENY, request("")).expect_err("it fails");
    assert_eq!(status.code(), Code::PermissionDenied);
    let long = "x".repeat(40_000);
    let status = channel.unary(&FAIL, request(&long)).expect_err("it fails");
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("this status was shortened"), "{status}");
    let mut ask = request("");
    ask.metadata_mut().append("large", &long).expect("legal");
    let status = channel.unary(&ECHO, ask).expect_err("the server does not take it");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!((channel.state(), host.connections()), (ConnectivityState::Ready, 1));
}

#[test]
fn many_threads_share_a_connection() {
    let host = Host::start();
    let channel = host.channel();
    for threads in [2, 3, 16] {
        thread::scope(|scope| {
            for number in 0..threads {
                let channel = &channel;
                scope.spawn(move || {
                    for at in 0..300 {
                        let text = format!("{number} {at}");
                        let response = channel.unary(&ECHO, request(&text)).expect("it answers");
                        assert_eq!(response.into_inner(), text);
                    }
                });
            }
        });
    }
    assert_eq!((host.connections(), host.calls()), (1, 21 * 300));
}

#[test]
fn deadlines() {
    let host = Host::start();
    let channel = host.channel();
    let hang = |millis| {
        let mut ask = request("");
        ask.set_timeout(Duration::from_millis(millis));
        let began = Instant::now();
        let status = channel.unary(&HANG, ask).expect_err("it hangs");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(began.elapsed() >= Duration::from_millis(millis));
        assert!(began.elapsed() < Duration::from_millis(millis + 2000));
    };
    hang(0);
    // Calls whose time is over before they are sent are not among those that the server saw.
    channel.unary(&ECHO, request("")).expect("there is a connection");
    let all_are_cancelled = || host.cancelled() + 1 == host.calls();
    hang(30);
    until("the server hears of it", all_are_cancelled);
    // Whoever leads, waits alone or is led: each has its own deadline.
    thread::scope(|scope| {
        for millis in [300, 50, 100, 20, 200] {
            let hang = &hang;
            scope.spawn(move || hang(millis));
        }
    });
    until("the server hears of it", all_are_cancelled);
    channel.unary(&ECHO, request("")).expect("the connection lives");
    assert_eq!(host.connections(), 1);
}

#[test]
fn streams() {
    let host = Host::start();
    let channel = host.channel();
    for (count, size) in [(0, 0), (1, 0), (2000, 7), (20, 300_000)] {
        let mut ask = request(&format!("{count}x{size}"));
        ask.metadata_mut().append("x-trailing", "two").expect("legal");
        let mut responses = channel.server_streaming(&STREAM, ask).expect("no interceptor");
        let mut got = 0;
        for message in &mut responses {
            assert_eq!(message.expect("no error"), vec![got as u8; size]);
            got += 1;
        }
        assert_eq!(got, count);
        assert_eq!(responses.trailing().value("x-trailing"), Some("two"));
    }
    for (count, size) in [(0, 0), (1, 5), (1000, 10), (50, 200_000)] {
        let requests = vec![Bytes::from(vec![7; size]); count];
        let response = channel.client_streaming(&COLLECT, Request::new(requests));
        let expect = format!("{count} messages, {} bytes", count * size);
        assert_eq!(response.expect("it answers").into_inner(), expect);
    }
    assert_eq!(host.connections(), 1);
}

#[test]
fn bidirectional_in_turn() {
    let host = Host::start();
    let channel = host.channel();
    let (mut requests, mut responses) =
        channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    for number in 0..100 {
        let text = Bytes::from(number.to_string());
        requests.send(&text).expect("it goes on");
        assert_eq!(responses.message().expect("no error"), Some(text));
    }
    requests.finish();
    assert_eq!(responses.message().expect("no error"), None);
}

#[test]
fn bidirectional_by_two_threads() {
    let host = Host::start();
    let channel = host.channel();
    let (mut requests, mut responses) =
        channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    let sender = thread::spawn(move || {
        for _ in 0..200 {
            requests.send(&Bytes::from(vec![1; 100_000])).expect("it goes on");
        }
        requests.finish();
    });
    let mut got = 0;
    while responses.message().expect("no error").is_some() {
        got += 1;
    }
    assert_eq!(got, 200);
    sender.join().expect("no panic");
}

#[test]
fn dropped_responses_cancel() {
    let host = Host::start();
    let channel = host.channel();
    let mut responses =
        channel.server_streaming(&STREAM, request("1000x10000")).expect("no interceptor");
    responses.message().expect("no error").expect("not the end");
    drop(responses);
    until("the server hears of it", || host.cancelled() == 1);

    let (mut requests, responses) =
        channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    requests.send(&Bytes::from_static(b"a")).expect("it goes on");
    until("the call is there", || host.calls() == 2);
    drop(responses);
    until("the server hears of it", || host.cancelled() == 2);
    let status = requests.send(&Bytes::new()).expect_err("it is over");
    assert_eq!(status.code(), Code::Cancelled);
    channel.unary(&ECHO, request("")).expect("the connection lives");
}

#[test]
fn compression_and_limits() {
    let host = Host::start();
    let builder = Channel::builder(host.target()).compression(Encoding::Gzip);
    let channel = Channel::new(builder.max_send_message(1000)).expect("a target");
    let text = "a".repeat(100_000);
    let response = channel.unary(&ECHO, request(&text)).expect("compressed it fits");
    assert_eq!(response.into_inner(), text);

    let builder = Channel::builder(host.target()).max_receive_message(100);
    let channel = Channel::new(builder.max_send_message(1000)).expect("a target");
    let status = channel.unary(&ECHO, request(&text)).expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = channel.unary(&ECHO, request(&text[..101])).expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let requests = [Bytes::from_static(b"fits"), Bytes::from(vec![0; 1001])];
    let response = channel.client_streaming(&COLLECT, Request::new(requests));
    assert_eq!(response.expect_err("too large").code(), Code::ResourceExhausted);
}

#[test]
fn nobody_there() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        listener.local_addr().expect("bound").to_string()
    };
    let channel = Channel::new(Channel::builder(&*address)).expect("a target");
    let expect =
        format!("failed to connect to {address}: connection refused; is the server running?");
    for _ in 0..3 {
        let status = channel.unary(&ECHO, request("")).expect_err("nobody is there");
        assert_eq!((status.code(), status.message()), (Code::Unavailable, &*expect));
    }
    assert_eq!(channel.state(), ConnectivityState::TransientFailure);
    let mut ask = request("");
    ask.set_wait_for_ready(true);
    ask.set_timeout(Duration::from_millis(50));
    let status = channel.unary(&ECHO, ask).expect_err("nobody is there");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("connection refused"), "{status}");
    channel.close();
    let status = channel.unary(&ECHO, request("")).expect_err("closed");
    assert_eq!(status.code(), Code::Cancelled);
}

#[test]
fn goaway_and_loss() {
    let host = Host::start();
    let channel = host.channel();
    thread::scope(|scope| {
        let hanging: Vec<_> =
            (0..3).map(|_| scope.spawn(|| channel.unary(&HANG, request("hung")))).collect();
        until("the calls are there", || host.calls() == 3);
        host.order(Order::Drain);
        until("a new connection", || {
            channel.unary(&ECHO, request("")).expect("nothing is lost");
            host.connections() == 2
        });
        host.order(Order::Release);
        for call in hanging {
            let response = call.join().expect("no panic").expect("it answers");
            assert_eq!(response.message(), "hung");
        }
    });
    let before = host.calls();
    thread::scope(|scope| {
        let hanging: Vec<_> =
            (0..2).map(|_| scope.spawn(|| channel.unary(&HANG, request("")))).collect();
        until("the calls are there", || host.calls() == before + 2);
        host.order(Order::Cut);
        for call in hanging {
            let status = call.join().expect("no panic").expect_err("lost");
            assert_eq!(status.code(), Code::Unavailable);
        }
    });
    channel.unary(&ECHO, request("")).expect("there is a new connection");
    assert_eq!(host.connections(), 3);
}

#[test]
fn calls_go_on_while_the_server_drains_again_and_again() {
    let host = Host::start();
    let channel = host.channel();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..300 {
                    channel.unary(&ECHO, request("x")).expect("nothing is lost");
                }
            });
        }
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(5));
            host.order(Order::Drain);
        }
    });
    assert!(host.connections() > 1);
}

#[test]
fn calls_above_the_stream_limit_wait() {
    let mut limited = config();
    limited.http2.limits.max_concurrent_streams = 2;
    let host = Host::start_with(limited);
    let channel = host.channel();
    channel.unary(&ECHO, request("")).expect("it answers");
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..6).map(|_| scope.spawn(|| channel.unary(&HANG, request("hung")))).collect();
        until("two calls are there", || host.calls() == 3);
        let mut ask = request("");
        ask.set_timeout(Duration::from_millis(50));
        let status = channel.unary(&ECHO, ask).expect_err("no stream");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        while !calls.iter().all(thread::ScopedJoinHandle::is_finished) {
            host.order(Order::Release);
            thread::sleep(Duration::from_millis(2));
        }
        for call in calls {
            call.join().expect("no panic").expect("it answers");
        }
    });
    assert_eq!(host.connections(), 1);
}

#[test]
fn close_ends_calls_that_run() {
    let host = Host::start();
    let channel = host.channel();
    thread::scope(|scope| {
        let hanging: Vec<_> =
            (0..3).map(|_| scope.spawn(|| channel.unary(&HANG, request("")))).collect();
        until("the calls are there", || host.calls() == 3);
        channel.close();
        for call in hanging {
            let status = call.join().expect("no panic").expect_err("closed");
            assert_eq!(status.code(), Code::Cancelled);
        }
    });
}

#[test]
fn a_stream_begins_when_it_is_made() {
    let host = Host::start();
    let channel = host.channel();
    let responses = channel.server_streaming(&STREAM, request("1x1")).expect("no interceptor");
    until("nobody has to read it", || host.calls() == 1);
    let halves = channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    until("nobody has to use it", || host.calls() == 2);
    let requests = std::iter::once_with(|| {
        until("the call is there before its first message", || host.calls() == 3);
        Bytes::from_static(b"a")
    });
    channel.client_streaming(&COLLECT, Request::new(requests)).expect("it answers");
    drop((responses, halves));
}

#[test]
fn a_call_that_has_no_connection_yet_outlives_its_channel() {
    let host = Host::start();
    let responses = host.channel().server_streaming(&STREAM, request("3x1"));
    assert_eq!(responses.expect("no interceptor").map(Result::unwrap).count(), 3);
    let (mut requests, mut responses) =
        host.channel().bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    requests.send(&Bytes::from_static(b"a")).expect("it goes on");
    responses.message().expect("no error").expect("not the end");
    requests.finish();
    assert_eq!(responses.message().expect("no error"), None);
    // The channel is closed behind its last call, although somebody still has that.
    until("the connections are closed", || host.closed() == 2);
}

#[test]
fn requests_that_break_off_cancel() {
    let host = Host::start();
    let channel = host.channel();
    let bidirectional = || {
        let (mut requests, responses) =
            channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
        requests.send(&Bytes::from_static(b"a")).expect("it goes on");
        (requests, responses)
    };
    let (requests, mut responses) = bidirectional();
    until("it is there", || host.calls() == 1);
    drop(requests);
    until("the server hears of it", || host.cancelled() == 1);
    let status = responses.find_map(Result::err).expect("it is no end");
    assert_eq!(status.code(), Code::Cancelled);

    let (requests, responses) = bidirectional();
    until("it is there", || host.calls() == 2);
    let panicked = thread::spawn(move || {
        let _requests = requests;
        panic!("halfway");
    });
    panicked.join().expect_err("it panicked");
    until("the server hears of it", || host.cancelled() == 2);
    drop(responses);

    let panicked = thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            let requests = (0..).map(|number| {
                assert!(number < 3, "halfway");
                Bytes::from_static(b"a")
            });
            channel.client_streaming(&COLLECT, Request::new(requests))
        });
        uploads.join().is_err()
    });
    assert!(panicked);
    until("the server hears of it", || host.cancelled() == 3);
}

#[test]
fn sending_behind_the_end_is_an_error() {
    let host = Host::start();
    let channel = host.channel();
    let (mut requests, mut responses) =
        channel.bidirectional(&END, Request::new(())).expect("no interceptor");
    assert_eq!(responses.message().expect("no error"), None);
    let status = requests.send(&Bytes::new()).expect_err("it is over");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
}

#[test]
fn a_stream_outlives_its_channel() {
    let host = Host::start();
    let channel = host.channel();
    let (mut requests, mut responses) =
        channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    requests.send(&Bytes::from_static(b"a")).expect("it goes on");
    responses.message().expect("no error").expect("not the end");
    drop(channel);
    requests.send(&Bytes::from_static(b"b")).expect("it goes on");
    responses.message().expect("no error").expect("not the end");
    requests.finish();
    assert_eq!(responses.message().expect("no error"), None);
}

#[test]
fn a_call_that_waits_for_a_stream_keeps_its_deadline_with_nobody_else_waiting() {
    let mut limited = config();
    limited.http2.limits.max_concurrent_streams = 1;
    let host = Host::start_with(limited);
    let channel = host.channel();
    let (requests, responses) =
        channel.bidirectional(&CHAT, Request::new(())).expect("no interceptor");
    let mut halves = (requests, responses);
    halves.0.send(&Bytes::from_static(b"a")).expect("it goes on");
    halves.1.message().expect("no error").expect("not the end");
    let (done, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut ask = request("");
        ask.set_timeout(Duration::from_millis(50));
        let status = channel.unary(&ECHO, ask).expect_err("no stream");
        done.send(status.code()).expect("the test waits");
    });
    let code = ended.recv_timeout(Duration::from_secs(20)).expect("it keeps its deadline");
    assert_eq!(code, Code::DeadlineExceeded);
}
