//! A long stream of empty messages through the smallest window: the credit of each comes back,
//! also where many are read with one lock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::client::{Channel, Window};
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::{Cardinality, Code, Method, Request, Response, Status, codec};
use ferrpc_blocking::{RawMethod, RawOptions, Waited};
use futures_core::Stream;

static MANY: Method<Bytes, Bytes> =
    Method::server_streaming("/t.T/Many", codec::raw(), codec::raw());

/// With their prefixes, some windows full of them.
const COUNT: usize = 60_000;

/// Nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Empty(usize);

impl Stream for Empty {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 -= usize::from(self.0 > 0);
        Poll::Ready((self.0 > 0).then(|| Ok(Bytes::new())))
    }
}

async fn server() -> Server {
    let mut routes = Routes::new("t.T");
    routes.server_streaming(MANY.clone(), |_: Request<Bytes>| async {
        let stream: ResponseStream<Bytes> = Box::pin(Empty(COUNT + 1));
        Ok(Response::new(stream))
    });
    Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("a free port")
}

fn channel(server: &Server) -> ferrpc::client::ChannelBuilder {
    let target = format!("http://{}", server.local_addr().expect("bound"));
    Channel::builder(target).window(Window::Fixed(65_535))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking() {
    let server = server().await;
    let channel = ferrpc_blocking::Channel::new(channel(&server)).expect("a target");
    let reader = thread::spawn(move || {
        let method = RawMethod::new(MANY.path(), Cardinality::ServerStreaming);
        let options = RawOptions { message: Some(Bytes::new()), ..RawOptions::default() };
        let call = channel.start_raw(&method, options).expect("no interceptor");
        let mut count = 0;
        loop {
            match call.message(Some(Instant::now() + PATIENCE)) {
                Waited::Ready(_) => count += 1,
                Waited::Over(outcome) => break (count, outcome.status().code()),
                Waited::Late => panic!("nothing came behind {count} messages"),
            }
        }
    });
    let count = tokio::task::spawn_blocking(|| reader.join().expect("it does not panic")).await;
    assert_eq!(count.expect("it does not panic"), (COUNT, Code::Ok));
}

#[tokio::test]
async fn asynchronous() {
    let server = server().await;
    let channel = channel(&server).connect_lazy().expect("a target");
    let answer = channel.server_streaming(&MANY, Request::new(Bytes::new()));
    let mut messages = answer.await.expect("it begins").into_inner();
    let mut count = 0;
    while messages.message().await.expect("no error").is_some() {
        count += 1;
    }
    assert_eq!(count, COUNT);
}
