//! Calls of all kinds, through a server on a real socket.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{Dispatch, ResponseStream, Routes, Server};
use ferrpc::{
    Cardinality, Code, Encoding, Metadata, Method, Request, Response, Status, Streaming, codec,
};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::caller::{Caller, PATIENCE};

const ECHO: Method<Bytes, Bytes> = Method::unary("/t.T/Echo", codec::raw(), codec::raw());
const COLLECT: Method<Bytes, Bytes> =
    Method::client_streaming("/t.T/Collect", codec::raw(), codec::raw());
const SPLIT: Method<Bytes, Bytes> =
    Method::server_streaming("/t.T/Split", codec::raw(), codec::raw());
const CHAT: Method<Bytes, Bytes> = Method::bidirectional("/t.T/Chat", codec::raw(), codec::raw());

const KINDS: [Dispatch; 2] = [Dispatch::Inline, Dispatch::Spawn];

fn none() -> Metadata {
    Metadata::new()
}

/// A stream made of a channel.
struct Received(mpsc::Receiver<Result<Bytes, Status>>);

impl Stream for Received {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// A stream made of an iterator.
struct Items<I>(I);

impl<I: Iterator<Item = Bytes> + Unpin> Stream for Items<I> {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

async fn echo(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let mut response = Response::new(Bytes::new());
    if let Some(value) = request.metadata().value("x-in") {
        response.metadata_mut().append("x-initial", value).expect("legal");
        response.trailing_mut().append("x-trailing", value).expect("legal");
    }
    Ok(response.map(|_| request.into_inner()))
}

async fn collect(mut request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut all = Vec::new();
    while let Some(message) = request.message_mut().message().await? {
        all.extend_from_slice(&message);
    }
    Ok(Response::new(all.into()))
}

async fn split(request: Request<Bytes>) -> Result<Response<ResponseStream<Bytes>>, Status> {
    let all = request.into_inner();
    let items = (0..all.len()).map(move |at| all.slice(at..=at));
    let stream: ResponseStream<Bytes> = Box::pin(Items(items));
    let mut response = Response::new(stream);
    response.metadata_mut().append("x-initial", "1").expect("legal");
    response.trailing_mut().append("x-trailing", "2").expect("legal");
    Ok(response)
}

async fn chat(
    request: Request<Streaming<Bytes>>,
) -> Result<Response<ResponseStream<Bytes>>, Status> {
    let (sender, receiver) = mpsc::channel(1);
    let mut requests = request.into_inner();
    tokio::spawn(async move {
        loop {
            match requests.message().await {
                Ok(Some(message)) if &message[..] == b"fail" => {
                    let status = Status::new(Code::DataLoss, "as you wish");
                    let _ = sender.send(Err(status)).await;
                    return;
                }
                Ok(Some(message)) => {
                    if sender.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(status) => {
                    let _ = sender.send(Err(status)).await;
                    return;
                }
            }
        }
    });
    Ok(Response::new(Box::pin(Received(receiver))))
}

fn routes(dispatch: Dispatch) -> Routes {
    let mut routes = Routes::new("t.T");
    routes.unary(ECHO, echo).client_streaming(COLLECT, collect);
    routes.server_streaming(SPLIT, split).bidirectional(CHAT, chat);
    for method in ["Echo", "Collect", "Split", "Chat"] {
        routes.dispatch(method, dispatch);
    }
    routes
}

async fn server(dispatch: Dispatch) -> Server {
    Server::builder().add_service(routes(dispatch)).bind("127.0.0.1:0").await.expect("binds")
}

#[tokio::test]
async fn unary_calls_carry_messages_and_metadata() {
    for dispatch in KINDS {
        let server = server(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let mut metadata = Metadata::new();
        metadata.append("x-in", "value").expect("legal");
        let call = caller.start("/t.T/Echo", Cardinality::Unary, &metadata);
        caller.send(call, "hello");
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!(seen.code(), Code::Ok, "{dispatch:?}: {seen:?}");
        assert_eq!(seen.messages, ["hello"]);
        assert_eq!(
            seen.metadata.as_ref().and_then(|found| found.value("x-initial")),
            Some("value")
        );
        assert_eq!(seen.trailing().value("x-trailing"), Some("value"));
    }
}

#[tokio::test]
async fn many_calls_at_once_and_large_messages() {
    for dispatch in KINDS {
        let server = server(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let calls: Vec<_> =
            (0..100).map(|at| caller.begin("/t.T/Echo", vec![at as u8; at * 100])).collect();
        for (at, call) in calls.into_iter().enumerate() {
            let seen = caller.finished(call).await;
            assert_eq!(seen.code(), Code::Ok, "{dispatch:?}, {at}: {:?}", seen.status);
            assert!(seen.messages == [vec![at as u8; at * 100]], "{at}");
        }
        let large = Bytes::from(vec![7; 3 << 20]);
        let seen = caller.unary("/t.T/Echo", large.clone()).await;
        assert_eq!(seen.code(), Code::Ok, "{seen:?}");
        assert!(seen.messages == [large]);
    }
}

#[tokio::test]
async fn a_stream_of_requests_gets_one_response() {
    for dispatch in KINDS {
        let server = server(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let call = caller.start("/t.T/Collect", Cardinality::ClientStreaming, &none());
        for part in ["a", "", "bc", "d"] {
            caller.send(call, part);
            caller.write().await;
        }
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!((seen.code(), seen.messages), (Code::Ok, vec![Bytes::from("abcd")]));

        // More than any window holds.
        let call = caller.start("/t.T/Collect", Cardinality::ClientStreaming, &none());
        for _ in 0..64 {
            caller.send(call, vec![1; 64 << 10]);
        }
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages[0].len(), 4 << 20);

        // So many that what travels before each of them counts.
        let call = caller.start("/t.T/Collect", Cardinality::ClientStreaming, &none());
        for _ in 0..100_000 {
            caller.send(call, "x");
        }
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages[0].len(), 100_000);
    }
}

#[tokio::test]
async fn one_request_gets_a_stream_of_responses() {
    for dispatch in KINDS {
        let server = server(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let call = caller.start("/t.T/Split", Cardinality::ServerStreaming, &none());
        caller.send(call, "abc");
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!(seen.code(), Code::Ok, "{seen:?}");
        assert_eq!(seen.messages, ["a", "b", "c"]);
        assert_eq!(seen.metadata.as_ref().and_then(|found| found.value("x-initial")), Some("1"));
        assert_eq!(seen.trailing().value("x-trailing"), Some("2"));

        let call = caller.start("/t.T/Split", Cardinality::ServerStreaming, &none());
        caller.send(call, vec![0; 100_000]);
        caller.half_close(call);
        assert_eq!(caller.finished(call).await.messages.len(), 100_000);
    }
}

#[tokio::test]
async fn streams_go_both_ways() {
    for dispatch in KINDS {
        let server = server(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let call = caller.start("/t.T/Chat", Cardinality::Bidirectional, &none());
        for turn in 1..=3 {
            caller.send(call, format!("{turn}"));
            caller.until(|caller| caller.calls[&call].messages.len() == turn).await;
        }
        caller.half_close(call);
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages, ["1", "2", "3"]);
        assert_eq!(seen.code(), Code::Ok);

        let call = caller.start("/t.T/Chat", Cardinality::Bidirectional, &none());
        caller.send(call, "one");
        caller.send(call, "fail");
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages, ["one"]);
        assert_eq!((seen.code(), seen.text()), (Code::DataLoss, "as you wish"));
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_slows_its_handler_down() {
    for dispatch in KINDS {
        let made = Arc::new(AtomicUsize::new(0));
        let mut routes = Routes::new("t.T");
        let count = Arc::clone(&made);
        routes.server_streaming(SPLIT, move |_: Request<Bytes>| {
            let count = Arc::clone(&count);
            async move {
                let items = std::iter::repeat_with(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                    Bytes::from_static(&[0; 1024])
                });
                let stream: ResponseStream<Bytes> = Box::pin(Items(items.take(100_000)));
                Ok(Response::new(stream))
            }
        });
        routes.dispatch("Split", dispatch);
        let server =
            Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
        let mut caller = Caller::tcp(&server).await;
        let slow = caller.start("/t.T/Split", Cardinality::ServerStreaming, &none());
        caller.send(slow, "");
        caller.half_close(slow);
        caller.write().await;
        // Until the handler makes no more: everything between it and us is full.
        let mut before = usize::MAX;
        while made.load(Ordering::SeqCst) != before || before == 0 {
            before = made.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(before < 50_000, "{dispatch:?}: {before}");
        let seen = caller.finished(slow).await;
        assert_eq!((seen.code(), seen.messages.len()), (Code::Ok, 100_000), "{dispatch:?}");
    }
}

/// Says when it is dropped.
struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A server whose calls hang, and what says that one was dropped.
async fn hanging(dispatch: Dispatch) -> (Server, mpsc::UnboundedReceiver<()>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut routes = routes(dispatch);
    let again = sender.clone();
    routes.unary(
        Method::unary("/t.T/Hang", codec::raw(), codec::raw()),
        move |_: Request<Bytes>| {
            let guard = Dropped(sender.clone());
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok(Response::new(Bytes::new()))
            }
        },
    );
    routes.bidirectional(
        Method::bidirectional("/t.T/HangStream", codec::raw(), codec::raw()),
        move |mut request: Request<Streaming<Bytes>>| {
            let guard = Dropped(again.clone());
            async move {
                while request.message_mut().message().await?.is_some() {}
                std::future::pending::<()>().await;
                drop(guard);
                let stream: ResponseStream<Bytes> = Box::pin(Items(std::iter::empty()));
                Ok(Response::new(stream))
            }
        },
    );
    routes.dispatch("Hang", dispatch).dispatch("HangStream", dispatch);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    (server, receiver)
}

async fn dropped(receiver: &mut mpsc::UnboundedReceiver<()>) {
    tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("it is dropped");
}

#[tokio::test]
async fn a_cancelled_call_drops_its_handler() {
    for dispatch in KINDS {
        let (server, mut receiver) = hanging(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let call = caller.begin("/t.T/Hang", "");
        // Replies come in order of the events: when this one is there, that one has started.
        caller.unary("/t.T/Echo", "").await;
        caller.cancel(call);
        caller.write().await;
        dropped(&mut receiver).await;

        let call = caller.start("/t.T/HangStream", Cardinality::Bidirectional, &none());
        caller.unary("/t.T/Echo", "").await;
        caller.cancel(call);
        caller.write().await;
        dropped(&mut receiver).await;
        assert_eq!(caller.unary("/t.T/Echo", "still here").await.messages, ["still here"]);
    }
}

#[tokio::test]
async fn a_deadline_drops_the_handler_and_ends_the_call() {
    for dispatch in KINDS {
        let (server, mut receiver) = hanging(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        let timeout = Some(Duration::from_millis(30));
        let call = caller.start_with(
            "/t.T/Hang",
            Cardinality::Unary,
            &none(),
            timeout,
            Encoding::Identity,
        );
        caller.send(call, "");
        caller.half_close(call);
        assert_eq!(caller.finished(call).await.code(), Code::DeadlineExceeded);
        dropped(&mut receiver).await;
    }
}

#[tokio::test]
async fn a_lost_connection_drops_its_handlers() {
    for dispatch in KINDS {
        let (server, mut receiver) = hanging(dispatch).await;
        let mut caller = Caller::tcp(&server).await;
        caller.begin("/t.T/Hang", "");
        caller.start("/t.T/HangStream", Cardinality::Bidirectional, &none());
        caller.unary("/t.T/Echo", "").await;
        drop(caller);
        dropped(&mut receiver).await;
        dropped(&mut receiver).await;
    }
}

#[tokio::test]
async fn a_panic_ends_its_call_and_nothing_else() {
    for dispatch in KINDS {
        let mut routes = routes(dispatch);
        routes.unary(
            Method::unary("/t.T/Panic", codec::raw(), codec::raw()),
            |request: Request<Bytes>| {
                assert!(request.message().is_empty(), "panics where it is called");
                async move {
                    tokio::task::yield_now().await;
                    if request.message().is_empty() {
                        panic!("panics where it is polled");
                    }
                    Ok(Response::new(Bytes::new()))
                }
            },
        );
        routes.dispatch("Panic", dispatch);
        let server =
            Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
        let mut caller = Caller::tcp(&server).await;
        for message in ["", "x"] {
            let seen = caller.unary("/t.T/Panic", message).await;
            assert_eq!((seen.code(), seen.text()), (Code::Internal, "the handler panicked"));
        }
        assert_eq!(caller.unary("/t.T/Echo", "on").await.messages, ["on"]);
    }
}

#[tokio::test]
async fn quick_methods_are_promoted_and_slow_ones_demoted() {
    let mut routes = Routes::new("t.T");
    routes.unary(ECHO, |request: Request<Bytes>| async move {
        if request.message() == "slow" {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Response::new(request.into_inner()))
    });
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let counters = || server.dispatch_counters("/t.T/Echo").expect("known");
    let mut caller = Caller::tcp(&server).await;
    assert!(!counters().in_place);
    let mut calls = 0;
    while !counters().in_place {
        caller.unary("/t.T/Echo", "quick").await;
        calls += 1;
        assert!(calls < 100_000, "it is never promoted: {:?}", counters());
    }
    assert!(calls >= 64);
    assert_eq!(counters().calls_spawned, calls);
    caller.unary("/t.T/Echo", "quick").await;
    assert_eq!(counters().calls_spawned, calls);
    while counters().in_place {
        caller.unary("/t.T/Echo", "slow").await;
    }
    assert_eq!((counters().promotions, counters().demotions), (1, 1));
    assert_eq!(server.dispatch_counters("/t.T/Other"), None);
}

#[tokio::test]
async fn messages_are_compressed_both_ways() {
    for dispatch in KINDS {
        let server = Server::builder()
            .add_service(routes(dispatch))
            .compression(Encoding::Gzip)
            .bind("127.0.0.1:0")
            .await
            .expect("binds");
        let mut caller = Caller::tcp(&server).await;
        // Below and above the size that leaves the handler's thread.
        for size in [500, 500_000] {
            let call = caller.start_with(
                "/t.T/Echo",
                Cardinality::Unary,
                &none(),
                None,
                Encoding::Deflate,
            );
            let text = vec![b'a'; size];
            caller.send_compressed(call, Encoding::Deflate, &text);
            caller.half_close(call);
            let seen = caller.finished(call).await;
            assert_eq!((seen.code(), seen.encoding), (Code::Ok, Encoding::Gzip), "{seen:?}");
            assert!(seen.messages == [text]);

            let call = caller.start_with(
                "/t.T/Chat",
                Cardinality::Bidirectional,
                &none(),
                None,
                Encoding::Gzip,
            );
            let text = vec![b'b'; size];
            caller.send_compressed(call, Encoding::Gzip, &text);
            caller.send(call, "plain");
            caller.half_close(call);
            let seen = caller.finished(call).await;
            assert_eq!(seen.messages.len(), 2);
            assert!(seen.messages[0] == text);
        }
    }
}

#[tokio::test]
async fn messages_over_the_limits_are_refused() {
    let mut routes = routes(Dispatch::Auto);
    routes.max_receive_message("Echo", 1000).max_send_message("Collect", 1000);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let mut caller = Caller::tcp(&server).await;
    assert_eq!(caller.unary("/t.T/Echo", vec![0; 1000]).await.code(), Code::Ok);
    assert_eq!(caller.unary("/t.T/Echo", vec![0; 1001]).await.code(), Code::ResourceExhausted);
    let call = caller.start_with("/t.T/Echo", Cardinality::Unary, &none(), None, Encoding::Gzip);
    caller.send_compressed(call, Encoding::Gzip, &[0; 100_000]);
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.code(), Code::ResourceExhausted);
    let call = caller.start("/t.T/Collect", Cardinality::ClientStreaming, &none());
    caller.send(call, vec![0; 1001]);
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.code(), Code::ResourceExhausted);
}
