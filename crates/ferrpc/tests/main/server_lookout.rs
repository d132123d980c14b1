//! When a server's connection looks out for the next request rather than sleep at once, by the
//! counted reads that found nothing. The clock stands still unless a test lets it move.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{Dispatch, Routes, Server};
use ferrpc::transport::{Io, in_process};
use ferrpc::{Method, Request, Response, codec};
use tokio::io::ReadBuf;
use tokio::sync::Semaphore;

use crate::caller::Caller;

const ECHO: Method<Bytes, Bytes> = Method::unary("/t.T/Echo", codec::raw(), codec::raw());
const GATE: Method<Bytes, Bytes> = Method::unary("/t.T/Gate", codec::raw(), codec::raw());

/// A byte stream that counts the reads that find nothing.
struct Counted {
    inner: Box<dyn Io>,
    empty: Arc<AtomicUsize>,
}

impl Io for Counted {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.inner.poll_read(cx, buf);
        if read.is_pending() {
            self.empty.fetch_add(1, Ordering::SeqCst);
        }
        read
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_vectored(cx, slices)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

struct Scene {
    caller: Caller,
    empty: Arc<AtomicUsize>,
    /// Handlers of /t.T/Gate wait here for a permit.
    gate: Arc<Semaphore>,
    _server: Server,
}

impl Scene {
    fn new(dispatch: Dispatch) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let mut routes = Routes::new("t.T");
        routes.unary(ECHO, |request: Request<Bytes>| async move {
            Ok(Response::new(request.into_inner()))
        });
        let in_handler = Arc::clone(&gate);
        routes.unary(GATE, move |request: Request<Bytes>| {
            let gate = Arc::clone(&in_handler);
            async move {
                gate.acquire().await.expect("never closed").forget();
                Ok(Response::new(request.into_inner()))
            }
        });
        routes.dispatch("Echo", Dispatch::Inline).dispatch("Gate", dispatch);
        let server = Server::builder().add_service(routes).build();
        let (ours, theirs) = in_process();
        let empty = Arc::new(AtomicUsize::new(0));
        server.serve_io(Box::new(Counted { inner: ours, empty: Arc::clone(&empty) }));
        Self { caller: Caller::over(theirs), empty, gate, _server: server }
    }

    /// Lets everything come to rest, and the clock move on; how many reads found nothing.
    async fn rest(&self) -> usize {
        // The clock moves once no task has anything to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.empty.swap(0, Ordering::SeqCst)
    }

    /// So many times so many calls at once, one load after the other, each in no time.
    async fn calls(&mut self, times: usize, at_once: usize) {
        for _ in 0..times {
            let calls: Vec<_> = (0..at_once).map(|_| self.caller.begin("/t.T/Echo", "")).collect();
            for call in calls {
                self.caller.finished(call).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_requests_in_quick_succession_the_next_is_awaited_and_others_run_meanwhile() {
    let mut scene = Scene::new(Dispatch::Inline);
    scene.calls(10, 4).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            for _ in 0..MANY {
                turns.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    let empty = scene.rest().await;
    assert!(empty >= MANY, "{empty}");
    counting.await.expect("no panic");
    assert_eq!(turns.load(Ordering::SeqCst), MANY);
    assert_eq!(scene.rest().await, 0, "it sleeps");
}

#[tokio::test(start_paused = true)]
async fn after_a_request_that_was_long_in_coming_it_sleeps() {
    let mut scene = Scene::new(Dispatch::Inline);
    scene.calls(10, 4).await;
    scene.rest().await;
    for _ in 0..10 {
        scene.calls(1, 4).await;
        let empty = scene.rest().await;
        assert!(empty <= FEW, "{empty}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_make_one_call_at_a_time_are_not_awaited() {
    let mut scene = Scene::new(Dispatch::Inline);
    scene.calls(10, 4).await;
    scene.calls(10, 1).await;
    scene.empty.store(0, Ordering::SeqCst);
    let empty = scene.rest().await;
    assert!(empty <= FEW, "{empty}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_awaited_while_a_handler_runs_elsewhere() {
    let mut scene = Scene::new(Dispatch::Spawn);
    scene.calls(10, 4).await;
    let call = scene.caller.begin("/t.T/Gate", "");
    scene.caller.write().await;
    scene.empty.store(0, Ordering::SeqCst);
    let empty = scene.rest().await;
    assert!(empty <= FEW, "{empty}");
    scene.gate.add_permits(1);
    scene.caller.finished(call).await;
    let empty = scene.rest().await;
    assert!(empty >= MANY, "the answer is out: {empty}");
}

/// Less than a lookout's looks.
const MANY: usize = 100;

/// What a call takes without any.
const FEW: usize = 5;
