//! What stands around handlers, and handlers outside the runtime.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferrpc::server::{
    CallEnded, CallFuture, ExternalQueue, ExternalReply, Interceptor, Next, Observer, Routes, Sent,
    Server, ServerCall,
};
use ferrpc::transport::ConnectionInfo;
use ferrpc::{Cardinality, Code, Encoding, Metadata, Request, Response, Status};
use tokio::sync::mpsc;

use crate::caller::{Caller, PATIENCE};
use crate::gate::{ECHO, none, patiently};

// -- around handlers --------------------------------------------------------------------------------

/// Lets calls through that know the password, and signs replies.
struct Guard;

struct User(String);

impl Interceptor for Guard {
    fn intercept(&self, mut call: ServerCall, next: Next) -> CallFuture {
        let Some(user) = call.metadata().value("x-user").map(str::to_owned) else {
            return Box::pin(async { Err(Status::new(Code::Unauthenticated, "who are you?")) });
        };
        call.extensions_mut().insert(User(user));
        Box::pin(async move {
            let mut reply = next.run(call).await?;
            reply.trailing_mut().append("x-signed", "yes").expect("legal");
            Ok(reply)
        })
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Observer for Log {
    fn call_started(&self, method: &str) {
        self.push(format!("started {method}"));
    }

    fn call_ended(&self, call: &CallEnded<'_>) {
        self.push(format!("ended {} {}", call.method, call.code));
    }

    fn connection_opened(&self, _: &ConnectionInfo) {
        self.push("opened".to_owned());
    }

    fn connection_closed(&self, _: &ConnectionInfo, _: &str) {
        self.push("closed".to_owned());
    }
}

#[tokio::test]
async fn interceptors_and_observers_see_all_calls() {
    let log = Arc::new(Log::default());
    let mut routes = Routes::new("t.T");
    routes.unary(ECHO, |request: Request<Bytes>| async move {
        let user = request.extensions().value::<User>().expect("the guard put it there");
        Ok(Response::new(Bytes::from(user.0.clone())))
    });
    let server = Server::builder()
        .add_service(routes)
        .interceptor(Arc::new(Guard))
        .observer(Arc::clone(&log) as _)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    assert_eq!(caller.unary("/t.T/Echo", "").await.code(), Code::Unauthenticated);
    let mut metadata = Metadata::new();
    metadata.append("x-user", "ada").expect("legal");
    let call = caller.start("/t.T/Echo", Cardinality::Unary, &metadata);
    caller.send(call, "");
    caller.half_close(call);
    let seen = caller.finished(call).await;
    assert_eq!(seen.messages, ["ada"]);
    assert_eq!(seen.trailing().value("x-signed"), Some("yes"));
    drop(caller);
    patiently(server.shutdown(None)).await;
    let lines = log.0.lock().expect("not poisoned").clone();
    assert_eq!(
        lines,
        [
            "opened",
            "started /t.T/Echo",
            "ended /t.T/Echo UNAUTHENTICATED",
            "started /t.T/Echo",
            "ended /t.T/Echo OK",
            "closed",
        ]
    );
}

// -- handlers outside the runtime ---------------------------------------------------------------------

/// Threads that wait for calls sleep here.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("not poisoned") = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let rung = self.rung.lock().expect("not poisoned");
        let (mut rung, _) =
            self.changed.wait_timeout_while(rung, PATIENCE, |rung| !*rung).expect("not poisoned");
        *rung = false;
    }
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Waits on the calling thread.
fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        bell.wait();
    }
}

