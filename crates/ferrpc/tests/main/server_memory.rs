//! The memory that a server's connections hold because of their peers, and what it is bounded by.

use std::sync::Arc;

use crate::caller::Caller;
use crate::gate::{Gate, patiently, routes};
use bytes::Bytes;
use ferrpc::server::{Dispatch, ExternalQueue, ExternalReply, Routes, Server, Window};
use ferrpc::transport::in_process;
use ferrpc::{Cardinality, Code, Metadata};
use tokio::task::JoinHandle;

const MIB: usize = 1 << 20;

/// A server with so much memory, whose handlers for the gate run one at a time.
async fn server(bytes: usize) -> (Server, Gate) {
    let (routes, gate) = routes(Dispatch::Inline);
    let builder = Server::builder().add_service(routes).max_memory(bytes).max_handlers(1);
    (builder.bind("127.0.0.1:0").await.expect("binds"), gate)
}

/// Waits until `done` holds of what the server says of its memory.
async fn until(server: &Server, done: impl Fn(ferrpc::server::MemoryCounters) -> bool) {
    let wait = async {
        while !done(server.memory()) {
            tokio::task::yield_now().await;
        }
    };
    patiently(wait).await;
}

#[tokio::test]
async fn who_fills_the_memory_gives_way_and_others_do_not_notice() {
    const LIMIT: usize = 8 * MIB;
    let queue = ExternalQueue::new(|| {});
    let mut taken = Routes::new("t.T");
    taken.external("/t.T/Take", Cardinality::Unary, Arc::clone(&queue));
    let (routes, _) = routes(Dispatch::Inline);
    let builder = Server::builder().add_service(routes).add_service(taken).max_memory(LIMIT);
    let server = builder.bind("127.0.0.1:0").await.expect("binds");
    let mut honest = Caller::tcp(&server).await;
    assert_eq!(honest.unary("/t.T/Echo", "before").await.messages, ["before"]);
    let mut attackers = Vec::new();
    for _ in 0..6 {
        let mut attacker = Caller::tcp(&server).await;
        attackers.push(tokio::spawn(async move {
            for _ in 0..100 {
                // As much as a window holds, so that it needs no more credit than the connection's.
                attacker.begin("/t.T/Take", vec![7; 200_000]);
            }
            attacker.until(|_| false).await;
        }));
    }
    let (mut calls, mut peak) = (0, 0);
    while calls < 200 || server.memory().refused_calls + server.memory().ended_calls == 0 {
        let seen = honest.unary("/t.T/Echo", "meanwhile").await;
        peak = peak.max(server.memory().held);
        assert_eq!(seen.messages, ["meanwhile"], "{seen:?}");
        calls += 1;
        assert!(calls < 100_000, "nobody gives way: {:?}", server.memory());
    }
    assert!(peak < LIMIT + LIMIT / 4, "{peak}");
    attackers.iter().for_each(JoinHandle::abort);
    until(&server, |memory| memory.held < MIB).await;
    assert_eq!(honest.unary("/t.T/Echo", "after").await.messages, ["after"]);
}

#[tokio::test]
async fn answers_that_nobody_takes_give_way_too() {
    const LIMIT: usize = 4 * MIB;
    let (server, _) = server(LIMIT).await;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let mut caller = Caller::without_credit(&server).await;
        for _ in 0..4 {
            caller.begin("/t.T/Echo", vec![7; MIB]);
        }
        greedy.push(tokio::spawn(async move { caller.until(|_| false).await }));
    }
    let mut honest = Caller::tcp(&server).await;
    until(&server, |memory| memory.ended_calls > 0).await;
    until(&server, |memory| memory.held <= LIMIT).await;
    assert_eq!(honest.unary("/t.T/Echo", "honest").await.messages, ["honest"]);
    greedy.iter().for_each(JoinHandle::abort);
    until(&server, |memory| memory.held < MIB).await;
}

#[tokio::test]
async fn an_honest_load_is_not_touched() {
    let (routes, _) = routes(Dispatch::Auto);
    let builder = Server::builder().add_service(routes).max_memory(64 * MIB);
    let server = builder.bind("127.0.0.1:0").await.expect("binds");
    let mut callers = Vec::new();
    for _ in 0..4 {
        let mut caller = Caller::tcp(&server).await;
        callers.push(tokio::spawn(async move {
            let calls: Vec<_> =
                (0..50).map(|_| caller.begin("/t.T/Echo", vec![7; 100_000])).collect();
            for call in calls {
                assert_eq!(caller.finished(call).await.messages[0].len(), 100_000);
            }
        }));
    }
    for caller in callers {
        caller.await.expect("all are answered");
    }
    let memory = server.memory();
    assert_eq!((memory.refused_calls, memory.ended_calls, memory.ended_connections), (0, 0, 0));
    until(&server, |memory| memory.held < MIB).await;
}

