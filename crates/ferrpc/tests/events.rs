//! Events of `tracing`. Alone in its process: subscribers are global, and this one is everybody's.

#[path = "main/support/mod.rs"]
mod support;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use ferrpc::client::ConnectivityState;
use ferrpc_blocking as blocking;
use support::*;
use tracing::span;

/// Asks both channels for their state at each event.
struct Asking;

static THREADS: OnceLock<blocking::Channel> = OnceLock::new();
static TASKS: OnceLock<ferrpc::Channel> = OnceLock::new();
static ASKED: AtomicUsize = AtomicUsize::new(0);

impl tracing::Subscriber for Asking {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        if let Some(channel) = THREADS.get() {
            channel.state();
        }
        if let Some(channel) = TASKS.get() {
            channel.state();
        }
        ASKED.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// What a subscriber asks a channel is answered: it is told of nothing under the channel's locks.
#[test]
fn subscribers_may_use_the_channel() {
    tracing::subscriber::set_global_default(Asking).expect("the first");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    // Not dropped: with a thread that is stuck it would not end.
    let runtime: &'static tokio::runtime::Runtime = Box::leak(Box::new(runtime));
    let server = runtime.block_on(TestServer::start_with(config()));
    let target = server.target();
    let (done, is_done) = mpsc::channel();
    let threads =
        blocking::Channel::new(blocking::Channel::builder(target.clone())).expect("a target");
    assert!(THREADS.set(threads).is_ok());
    let told = done.clone();
    std::thread::spawn(move || {
        let channel = THREADS.get().expect("set");
        while channel.try_to_connect() != ConnectivityState::Ready {
            std::thread::yield_now();
        }
        told.send("threads").expect("the test waits");
    });
    is_done.recv_timeout(WAIT).expect("no deadlock among threads");
    let tasks = {
        let _here = runtime.enter();
        ferrpc::Channel::builder(target).connect_lazy().expect("a target")
    };
    assert!(TASKS.set(tasks).is_ok());
    runtime.spawn(async move {
        let channel = TASKS.get().expect("set");
        channel.connected().await.expect("it connects");
        done.send("tasks").expect("the test waits");
    });
    is_done.recv_timeout(WAIT).expect("no deadlock among tasks");
    assert!(ASKED.load(Ordering::SeqCst) > 3);
    let _runtime = runtime.enter();
    drop(server);
}

/// Long enough for a busy machine, and for nothing else.
const WAIT: Duration = Duration::from_secs(20);
