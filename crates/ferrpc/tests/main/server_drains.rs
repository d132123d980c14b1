//! Drains: who takes the calls of external queues on an executor of the user's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use bytes::Bytes;
use ferrpc::server::{CallLimit, ExternalCall, ExternalReply, Routes, Server, ServerBuilder};
use ferrpc::{Cardinality, Code, Metadata, Status};
use ferrpc_blocking::{Drains, Taken, Task};

use crate::caller::{Caller, PATIENCE};

type Work = Box<dyn FnOnce() + Send>;
type Handler = dyn Fn(&[u8]) + Send + Sync;

/// An executor with so many threads, as users have them.
#[derive(Clone)]
struct Executor {
    work: mpsc::Sender<Work>,
    submitted: Arc<AtomicUsize>,
}

impl Executor {
    fn new(threads: usize) -> Self {
        let (work, todo) = mpsc::channel::<Work>();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads {
            let todo = Arc::clone(&todo);
            thread::spawn(move || {
                loop {
                    let next = todo.lock().expect("no panic").recv();
                    match next {
                        Ok(work) => work(),
                        Err(_) => return,
                    }
                }
            });
        }
        Self { work, submitted: Arc::default() }
    }

    fn submit(&self, work: impl FnOnce() + Send + 'static) {
        self.submitted.fetch_add(1, Ordering::SeqCst);
        self.work.send(Box::new(work)).expect("there are threads");
    }
}

/// What a serving thread and a drain do.
fn pump(drains: &Arc<Drains>, executor: &Executor, handler: &Arc<Handler>) {
    let (drains, executor, handler) = (Arc::clone(drains), executor.clone(), Arc::clone(handler));
    thread::spawn(move || {
        loop {
            match drains.next_task() {
                Task::Submit(lane) => submit(&drains, &executor, &handler, lane),
                Task::Ended(_) => {}
                Task::Stop => return,
            }
        }
    });
}

fn submit(drains: &Arc<Drains>, executor: &Executor, handler: &Arc<Handler>, lane: usize) {
    let (drains, again, handler) = (Arc::clone(drains), executor.clone(), Arc::clone(handler));
    executor.submit(move || {
        let turn = drains.begin(lane);
        loop {
            match drains.take(&turn) {
                Taken::Call(call) => answer(&drains, *call, &handler),
                Taken::Again => return submit(&drains, &again, &handler, lane),
                Taken::Nothing => return,
            }
        }
    });
}

fn answer(drains: &Arc<Drains>, mut call: ExternalCall, handler: &Arc<Handler>) {
    let message = call.take_message().expect("sound");
    handler(&message);
    let reply = ExternalReply::Message {
        initial: Metadata::new(),
        message,
        compression: None,
        trailing: Metadata::new(),
    };
    if let Some(reply) = call.reply_later(reply) {
        drains.reply(reply);
    }
}

async fn serve(drains: &Arc<Drains>) -> (Server, Caller) {
    serve_with(drains, Server::builder()).await
}

async fn serve_with(drains: &Arc<Drains>, builder: ServerBuilder) -> (Server, Caller) {
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Unary", Cardinality::Unary, Arc::clone(drains.queue(0)));
    let server = builder.add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let caller = Caller::tcp(&server).await;
    (server, caller)
}