#[tokio::test]
async fn calls_can_be_handled_by_threads_of_ones_own() {
    let bell = Arc::new(Bell::default());
    let queue = ExternalQueue::new({
        let bell = Arc::clone(&bell);
        move || bell.ring()
    });
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Unary", Cardinality::Unary, Arc::clone(&queue));
    routes.external("/t.T/Stream", Cardinality::Bidirectional, Arc::clone(&queue));
    let server = Server::builder()
        .add_service(routes)
        .compression(Encoding::Gzip)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let (queue, bell, stop) = (Arc::clone(&queue), Arc::clone(&bell), Arc::clone(&stop));
        move || {
            let mut calls = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                if queue.pop(32, &mut calls) == 0 {
                    bell.wait();
                    continue;
                }
                let mut replies = Vec::new();
                for mut call in calls.drain(..) {
                    if call.path() == "/t.T/Unary" {
                        let message = call.take_message().expect("sound");
                        if message == "drop" {
                            continue;
                        }
                        let reply = match &message[..] {
                            b"fail" => {
                                ExternalReply::Status(Status::new(Code::Aborted, "so be it"))
                            }
                            _ => ExternalReply::Message {
                                initial: Metadata::new(),
                                message,
                                compression: None,
                                trailing: Metadata::new(),
                            },
                        };
                        replies.push((call, reply));
                        continue;
                    }
                    assert_eq!(call.send_metadata(Metadata::new(), None), Sent::Ready);
                    loop {
                        let Ok(message) = wait(|cx| call.poll_message(cx)) else { break };
                        let Some(message) = message else {
                            call.reply(ExternalReply::Status(Status::ok()));
                            break;
                        };
                        wait(|cx| call.poll_send_ready(cx)).expect("goes on");
                        assert_ne!(call.send_message(message), Sent::Gone);
                    }
                }
                ExternalQueue::reply_all(replies);
            }
        }
    });
    let mut caller = Caller::tcp(&server).await;
    let calls: Vec<_> =
        (0..50).map(|at| caller.begin("/t.T/Unary", vec![b'a'; at * 100])).collect();
    for (at, call) in calls.into_iter().enumerate() {
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages, [vec![b'a'; at * 100]]);
        assert_eq!(seen.encoding, Encoding::Gzip);
    }
    let seen = caller.unary("/t.T/Unary", "fail").await;
    assert_eq!((seen.code(), seen.text()), (Code::Aborted, "so be it"));
    assert_eq!(caller.unary("/t.T/Unary", "drop").await.code(), Code::Unknown);
    let call = caller.start("/t.T/Stream", Cardinality::Bidirectional, &none());
    for turn in 1..=100 {
        caller.send(call, vec![b'b'; 10_000]);
        caller.until(|caller| caller.calls[&call].messages.len() == turn).await;
    }
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.code(), Code::Ok);
    stop.store(true, Ordering::SeqCst);
    bell.ring();
    worker.join().expect("no panic");
}

#[tokio::test]
async fn calls_outside_the_runtime_hear_of_their_cancellation() {
    let (sender, mut arrived) = mpsc::unbounded_channel();
    let queue = ExternalQueue::new(move || {
        let _ = sender.send(());
    });
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Unary", Cardinality::Unary, Arc::clone(&queue));
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let mut caller = Caller::tcp(&server).await;
    let call = caller.begin("/t.T/Unary", "");
    caller.write().await;
    patiently(arrived.recv()).await.expect("a call");
    let mut calls = Vec::new();
    assert_eq!(queue.pop(10, &mut calls), 1);
    caller.cancel(call);
    caller.write().await;
    let taken = calls.pop().expect("one");
    let status = patiently(std::future::poll_fn(|cx| taken.poll_cancelled(cx))).await;
    assert_eq!(status.code(), Code::Cancelled);
    drop(taken);
    // One that waits and is given up leaves the queue, so that the second is the first in it.
    let call = caller.begin("/t.T/Unary", "given up");
    caller.write().await;
    patiently(arrived.recv()).await.expect("a call");
    caller.cancel(call);
    caller.begin("/t.T/Unary", "next");
    caller.write().await;
    patiently(arrived.recv()).await.expect("another call");
    assert_eq!(queue.pop(10, &mut calls), 1);
    assert_eq!(calls[0].take_message().expect("sound"), "next");
}
