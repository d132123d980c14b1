//! A channel where things end at the wrong moment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::{BackoffConfig, CallEnded, ConnectError, Observer};
use ferrpc::resolver::Target;
use ferrpc::transport::{Io, StreamIo};
use ferrpc::{Channel, Code, Request, Stream};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Nothing here takes long; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

/// Runs `work` on a thread of its own, so that a deadlock fails the test rather than hang it.
fn without_deadlock(work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        work();
        done.send(()).expect("the test waits");
    });
    finished.recv_timeout(PATIENCE).expect("no deadlock and no panic");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_channel_survives_being_used_without_a_runtime() {
    without_deadlock(|| {
        let runtime = runtime();
        let server = runtime.block_on(TestServer::start());
        let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
        let panicked = catch_unwind(AssertUnwindSafe(|| channel.start_connecting()));
        panicked.expect_err("there is no runtime");
        let call = channel.unary(&ECHO, request("after all"));
        let response = runtime.block_on(call).expect("it answers");
        assert_eq!(response.message(), "after all");
        let _entered = runtime.enter();
        drop(server);
    });
}

#[test]
fn a_channel_survives_a_runtime_that_is_ending() {
    without_deadlock(|| {
        let ended = runtime();
        let handle = ended.handle().clone();
        drop(ended);
        let runtime = runtime();
        let server = runtime.block_on(TestServer::start());
        let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
        {
            // What is spawned here is dropped at once.
            let _entered = handle.enter();
            channel.start_connecting();
        }
        let call = channel.unary(&ECHO, request("after all"));
        let response = runtime.block_on(call).expect("it answers");
        assert_eq!(response.message(), "after all");
        let _entered = runtime.enter();
        drop(server);
    });
}

#[tokio::test]
async fn a_connection_that_is_not_ready_goes_with_its_channel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    for close in [false, true] {
        let mut builder = Channel::builder(target.clone());
        // Nothing but the channel's end is to end it.
        builder = builder.connect_timeout(PATIENCE * 100);
        let channel = builder.connect_lazy().expect("a target");
        channel.start_connecting();
        let (mut stream, _) = listener.accept().await.expect("it connects");
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("it speaks first");
        if close {
            channel.close();
        } else {
            drop(channel);
        }
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
        end.await.expect("it ends").expect("politely");
    }
}

// -- users' code that panics ------------------------------------------------------------------------

#[tokio::test]
async fn a_connector_that_panics_is_a_failed_attempt() {
    let server = TestServer::start().await;
    let address = server.address;
    let attempts = Arc::new(AtomicU64::new(0));
    let builder = Channel::builder("inproc:test").connector({
        let attempts = Arc::clone(&attempts);
        move |_: &Target| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            assert!(attempt > 0, "before there is a future");
            async move {
                assert!(attempt > 1, "in the future");
                let stream = TcpStream::connect(address).await?;
                Ok(Box::new(StreamIo::new(stream, "tcp")) as Box<dyn Io>)
            }
        }
    });
    let backoff = BackoffConfig { initial: Duration::from_millis(1), ..BackoffConfig::default() };
    let channel = builder.backoff(backoff).connect_lazy().expect("a target");
    let status = channel.unary(&ECHO, request("")).await.expect_err("it panicked");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the connector panicked"), "{status}");
    let mut patient = request("in the end");
    patient.set_wait_for_ready(true);
    let response = channel.unary(&ECHO, patient).await.expect("it answers");
    assert_eq!(response.message(), "in the end");
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
}

/// Messages, and then a panic.
struct Trap(Sent<Bytes>);

impl Stream for Trap {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match ready!(Pin::new(&mut self.0).poll_next(cx)) {
            Some(message) => Poll::Ready(Some(message)),
            None => panic!("it snaps"),
        }
    }
}

