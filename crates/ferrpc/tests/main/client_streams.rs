//! Streams of small messages: they are gathered on their way, and nobody notices.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferrpc::client::Window;
use ferrpc::server::{Dispatch, ResponseStream, Routes, Server};
use ferrpc::transport::in_process;
use ferrpc::{Channel, Code, Encoding, Request, Response, Status, Streaming};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::support::{CHAT, COLLECT, STREAM, messages, until};

/// What comes through a channel, as a stream; counts how often it was asked for more.
struct Asked<T> {
    items: mpsc::UnboundedReceiver<T>,
    asked: Arc<AtomicUsize>,
}

impl<T> Stream for Asked<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let item = self.items.poll_recv(cx);
        if item.is_ready() {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        item
    }
}

fn numbers(count: u32) -> impl Iterator<Item = Bytes> {
    (0..count).map(|number| Bytes::copy_from_slice(&number.to_be_bytes()))
}

/// A channel to a server in this process whose handler of `method` runs as `dispatch` says.
async fn channel(mut routes: Routes, method: &str, dispatch: Dispatch, window: Window) -> Channel {
    routes.dispatch(method, dispatch);
    let server = Arc::new(Server::builder().add_service(routes).build());
    let builder = Channel::builder("inproc:test").window(window).connector(move |_: &_| {
        let (ours, theirs) = in_process();
        server.serve_io(theirs);
        std::future::ready(Ok(ours))
    });
    builder.connect().await.expect("the server runs")
}

const BOTH: [Dispatch; 2] = [Dispatch::Spawn, Dispatch::Inline];

#[tokio::test]
async fn messages_keep_their_order_whatever_the_window() {
    for dispatch in BOTH {
        for window in [Window::default(), Window::Fixed(2000)] {
            let mut routes = Routes::new("t");
            routes.server_streaming(STREAM.clone(), |_: Request<Bytes>| async {
                let list = numbers(20_000).map(Ok);
                Ok(Response::new(Box::pin(messages(list)) as ResponseStream<Bytes>))
            });
            routes.bidirectional(CHAT.clone(), |request: Request<Streaming<Bytes>>| async {
                Ok(Response::new(Box::pin(request.into_inner()) as ResponseStream<Bytes>))
            });
            routes.dispatch("Stream", dispatch);
            let channel = channel(routes, "Chat", dispatch, window).await;
            let response = channel.server_streaming(&STREAM, Request::new(Bytes::new())).await;
            let mut responses = response.expect("it begins").into_inner();
            for number in numbers(20_000) {
                assert_eq!(responses.message().await.expect("no error"), Some(number));
            }
            assert_eq!(responses.message().await.expect("no error"), None);
            for encoding in [Encoding::Identity, Encoding::Gzip] {
                let mut ask = Request::new(messages(numbers(5000)));
                ask.set_compression(encoding);
                let mut back = channel.bidirectional(&CHAT, ask).await.expect("it begins");
                for number in numbers(5000) {
                    assert_eq!(back.message().await.expect("no error"), Some(number));
                }
                assert_eq!(back.message().await.expect("no error"), None);
            }
        }
    }
}

#[tokio::test]
async fn a_message_does_not_wait_for_the_next() {
    for dispatch in BOTH {
        let (send, items) = mpsc::unbounded_channel();
        let (requests, asks) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let place = std::sync::Mutex::new(Some(Asked { items, asked: Arc::clone(&asked) }));
        let mut routes = Routes::new("t");
        routes.bidirectional(CHAT.clone(), move |request: Request<Streaming<Bytes>>| {
            let stream = place.lock().expect("not poisoned").take().expect("one call");
            async move {
                let mut requests = request.into_inner();
                tokio::spawn(async move { while let Ok(Some(_)) = requests.message().await {} });
                Ok(Response::new(Box::pin(stream) as ResponseStream<Bytes>))
            }
        });
        let channel = channel(routes, "Chat", dispatch, Window::default()).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let stream = Asked { items: asks, asked: Arc::clone(&sent) };
        let mut responses =
            channel.bidirectional(&CHAT, Request::new(stream)).await.expect("it begins");
        for number in numbers(3) {
            requests.send(Bytes::new()).expect("the call runs");
            send.send(Ok(number.clone())).expect("the call runs");
            assert_eq!(responses.message().await.expect("no error"), Some(number));
        }
        until("three requests were taken", || sent.load(Ordering::SeqCst) == 3).await;
        // An error comes behind what was sent before it.
        send.send(Ok(Bytes::from_static(b"last"))).expect("the call runs");
        send.send(Err(Status::new(Code::Aborted, "enough"))).expect("the call runs");
        assert_eq!(responses.message().await.expect("no error").expect("not yet"), "last");
        let status = responses.message().await.expect_err("it failed");
        assert_eq!((status.code(), status.message()), (Code::Aborted, "enough"));
    }
}

