//! A server whose end, whose limits and whose users' code are put to the test.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{
    Accepting, Acceptor, CallEnded, Dispatch, ExternalQueue, ExternalReply, Observer, Routes,
    Server,
};
use ferrpc::transport::{ConnectionInfo, Io, in_process};
use ferrpc::{Cardinality, Code, Metadata, Method, Request, Response, Status, Streaming, codec};
use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::caller::Caller;
use crate::gate::{patiently, routes};

// -- the end --------------------------------------------------------------------------------------

#[tokio::test]
async fn a_shutdown_goes_on_when_its_future_is_dropped() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let mut caller = Caller::tcp(&server).await;
    caller.unary("/t.T/Echo", "").await;
    {
        let mut shutdown = pin!(server.shutdown(None));
        let once = poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx)));
        assert!(once.await.is_pending(), "the caller has not reacted yet");
    }
    caller.until_closed().await;
    drop(caller);
    patiently(server.wait()).await;
}

#[tokio::test]
async fn a_shutdown_may_have_all_the_time_there_is() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let mut caller = Caller::tcp(&server).await;
    caller.unary("/t.T/Echo", "").await;
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(Some(Duration::MAX)).await }
    });
    caller.until_closed().await;
    drop(caller);
    patiently(ending).await.expect("no panic");
}

/// A byte stream that takes one byte in four seconds.
struct Drip {
    inner: Box<dyn Io>,
    pause: Pin<Box<Sleep>>,
}

impl Drip {
    const PAUSE: Duration = Duration::from_secs(4);

