//! The spans of calls. Alone in its process: what `tracing` knows of its subscribers is global, and
//! other tests would get in the way.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Method, Request, Response, Status, codec};
use tracing::field::{Field, Visit};
use tracing::span;

const ECHO: Method<Bytes, Bytes> = Method::unary("/t/Echo", codec::raw(), codec::raw());

fn request(text: &'static str) -> Request<Bytes> {
    Request::new(Bytes::from_static(text.as_bytes()))
}

/// A subscriber that notes the spans of calls.
#[derive(Default)]
struct Spans {
    next: AtomicU64,
    log: Mutex<Vec<String>>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        if matches!(field.name(), "rpc.method" | "rpc.grpc.status_code") {
            write!(self.0, " {value:?}").expect("a string");
        }
    }
}

struct Subscriber(Arc<Spans>);

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        self.0.log.lock().expect("not poisoned").push(fields.0);
        span::Id::from_u64(self.0.next.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut fields = Fields("ended".to_owned());
        values.record(&mut fields);
        self.0.log.lock().expect("not poisoned").push(fields.0);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn calls_have_spans_on_both_sides() {
    let spans = Arc::new(Spans::default());
    let _here = tracing::subscriber::set_default(Subscriber(Arc::clone(&spans)));
    let mut routes = Routes::new("t");
    routes.unary(ECHO, |request: Request<Bytes>| async move {
        if request.message().is_empty() {
            return Err(Status::new(Code::NotFound, "nothing in it"));
        }
        Ok(Response::new(request.into_inner()))
    });
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let target = server.local_addr().expect("bound").to_string();
    let channel = Channel::builder(target).connect().await.expect("the server runs");
    channel.unary(&ECHO, request("something")).await.expect("it answers");
    channel.unary(&ECHO, request("")).await.expect_err("it fails");
    let mut lines = spans.log.lock().expect("not poisoned").clone();
    lines.retain(|line| line.starts_with("grpc.") || line.starts_with("ended"));
    assert_eq!(
        lines,
        [
            "grpc.client.call \"/t/Echo\"",
            "grpc.server.call \"/t/Echo\"",
            "ended 0",
            "ended 0",
            "grpc.client.call \"/t/Echo\"",
            "grpc.server.call \"/t/Echo\"",
            "ended 5",
            "ended 5",
        ]
    );
}