#[tokio::test]
async fn a_stream_is_not_asked_for_more_than_there_is_room_for() {
    for dispatch in BOTH {
        let (send, items) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let place = std::sync::Mutex::new(Some(Asked { items, asked: Arc::clone(&asked) }));
        let mut routes = Routes::new("t");
        routes.server_streaming(STREAM.clone(), move |_: Request<Bytes>| {
            let stream = place.lock().expect("not poisoned").take().expect("one call");
            async move { Ok(Response::new(Box::pin(stream) as ResponseStream<Bytes>)) }
        });
        const COUNT: usize = 30_000;
        for _ in 0..COUNT {
            send.send(Ok(Bytes::from_static(&[7; 95]))).expect("it is alive");
        }
        drop(send);
        let channel = channel(routes, "Stream", dispatch, Window::Fixed(65_535)).await;
        let response = channel.server_streaming(&STREAM, Request::new(Bytes::new())).await;
        let mut responses = response.expect("it begins").into_inner();
        assert_eq!(responses.message().await.expect("no error").map(|m| m.len()), Some(95));
        // Nobody reads: the window, and what the server's buffers hold.
        let mut before = usize::MAX;
        while before != asked.load(Ordering::SeqCst) {
            before = asked.load(Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert!((600..5000).contains(&before), "{before} of {COUNT}");
        let mut count = 1;
        while responses.message().await.expect("no error").is_some() {
            count += 1;
        }
        assert_eq!(count, COUNT);
    }
}

#[tokio::test]
async fn a_reader_that_leaves_holds_nobody_up() {
    let mut routes = Routes::new("t");
    routes.client_streaming(COLLECT.clone(), |request: Request<Streaming<Bytes>>| async {
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap_or_default();
        drop(requests);
        Ok(Response::new(first))
    });
    let channel = channel(routes, "Collect", Dispatch::Inline, Window::default()).await;
    for _ in 0..20 {
        let ask = Request::new(messages(numbers(20_000)));
        let response = channel.client_streaming(&COLLECT, ask).await.expect("it answers");
        assert_eq!(response.message(), &numbers(1).next().expect("one"));
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_ends_the_call() {
    let mut routes = Routes::new("t");
    routes.bidirectional(CHAT.clone(), |request: Request<Streaming<Bytes>>| async {
        Ok(Response::new(Box::pin(request.into_inner()) as ResponseStream<Bytes>))
    });
    let server = Arc::new(Server::builder().max_send_message(50).add_service(routes).build());
    let builder = Channel::builder("inproc:test").max_send_message(100).connector(move |_: &_| {
        let (ours, theirs) = in_process();
        server.serve_io(theirs);
        std::future::ready(Ok(ours))
    });
    let channel = builder.connect().await.expect("the server runs");
    for (size, said) in [(101, "a request message of 101 bytes"), (51, "the response has 51 bytes")]
    {
        let list = vec![Bytes::from_static(b"small"), Bytes::from(vec![0; size])];
        let mut responses =
            channel.bidirectional(&CHAT, Request::new(messages(list))).await.expect("it begins");
        let status = loop {
            match responses.message().await {
                Ok(Some(message)) => assert_eq!(message, "small"),
                Ok(None) => panic!("it ended well"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains(said), "{}", status.message());
    }
}