    fn new(inner: Box<dyn Io>) -> Self {
        Self { inner, pause: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl Io for Drip {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_read(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.pause = Box::pin(tokio::time::sleep(Self::PAUSE));
        let first = slices.iter().find(|slice| !slice.is_empty()).expect("something to write");
        self.inner.poll_write_vectored(cx, &[IoSlice::new(&first[..1])])
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        "drip".to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_does_not_keep_the_server() {
    for (grace, limit) in [(None, 120), (Some(Duration::from_secs(1)), 9)] {
        let (routes, gate) = routes(Dispatch::Inline);
        let server = Server::builder().add_service(routes).build();
        let (ours, theirs) = in_process();
        server.serve_io(Box::new(Drip::new(ours)));
        let mut caller = Caller::over(theirs);
        caller.begin("/t.T/Gate", vec![7; 60_000]);
        caller.write().await;
        gate.until_started(1).await;
        gate.permits.add_permits(1);
        let began = Instant::now();
        server.shutdown(grace).await;
        assert!(began.elapsed() < Duration::from_secs(limit), "{grace:?}: {:?}", began.elapsed());
        drop(caller);
    }
}

// -- limits ---------------------------------------------------------------------------------------

#[tokio::test]
async fn calls_given_up_while_they_wait_leave_room_for_others() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let (routes, gate) = routes(dispatch);
        let server = Server::builder()
            .add_service(routes)
            .max_handlers_per_connection(1)
            .bind("127.0.0.1:0")
            .await
            .expect("binds");
        let mut caller = Caller::tcp(&server).await;
        let running = caller.begin("/t.T/Gate", "running");
        for _ in 0..10 {
            // As many as may wait, all given up.
            let waiting: Vec<_> = (0..4).map(|_| caller.begin("/t.T/Gate", "given up")).collect();
            caller.write().await;
            waiting.into_iter().for_each(|call| caller.cancel(call));
            // Answered without a handler, after all of that.
            caller.unary("/t.T/Nothing", "").await;
        }
        let patient = caller.begin("/t.T/Gate", "patient");
        caller.unary("/t.T/Nothing", "").await;
        gate.permits.add_permits(2);
        assert_eq!(caller.finished(running).await.messages, ["running"]);
        let seen = caller.finished(patient).await;
        assert_eq!(seen.messages, ["patient"], "{dispatch:?}: {seen:?}");
        assert_eq!(gate.started.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_server_that_is_overloaded_says_when_to_come_back() {
    let (routes, gate) = routes(Dispatch::Inline);
    let server = Server::builder()
        .add_service(routes)
        .max_handlers(1)
        .overload_pushback(Duration::from_millis(700))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    // One runs and four wait, whatever connections they came by; the newest goes.
    let mut callers = Vec::new();
    for at in 0..5 {
        let mut caller = Caller::tcp(&server).await;
        let call = caller.begin("/t.T/Gate", at.to_string());
        caller.unary("/t.T/Nothing", "").await;
        callers.push((caller, call));
    }
    let mut late = Caller::tcp(&server).await;
    let seen = late.unary("/t.T/Gate", "late").await;
    assert_eq!(seen.code(), Code::ResourceExhausted, "{seen:?}");
    let pushback = seen.trailing().value("grpc-retry-pushback-ms").expect("it says when");
    let pushback: u64 = pushback.parse().expect("milliseconds");
    assert!((700..=1400).contains(&pushback), "{pushback}");
    gate.permits.add_permits(5);
    for (at, (mut caller, call)) in callers.into_iter().enumerate() {
        assert_eq!(caller.finished(call).await.messages, [at.to_string()]);
    }
}

#[tokio::test]
async fn the_limit_of_connections_serves_all_addresses() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).max_connections(1).build();
    let mut addresses = Vec::new();
    for _ in 0..3 {
        addresses.extend(server.bind("127.0.0.1:0").await.expect("binds"));
    }
    // The one that was bound last first: none is kept for the others.
    for address in addresses.into_iter().rev() {
        let stream = TcpStream::connect(address.to_string()).await.expect("connects");
        let mut caller = Caller::new(stream);
        assert_eq!(caller.unary("/t.T/Echo", "served").await.messages, ["served"]);
        assert_eq!(server.connection_count(), 1);
    }
}

#[tokio::test]
async fn connections_above_the_limit_may_be_refused() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).max_connections(1).refuse_connections(true);
    let server = server.bind("127.0.0.1:0").await.expect("binds");
    let mut first = Caller::tcp(&server).await;
    assert_eq!(first.unary("/t.T/Echo", "served").await.messages, ["served"]);
    let mut second = TcpStream::connect(server.local_addr().expect("TCP")).await.expect("connects");
    let mut bytes = [0; 1];
    assert!(!matches!(second.read(&mut bytes).await, Ok(1..)), "it is closed without a word");
    assert_eq!(first.unary("/t.T/Echo", "again").await.messages, ["again"]);
}

#[tokio::test]
async fn cancelled_calls_leave_the_queue_of_other_threads() {
    let queue = ExternalQueue::new(|| {});
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/External", Cardinality::Unary, Arc::clone(&queue));
    let server = Server::builder()
        .add_service(routes)
        .max_handlers_per_connection(4)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    for together in [false, true] {
        for _ in 0..20 {
            let calls: Vec<_> = (0..4).map(|_| caller.begin("/t.T/External", "large")).collect();
            if !together {
                caller.write().await;
                patiently(async {
                    while queue.len() < 4 {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            }
            calls.into_iter().for_each(|call| caller.cancel(call));
            caller.unary("/t.T/Nothing", "").await;
            assert!(queue.is_empty(), "{} dead calls", queue.len());
        }
    }
    // They count among the handlers, no longer than they live.
    let calls: Vec<_> = (0..8).map(|_| caller.begin("/t.T/External", "")).collect();
    caller.unary("/t.T/Nothing", "").await;
    assert_eq!(queue.len(), 4);
    let mut taken = Vec::new();
    queue.pop(4, &mut taken);
    for call in taken.drain(..) {
        call.reply(ExternalReply::Status(Status::new(Code::Aborted, "so be it")));
    }
    for call in &calls[..4] {
        assert_eq!(caller.finished(*call).await.code(), Code::Aborted);
    }
    caller.unary("/t.T/Nothing", "").await;
    assert_eq!(queue.len(), 4);
}

// -- users' code that panics ------------------------------------------------------------------------

/// Panics at the first connection.
#[derive(Default)]
struct Clumsy(AtomicBool);

impl Acceptor for Clumsy {
    fn accept(&self, io: Box<dyn Io>) -> Accepting {
        assert!(self.0.swap(true, Ordering::SeqCst), "clumsy");
        Box::pin(async { Ok(io) })
    }
}

#[tokio::test]
async fn an_acceptor_that_panics_costs_one_connection() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .acceptor(Arc::new(Clumsy::default()))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut first = Caller::tcp(&server).await;
    first.begin("/t.T/Echo", "");
    first.until_closed().await;
    let mut second = Caller::tcp(&server).await;
    assert_eq!(second.unary("/t.T/Echo", "fine").await.messages, ["fine"]);
    drop(second);
    patiently(server.shutdown(None)).await;
}

/// Panics whenever it is told something.
struct Hysteric;

impl Observer for Hysteric {
    fn call_started(&self, _: &str) {
        panic!("a call");
    }

    fn call_ended(&self, _: &CallEnded<'_>) {
        panic!("no call");
    }

    fn connection_opened(&self, _: &ConnectionInfo) {
        panic!("a connection");
    }

    fn connection_closed(&self, _: &ConnectionInfo, _: &str) {
        panic!("no connection");
    }
}

#[tokio::test]
async fn an_observer_that_panics_does_no_harm() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .observer(Arc::new(Hysteric))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    for _ in 0..3 {
        let mut caller = Caller::tcp(&server).await;
        for _ in 0..2 {
            assert_eq!(caller.unary("/t.T/Echo", "fine").await.messages, ["fine"]);
        }
    }
    patiently(server.shutdown(None)).await;
}

/// Counts what begins and takes off what ends.
#[derive(Default)]
struct Balance {
    calls: AtomicUsize,
    connections: AtomicUsize,
}

impl Observer for Balance {
    fn call_started(&self, _: &str) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn call_ended(&self, _: &CallEnded<'_>) {
        self.calls.fetch_sub(1, Ordering::SeqCst);
    }

    fn connection_opened(&self, _: &ConnectionInfo) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    fn connection_closed(&self, _: &ConnectionInfo, _: &str) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn observers_see_the_end_when_the_runtime_goes() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let balance = Arc::new(Balance::default());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (routes, gate) = routes(dispatch);
        let caller = runtime.block_on(async {
            let server = Server::builder()
                .add_service(routes)
                .observer(Arc::clone(&balance) as _)
                .bind("127.0.0.1:0")
                .await
                .expect("binds");
            let mut caller = Caller::tcp(&server).await;
            caller.begin("/t.T/Gate", "");
            caller.write().await;
            gate.until_started(1).await;
            caller
        });
        let now = || {
            let (calls, connections) = (&balance.calls, &balance.connections);
            (calls.load(Ordering::SeqCst), connections.load(Ordering::SeqCst))
        };
        assert_eq!(now(), (1, 1));
        drop(runtime);
        assert_eq!(now(), (0, 0), "{dispatch:?}");
        drop(caller);
    }
}

// -- requests that nobody reads -------------------------------------------------------------------

/// They count for nothing against what a connection may hold, so that its other calls go on.
#[tokio::test]
async fn a_handler_that_drops_its_requests_and_goes_on_starves_nobody() {
    let deaf: Method<Bytes, Bytes> =
        Method::client_streaming("/t.T/Deaf", codec::raw(), codec::raw());
    let count: Method<Bytes, Bytes> =
        Method::client_streaming("/t.T/Count", codec::raw(), codec::raw());
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let mut routes = Routes::new("t.T");
        routes.client_streaming(deaf.clone(), |request: Request<Streaming<Bytes>>| async move {
            drop(request);
            std::future::pending().await
        });
        routes.client_streaming(count.clone(), |request: Request<Streaming<Bytes>>| async move {
            let (mut requests, mut bytes) = (request.into_inner(), 0);
            while let Some(message) = requests.message().await? {
                bytes += message.len();
            }
            Ok(Response::new(Bytes::from(bytes.to_string())))
        });
        routes.dispatch("Deaf", dispatch).dispatch("Count", dispatch);
        let server = Server::builder().max_held_messages(100_000).add_service(routes);
        let server = server.bind("127.0.0.1:0").await.expect("binds");
        let mut caller = Caller::tcp(&server).await;
        // The second has messages that are larger than a window: without credit they stand still.
        let calls = [("/t.T/Deaf", 60_000), ("/t.T/Count", 1_000_000)].map(|(path, size)| {
            let call = caller.start(path, Cardinality::ClientStreaming, &Metadata::new());
            for _ in 0..20 {
                caller.send(call, vec![0; size]);
            }
            caller.half_close(call);
            call
        });
        assert_eq!(caller.finished(calls[1]).await.messages, ["20000000"]);
    }
}
