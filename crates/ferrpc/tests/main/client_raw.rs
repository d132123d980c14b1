//! The blocking channel's calls as bytes: begun without waiting, told of by hooks.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::client::ConnectivityState;
use ferrpc::interceptor::{ClientCall, ClientInterceptor, OnEnd};
use ferrpc::{Cardinality, Code, Status};
use ferrpc_blocking::{Channel, Origin, RawCall, RawMethod, RawOptions, Waited};

use crate::support::*;

/// A server in a runtime of its own; the test's thread has none.
struct Host {
    runtime: tokio::runtime::Runtime,
    server: Option<TestServer>,
}

impl Host {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(TestServer::start_with(config()));
        Self { runtime, server: Some(server) }
    }

    fn server(&self) -> &TestServer {
        self.server.as_ref().expect("until it is dropped")
    }

    fn channel(&self) -> Channel {
        Channel::new(Channel::builder(self.server().target())).expect("a target")
    }

    fn stop(&mut self) {
        let _runtime = self.runtime.enter();
        self.server = None;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

fn method(path: &str, cardinality: Cardinality) -> RawMethod {
    RawMethod::new(path, cardinality)
}

fn options(message: &'static str) -> RawOptions {
    RawOptions { message: Some(Bytes::from(message)), ..RawOptions::default() }
}

fn echo() -> RawMethod {
    method(ECHO.path(), Cardinality::Unary)
}

fn hang() -> RawMethod {
    method(HANG.path(), Cardinality::Unary)
}

/// Every message of a call, and how it ended.
fn drain(call: &RawCall) -> (Vec<Bytes>, Code) {
    let mut messages = Vec::new();
    loop {
        match call.message(None) {
            Waited::Ready(message) => messages.push(message),
            Waited::Over(outcome) => return (messages, outcome.status().code()),
            Waited::Late => unreachable!("there was no limit"),
        }
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(20))
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn calls_in_flight_end_without_a_thread_that_waits() {
    let host = Host::start();
    let channel = host.channel();
    let (ended, ends) = mpsc::channel();
    let calls: Vec<RawCall> = (0..100)
        .map(|number| {
            let call = channel.start_raw(&echo(), options("hello")).expect("no interceptor");
            let ended = ended.clone();
            call.on_end(move || ended.send(number).expect("the test waits"));
            call
        })
        .collect();
    let mut numbers: Vec<i32> =
        calls.iter().map(|_| ends.recv_timeout(LONG).expect("it ends")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    for call in &calls {
        assert!(call.outcome().is_some_and(|outcome| outcome.status().is_ok()));
        assert_eq!(drain(call), (vec![Bytes::from("hello")], Code::Ok));
    }
    assert_eq!(host.server().connections(), 1);
}

#[test]
fn a_hook_of_a_call_that_is_over_runs_at_once() {
    let host = Host::start();
    let channel = host.channel();
    let call = channel.start_raw(&echo(), options("x")).expect("no interceptor");
    assert_eq!(drain(&call).1, Code::Ok);
    let (ended, ends) = mpsc::channel();
    call.on_end(move || ended.send(()).expect("the test waits"));
    ends.try_recv().expect("it ran");
}

/// What an interceptor has asked to hear of the end with.
struct Asks(mpsc::Sender<Option<Code>>, Arc<OnceLock<Arc<RawCall>>>);

impl ClientInterceptor for Asks {
    fn begin(&self, _: &mut ClientCall<'_>) -> Result<OnEnd, Status> {
        let (told, call) = (self.0.clone(), Arc::clone(&self.1));
        Ok(OnEnd::new(move |_| {
            let outcome = call.get().and_then(|call| call.outcome());
            let _ = told.send(outcome.map(|outcome| outcome.status().code()));
        }))
    }
}

#[test]
fn an_interceptors_hook_runs_under_no_lock() {
    let host = Host::start();
    let (told, tells) = mpsc::channel();
    let known = Arc::new(OnceLock::new());
    let channel = Channel::new(
        Channel::builder(host.server().target()).interceptor(Asks(told, Arc::clone(&known))),
    )
    .expect("a target");
    let call = Arc::new(channel.start_raw(&echo(), options("x")).expect("it is not refused"));
    let _ = known.set(Arc::clone(&call));
    // On a thread of its own: under a lock the hook would wait for ever.
    thread::spawn(move || drain(&call));
    assert_eq!(tells.recv_timeout(LONG), Ok(Some(Code::Ok)));
}

#[test]
fn a_wait_may_end_before_its_call() {
    let host = Host::start();
    let channel = host.channel();
    let call = channel.start_raw(&hang(), options("")).expect("no interceptor");
    assert!(matches!(call.message(soon()), Waited::Late));
    assert!(matches!(call.headers(soon()), Waited::Late));
    assert!(call.ended(soon()).is_none());
    assert!(call.outcome().is_none());
    assert!(call.cancel(Status::new(Code::Cancelled, "enough")));
    assert!(!call.cancel(Status::new(Code::Cancelled, "again")));
    let outcome = call.ended(None).expect("it is over");
    assert_eq!(outcome.status().message(), "enough");
}

#[test]
fn several_threads_may_wait_for_one_call() {
    let host = Host::start();
    let channel = host.channel();
    let call = channel.start_raw(&hang(), options("")).expect("no interceptor");
    thread::scope(|scope| {
        let waits: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| call.ended(None).expect("it ends").status().code()))
            .chain([scope.spawn(|| drain(&call).1)])
            .collect();
        thread::sleep(Duration::from_millis(20));
        call.cancel(Status::new(Code::Cancelled, "enough"));
        for wait in waits {
            assert_eq!(wait.join().expect("no panic"), Code::Cancelled);
        }
    });
}

#[test]
fn nobody_there_and_nobody_waiting() {
    let channel = Channel::new(Channel::builder("127.0.0.1:1")).expect("a target");
    let (ended, ends) = mpsc::channel();
    let tell = |call: &RawCall| {
        let ended = ended.clone();
        call.on_end(move || ended.send(()).expect("the test waits"));
    };
    // It fails.
    let call = channel.start_raw(&echo(), options("")).expect("no interceptor");
    tell(&call);
    ends.recv_timeout(LONG).expect("it ends");
    let outcome = call.outcome().expect("it ended");
    assert_eq!(outcome.status().code(), Code::Unavailable);
    let Origin::Connect(error) = outcome.origin() else { panic!("{outcome:?}") };
    assert_eq!(error.last_address(), Some(("127.0.0.1:1", "Connection refused")));
    // It waits, to its deadline.
    let waiting = RawOptions {
        wait_for_ready: Some(true),
        timeout: Some(Duration::from_millis(50)),
        ..options("")
    };
    let call = channel.start_raw(&echo(), waiting.clone()).expect("no interceptor");
    tell(&call);
    ends.recv_timeout(LONG).expect("it ends");
    let outcome = call.outcome().expect("it ended");
    assert!(matches!(outcome.origin(), Origin::Deadline), "{outcome:?}");
    // It waits, and is cancelled.
    let waiting = RawOptions { timeout: None, ..waiting };
    let call = channel.start_raw(&echo(), waiting).expect("no interceptor");
    tell(&call);
    assert!(call.outcome().is_none());
    assert!(call.cancel(Status::new(Code::Cancelled, "enough")));
    ends.recv_timeout(LONG).expect("it ends");
}

#[test]
fn requests_are_pushed_as_there_is_room() {
    let host = Host::start();
    let channel = host.channel();
    let method = method(CHAT.path(), Cardinality::Bidirectional);
    let call = channel.start_raw(&method, RawOptions::default()).expect("no interceptor");
    for number in 0..50_u8 {
        let message = Bytes::from(vec![number; 10]);
        call.push(message.clone(), None).expect("the call runs");
        match call.message(None) {
            Waited::Ready(answer) => assert_eq!(answer, message),
            other => panic!("{other:?}"),
        }
    }
    call.half_close();
    assert_eq!(drain(&call), (vec![], Code::Ok));
    assert!(call.push(Bytes::new(), None).is_err());
}

#[test]
fn a_request_that_is_too_large_ends_its_call() {
    let host = Host::start();
    let channel = Channel::new(Channel::builder(host.server().target()).max_send_message(10))
        .expect("a target");
    let call = channel.start_raw(&echo(), options("more than ten")).expect("no interceptor");
    let outcome = call.ended(None).expect("it ends");
    assert!(
        matches!(outcome.origin(), Origin::TooLarge { sent: true, size: 13, limit: 10 }),
        "{outcome:?}"
    );
    assert_eq!(outcome.status().code(), Code::ResourceExhausted);
}

#[test]
fn watchers_hear_of_each_state() {
    let mut host = Host::start();
    let channel = host.channel();
    let (told, states) = mpsc::channel();
    let watcher = channel.watch(move |state| told.send(state).unwrap_or_default(), true);
    let next = || states.recv_timeout(LONG).expect("a change");
    assert_eq!(next(), ConnectivityState::Idle);
    assert_eq!(next(), ConnectivityState::Connecting);
    assert_eq!(next(), ConnectivityState::Ready);
    // Without a call: the guard sees it at once, as somebody watches.
    host.stop();
    assert_eq!(next(), ConnectivityState::Idle);
    channel.close();
    assert_eq!(next(), ConnectivityState::Shutdown);
    channel.unwatch(watcher);
}

#[test]
fn a_watcher_that_panics_harms_nobody_else() {
    let mut host = Host::start();
    let channel = host.channel();
    channel.watch(|state| panic!("a watcher's own fault: {state:?}"), false);
    let (told, states) = mpsc::channel();
    channel.watch(move |state| told.send(state).unwrap_or_default(), false);
    let next = || states.recv_timeout(LONG).expect("a change");
    assert_eq!(next(), ConnectivityState::Idle);
    for _ in 0..2 {
        let call = channel.start_raw(&echo(), options("hello")).expect("no interceptor");
        assert_eq!(call.ended(None).expect("it ends").status().code(), Code::Ok);
    }
    assert_eq!(next(), ConnectivityState::Connecting);
    assert_eq!(next(), ConnectivityState::Ready);
    // The connection has its guard.
    host.stop();
    assert_eq!(next(), ConnectivityState::Idle);
}

#[test]
fn a_channel_that_is_watched_tries_again_by_itself() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let channel = Channel::new(Channel::builder(address.to_string()).backoff(
        ferrpc::client::BackoffConfig {
            initial: Duration::from_millis(5),
            max: Duration::from_millis(5),
            ..Default::default()
        },
    ))
    .expect("a target");
    let (told, states) = mpsc::channel();
    channel.watch(move |state| told.send(state).unwrap_or_default(), true);
    let next = || states.recv_timeout(LONG).expect("a change");
    while next() != ConnectivityState::TransientFailure {}
    let listener = std::net::TcpListener::bind(address).expect("the port is free again");
    let (stream, _) = listener.accept().expect("it comes by itself");
    drop(stream);
}

#[test]
fn a_spinning_caller_gets_its_answers() {
    let host = Host::start();
    let channel =
        Channel::new(Channel::builder(host.server().target()).spin(Duration::from_micros(200)))
            .expect("a target");
    for _ in 0..200 {
        let unary = channel.raw_unary(&echo(), options("hello"), None).expect("no interceptor");
        let unary = unary.expect("it ends");
        assert_eq!(unary.message.as_deref(), Some(&b"hello"[..]));
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let call = channel.start_raw(&echo(), options("hello"));
                    assert_eq!(drain(&call.expect("no interceptor")).1, Code::Ok);
                }
            });
        }
    });
}
