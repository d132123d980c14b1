//! The server holds no lock while code of its users runs: from wherever they are called, they may ask
//! the server, and its queues, for anything. With a lock held they would wait for themselves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Wake, Waker};

use crate::caller::Caller;
use crate::gate::{ECHO, patiently};
use bytes::Bytes;
use ferrpc::server::{
    Accepting, Acceptor, CallEnded, CallFuture, CallLimit, Counters, Dispatch, ExternalCall,
    ExternalQueue, ExternalReply, Interceptor, Next, Observer, Routes, Server, ServerCall,
};
use ferrpc::transport::{ConnectionInfo, Io};
use ferrpc::{Cardinality, Code, Metadata, Request, Response, Status};
use ferrpc_blocking::Drains;

/// Asks for all there is, wherever it is called.
#[derive(Default)]
struct Nosy {
    server: OnceLock<Server>,
    queues: OnceLock<[Arc<ExternalQueue>; 2]>,
    drains: OnceLock<Arc<Drains>>,
    limit: OnceLock<Arc<CallLimit>>,
    places: Mutex<BTreeSet<&'static str>>,
}

impl Nosy {
    fn look(&self, place: &'static str) {
        if let Some(server) = self.server.get() {
            let _ = (server.memory(), server.connection_count(), server.addresses());
            let _ = (server.dispatch_counters("/t.T/Echo"), format!("{server:?}"));
        }
        for queue in self.queues.get().into_iter().flatten() {
            let _ = (queue.len(), queue.is_empty());
        }
        if let Some(drains) = self.drains.get() {
            let _ = (format!("{drains:?}"), drains.flush());
        }
        let _ = self.limit.get().map(|limit| limit.open());
        self.places.lock().expect("not poisoned").insert(place);
    }
}

impl Observer for Nosy {
    fn call_started(&self, _: &str) {
        self.look("call_started");
    }

    fn call_ended(&self, _: &CallEnded<'_>) {
        self.look("call_ended");
    }

    fn connection_opened(&self, _: &ConnectionInfo) {
        self.look("connection_opened");
    }

    fn connection_counted(&self, _: &ConnectionInfo, _: &Counters) {
        self.look("connection_counted");
    }

    fn connection_closed(&self, _: &ConnectionInfo, _: &str) {
        self.look("connection_closed");
    }
}

struct Shared(Arc<Nosy>);

impl Interceptor for Shared {
    fn intercept(&self, call: ServerCall, next: Next) -> CallFuture {
        self.0.look("interceptor");
        next.run(call)
    }
}

impl Acceptor for Shared {
    fn accept(&self, io: Box<dyn Io>) -> Accepting {
        self.0.look("acceptor");
        Box::pin(async move { Ok(io) })
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.look("waker");
    }
}

fn answer(call: ExternalCall) {
    call.reply(ExternalReply::Message {
        initial: Metadata::new(),
        message: Bytes::from_static(b"answer"),
        compression: None,
        trailing: Metadata::new(),
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_may_ask_for_anything_from_anywhere() {
    let nosy = Arc::new(Nosy::default());
    let told = Arc::clone(&nosy);
    let limit = CallLimit::new(2, Status::new(Code::ResourceExhausted, "one too many"));
    let queue = ExternalQueue::limited(Some(Arc::clone(&limit)), move || told.look("notify"));
    let drains = Drains::new(1, None, false);
    let mut routes = Routes::new("t.T");
    let handler = Arc::clone(&nosy);
    routes.unary(ECHO, move |request: Request<Bytes>| {
        handler.look("handler");
        let handler = Arc::clone(&handler);
        async move {
            tokio::task::yield_now().await;
            handler.look("handler, later");
            Ok(Response::new(request.into_inner()))
        }
    });
    routes.dispatch("Echo", Dispatch::Inline);
    routes.external("/t.T/Take", Cardinality::Unary, Arc::clone(&queue));
    routes.external("/t.T/Drain", Cardinality::Unary, Arc::clone(drains.queue(0)));
    let builder = Server::builder()
        .add_service(routes)
        .interceptor(Arc::new(Shared(Arc::clone(&nosy))))
        .acceptor(Arc::new(Shared(Arc::clone(&nosy))))
        .observer(Arc::clone(&nosy) as Arc<dyn Observer>);
    let server = builder.bind("127.0.0.1:0").await.expect("binds");
    let _ = (nosy.server.set(server.clone()), nosy.drains.set(Arc::clone(&drains)));
    let _ = nosy.queues.set([Arc::clone(&queue), Arc::clone(drains.queue(0))]);
    let _ = nosy.limit.set(limit);

    let mut caller = Caller::tcp(&server).await;
    assert_eq!(caller.unary("/t.T/Echo", "echo").await.messages, ["echo"]);
    // Two wait, one is refused; one of the two is given up with its waker left behind.
    let calls: Vec<_> = (0..2).map(|_| caller.begin("/t.T/Take", "taken")).collect();
    let third = caller.begin("/t.T/Take", "refused");
    assert_eq!(caller.finished(third).await.code(), Code::ResourceExhausted);
    let waker = Waker::from(Arc::clone(&nosy));
    let given_up = queue.pop_one().expect("it waits");
    assert!(given_up.poll_cancelled(&mut Context::from_waker(&waker)).is_pending());
    caller.cancel(calls[0]);
    assert_eq!(caller.unary("/t.T/Echo", "echo").await.messages, ["echo"]);
    patiently(async {
        while !given_up.is_cancelled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(given_up);
    answer(queue.pop_one().expect("it waits"));
    assert_eq!(caller.finished(calls[1]).await.messages, ["answer"]);
    let drained = caller.begin("/t.T/Drain", "drained");
    caller.write().await;
    let call = patiently(async {
        loop {
            if let Some(call) = drains.queue(0).pop_one() {
                return call;
            }
            tokio::task::yield_now().await;
        }
    });
    answer(call.await);
    assert_eq!(caller.finished(drained).await.messages, ["answer"]);
    drop(caller);
    patiently(server.shutdown(None)).await;
    drains.stop();
    let seen = nosy.places.lock().expect("not poisoned").clone();
    let expect = [
        "acceptor",
        "call_ended",
        "call_started",
        "connection_closed",
        "connection_counted",
        "connection_opened",
        "handler",
        "handler, later",
        "interceptor",
        "notify",
        "waker",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expect);
}