#[tokio::test]
async fn a_stream_of_requests_that_panics_ends_its_call() {
    let server = TestServer::start().await;
    let channel = Channel::builder(server.target()).connect().await.expect("the server runs");
    for messages in [0, 1] {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let requests = Request::new(Trap(Sent(receiver)));
        let mut responses = channel.bidirectional(&CHAT, requests).await.expect("it begins");
        for _ in 0..messages {
            sender.send(Bytes::from_static(b"fine")).await.expect("it is taken");
            responses.message().await.expect("no error").expect("not the end");
        }
        drop(sender);
        let end = tokio::time::timeout(PATIENCE, responses.message()).await.expect("it ends");
        let status = end.expect_err("it snapped");
        assert_eq!(status.code(), Code::Internal, "{status}");
        assert!(status.message().contains("panicked"), "{status}");
    }
    channel.unary(&ECHO, request("")).await.expect("the connection lives");
}

// -- what others see ------------------------------------------------------------------------------

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }

    fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|known| known == line)
    }
}

impl Observer for Log {
    fn call_started(&self, method: &str) {
        self.push(format!("started {method}"));
    }

    fn call_ended(&self, call: &CallEnded<'_>) {
        self.push(format!("ended {} {}", call.method, call.code));
    }

    fn connected(&self, target: &Target) {
        self.push(format!("connected {target}"));
    }

    fn connect_failed(&self, target: &Target, _: &ConnectError) {
        self.push(format!("failed {target}"));
    }

    fn disconnected(&self, target: &Target, _: &str) {
        self.push(format!("disconnected {target}"));
    }
}

#[tokio::test]
async fn observers_see_calls_and_connections() {
    let log = Arc::new(Log::default());
    let server = TestServer::start().await;
    let target = server.target();
    let builder = Channel::builder(target.clone()).observer(Arc::clone(&log) as _);
    let channel = builder.connect().await.expect("the server runs");
    channel.unary(&ECHO, request("")).await.expect("it answers");
    channel.unary(&DENY, request("")).await.expect_err("denied");
    let hanging = {
        let channel = channel.clone();
        tokio::spawn(async move { channel.unary(&HANG, request("")).await })
    };
    until("the call is there", || server.calls() == 3).await;
    hanging.abort();
    until("it is over", || log.has("ended /t/Hang CANCELLED")).await;
    server.stop();
    until("the connection is lost", || log.has(&format!("disconnected {target}"))).await;
    channel.unary(&ECHO, request("")).await.expect_err("nobody is there");
    drop(channel);
    assert_eq!(
        log.lines(),
        [
            format!("connected {target}"),
            "started /t/Echo".to_owned(),
            "ended /t/Echo OK".to_owned(),
            "started /t/Deny".to_owned(),
            "ended /t/Deny PERMISSION_DENIED".to_owned(),
            "started /t/Hang".to_owned(),
            "ended /t/Hang CANCELLED".to_owned(),
            format!("disconnected {target}"),
            "started /t/Echo".to_owned(),
            format!("failed {target}"),
            "ended /t/Echo UNAVAILABLE".to_owned(),
        ]
    );
}

#[test]
fn observers_see_blocking_calls_too() {
    let log = Arc::new(Log::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let server = runtime.block_on(TestServer::start());
    let target = server.target();
    let builder = Channel::builder(target.clone()).observer(Arc::clone(&log) as _);
    let channel = ferrpc_blocking::Channel::new(builder).expect("a target");
    channel.unary(&ECHO, request("")).expect("it answers");
    channel.unary(&DENY, request("")).expect_err("denied");
    drop(channel);
    runtime.block_on(until("the connection ends", || log.has(&format!("disconnected {target}"))));
    let lines = log.lines();
    assert!(lines.contains(&format!("connected {target}")), "{lines:?}");
    let calls: Vec<_> = lines.iter().filter(|line| line.contains("/t/")).collect();
    assert_eq!(
        calls,
        [
            "started /t/Echo",
            "ended /t/Echo OK",
            "started /t/Deny",
            "ended /t/Deny PERMISSION_DENIED"
        ]
    );
    let _entered = runtime.enter();
    drop(server);
}