/// Without a limit of connections that somebody set, those that do nothing make room.
#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let (routes, _) = routes(Dispatch::Auto);
    // Enough for sixteen connections.
    let builder = Server::builder().add_service(routes).max_memory(MIB);
    let server = builder.bind("127.0.0.1:0").await.expect("binds");
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut caller = Caller::tcp(&server).await;
        assert_eq!(caller.unary("/t.T/Echo", "idle").await.messages, ["idle"]);
        idle.push(caller);
    }
    let oldest = tokio::spawn(async move {
        let mut oldest = idle.remove(0);
        oldest.until_closed().await;
        (oldest.draining, idle)
    });
    let mut late = Caller::tcp(&server).await;
    assert_eq!(late.unary("/t.T/Echo", "late").await.messages, ["late"]);
    let (draining, mut others) = oldest.await.expect("it was sent away");
    assert!(draining, "it was told so");
    assert_eq!(server.memory().ended_connections, 1);
    assert_eq!(others[0].unary("/t.T/Echo", "still here").await.messages, ["still here"]);
}

/// Makes calls of a MiB and waits for their ends, on a task of its own.
fn large_calls(mut caller: Caller, path: &'static str, count: usize) -> JoinHandle<Caller> {
    tokio::spawn(async move {
        let calls: Vec<_> = (0..count).map(|_| caller.begin(path, vec![7; MIB])).collect();
        for call in calls {
            let seen = caller.finished(call).await;
            assert_eq!(seen.code(), Code::Ok, "{seen:?}");
        }
        caller
    })
}

/// A request counts until its handler has it, on another thread too; what is given up meanwhile is
/// gone at once.
#[tokio::test]
async fn requests_count_until_they_are_taken() {
    let queue = ExternalQueue::new(|| {});
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Take", Cardinality::Unary, Arc::clone(&queue));
    let builder = Server::builder().add_service(routes).max_held_messages(MIB);
    let server = builder.window(Window::Fixed(256 << 10)).build();
    let (ours, theirs) = in_process();
    server.serve_io(ours);
    let calling = large_calls(Caller::over(theirs), "/t.T/Take", 40);
    // While nothing waits, all are welcome; then nobody takes any.
    let wait = async {
        while queue.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    patiently(wait).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(queue.len() < 5, "{} requests are held", queue.len());
    // Whoever takes them makes room for the next, to the last one.
    let take = async {
        for _ in 0..40 {
            let mut call = loop {
                match queue.pop_one() {
                    Some(call) => break call,
                    None => tokio::task::yield_now().await,
                }
            };
            assert_eq!(call.take_message().expect("it is there").len(), MIB);
            call.reply(ExternalReply::Message {
                initial: Metadata::new(),
                message: Bytes::from_static(b"taken"),
                compression: None,
                trailing: Metadata::new(),
            });
        }
    };
    patiently(take).await;
    let mut caller = calling.await.expect("all are answered");
    // Given up while they wait.
    let calls: Vec<_> = (0..5).map(|_| caller.begin("/t.T/Take", vec![7; 200_000])).collect();
    caller.write().await;
    until(&server, |memory| memory.held > 4 * 200_000).await;
    calls.into_iter().for_each(|call| caller.cancel(call));
    caller.write().await;
    until(&server, |memory| memory.held < 200_000).await;
    assert_eq!(queue.len(), 0, "{}", queue.len());
}

/// A handler on a task of its own takes its request when it begins.
#[tokio::test]
async fn spawned_handlers_take_their_requests() {
    let (routes, gate) = routes(Dispatch::Spawn);
    let server = Server::builder().add_service(routes).max_held_messages(MIB).build();
    let (ours, theirs) = in_process();
    server.serve_io(ours);
    let calling = large_calls(Caller::over(theirs), "/t.T/Gate", 40);
    gate.until_started(40).await;
    gate.permits.add_permits(40);
    calling.await.expect("all are answered");
    until(&server, |memory| memory.held < MIB).await;
}