async fn all_answered(caller: &mut Caller, calls: usize) {
    let calls: Vec<_> = (0..calls).map(|at| caller.begin("/t.T/Unary", at.to_string())).collect();
    for (at, call) in calls.into_iter().enumerate() {
        assert_eq!(caller.finished(call).await.messages, [Bytes::from(at.to_string())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_takes_many_calls() {
    let drains = Drains::new(1, None, false);
    let executor = Executor::new(4);
    pump(&drains, &executor, &(Arc::new(|_: &[u8]| {}) as Arc<Handler>));
    let (server, mut caller) = serve(&drains).await;
    for _ in 0..10 {
        all_answered(&mut caller, 100).await;
    }
    assert!(executor.submitted.load(Ordering::SeqCst) < 500, "far fewer than calls");
    server.shutdown(Some(std::time::Duration::ZERO)).await;
    drains.stop();
    assert_eq!(drains.next_task(), Task::Stop);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_block_spread_over_the_executor() {
    let drains = Drains::new(1, None, false);
    let barrier = Arc::new(Barrier::new(4));
    let handler: Arc<Handler> = Arc::new(move |_: &[u8]| {
        barrier.wait();
    });
    pump(&drains, &Executor::new(4), &handler);
    let (_server, mut caller) = serve(&drains).await;
    // Each needs three others to run at the same time.
    all_answered(&mut caller, 8).await;
    drains.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_wait_for_a_slow_handler_behind_it() {
    let drains = Drains::new(1, None, false);
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let handler: Arc<Handler> = Arc::new(move |message: &[u8]| {
        if message == b"slow" {
            let _ = gate.lock().expect("no panic").recv();
        }
    });
    pump(&drains, &Executor::new(1), &handler);
    let (_server, mut caller) = serve(&drains).await;
    let quick = caller.begin("/t.T/Unary", "quick");
    let slow = caller.begin("/t.T/Unary", "slow");
    assert_eq!(caller.finished(quick).await.messages, ["quick"]);
    go.send(()).expect("it waits");
    assert_eq!(caller.finished(slow).await.messages, ["slow"]);
    drains.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_is_held_while_nothing_happens() {
    let drains = Drains::new(1, None, false);
    let executor = Executor::new(1);
    pump(&drains, &executor, &(Arc::new(|_: &[u8]| {}) as Arc<Handler>));
    let (_server, mut caller) = serve(&drains).await;
    all_answered(&mut caller, 3).await;
    let (done, other) = tokio::sync::oneshot::channel();
    executor.submit(move || done.send(()).expect("waited for"));
    tokio::time::timeout(PATIENCE, other).await.expect("its turn comes").expect("done");
    all_answered(&mut caller, 3).await;
    drains.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_per_call() {
    let drains = Drains::new(1, None, true);
    let executor = Executor::new(4);
    pump(&drains, &executor, &(Arc::new(|_: &[u8]| {}) as Arc<Handler>));
    let (_server, mut caller) = serve(&drains).await;
    for _ in 0..10 {
        all_answered(&mut caller, 20).await;
    }
    assert_eq!(executor.submitted.load(Ordering::SeqCst), 200);
    drains.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_end_at_once() {
    let limit = CallLimit::new(2, Status::new(Code::ResourceExhausted, "too many"));
    let drains = Drains::new(1, Some(&limit), false);
    let (_server, mut caller) = serve(&drains).await;
    // Nobody takes them.
    let waiting: Vec<_> = (0..2).map(|_| caller.begin("/t.T/Unary", "waits")).collect();
    let seen = caller.unary("/t.T/Unary", "one more").await;
    assert_eq!((seen.code(), seen.text()), (Code::ResourceExhausted, "too many"));
    assert_eq!(limit.open(), 2);
    drains.queue(0).refuse_waiting(&Status::new(Code::Unavailable, "nobody comes"));
    for call in waiting {
        assert_eq!(caller.finished(call).await.code(), Code::Unavailable);
    }
    assert_eq!(limit.open(), 0);
    pump(&drains, &Executor::new(1), &(Arc::new(|_: &[u8]| {}) as Arc<Handler>));
    all_answered(&mut caller, 2).await;
    drains.stop();
}

/// A caller that takes none of its answers has no more calls handled once they fill the memory there
/// is for them; others are served meanwhile, and it is again when there is memory.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_who_takes_no_answers_are_left_waiting() {
    for per_call in [false, true] {
        let drains = Drains::new(1, None, per_call);
        let (permit, permits) = mpsc::channel();
        let permits = Mutex::new(permits);
        let handled = Arc::new(AtomicUsize::new(0));
        let handler = {
            let handled = Arc::clone(&handled);
            move |_: &[u8]| {
                permits.lock().expect("no panic").recv().expect("the test goes on");
                handled.fetch_add(1, Ordering::SeqCst);
            }
        };
        pump(&drains, &Executor::new(1), &(Arc::new(handler) as Arc<Handler>));
        let mut builder = Server::builder();
        builder.limits_mut().send_memory = 300_000;
        let (server, mut other) = serve_with(&drains, builder).await;
        let mut greedy = Caller::without_credit(&server).await;
        let calls: Vec<_> = (0..20).map(|_| greedy.begin("/t.T/Unary", vec![0; 100_000])).collect();
        let answered =
            |caller: &Caller| caller.calls.values().filter(|seen| seen.metadata.is_some()).count();
        for count in 1..=3 {
            permit.send(()).expect("handlers wait");
            greedy.until(|caller| answered(caller) == count).await;
        }
        // The memory is used up: who comes later is next. (One call may have been taken before.)
        let call = other.begin("/t.T/Unary", "beside");
        other.write().await;
        permit.send(()).expect("handlers wait");
        permit.send(()).expect("handlers wait");
        assert_eq!(other.finished(call).await.messages, ["beside"]);
        assert!(handled.load(Ordering::SeqCst) <= 5);
        let (done, rest): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| greedy.calls[call].metadata.is_some());
        assert!(rest.len() >= 16);
        for _ in 0..20 {
            permit.send(()).expect("handlers wait");
        }
        for call in done {
            greedy.cancel(call);
            greedy.calls.remove(&call);
        }
        greedy.until(|caller| answered(caller) >= 3).await;
        drains.stop();
    }
}
