//! A server for the client's tests: the engine's own server end, driven by a loop of its own, so
//! that a test decides what it does on the wire and when.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this")]

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::{Cardinality, Code, Encoding, EncodingSet, Metadata, Method, Request, Status, codec};
use ferrpc_core::transport::{CallId, CallLimits, Config, Event, Message, SendState};
use ferrpc_core::{Time, Transport, http2};
use futures_core::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// An empty request whose call does not wait for ever.
pub fn request() -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(20));
    request
}

/// What a test may tell the server, for all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// GOAWAY; calls that are open may finish.
    Drain,
    /// Close the sockets, whatever is under way.
    Cut,
    /// Answer the calls of /t/Hang.
    Release,
}

pub struct TestServer {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub calls: Arc<AtomicUsize>,
    pub cancelled: Arc<AtomicUsize>,
    pub closed: Arc<AtomicUsize>,
    orders: Arc<Mutex<Vec<mpsc::UnboundedSender<Order>>>>,
    accept: tokio::task::JoinHandle<()>,
}

pub fn config() -> Config {
    Config {
        http2: http2::Config::default(),
        accept: EncodingSet::ALL,
        max_age: None,
        max_age_grace: None,
        max_idle: None,
        max_held_messages: 1 << 20,
        message_runs: false,
        any_path: false,
        buffers: &ferrpc_core::transport::FreshBuffers,
        seed: 1,
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        Self::serve(listener, config)
    }

    pub fn serve(listener: TcpListener, config: Config) -> Self {
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let calls = Arc::new(AtomicUsize::new(0));
        let cancelled = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicUsize::new(0));
        let orders = Arc::new(Mutex::new(Vec::new()));
        let accept = {
            let (connections, calls, cancelled, closed, orders) = (
                connections.clone(),
                calls.clone(),
                cancelled.clone(),
                closed.clone(),
                Arc::clone(&orders),
            );
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.expect("accept");
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (sender, receiver) = mpsc::unbounded_channel();
                    orders.lock().expect("not poisoned").push(sender);
                    let connection = Connection {
                        transport: Transport::server(config.clone(), now()),
                        calls: HashMap::new(),
                        counters: [calls.clone(), cancelled.clone()],
                    };
                    let closed = Arc::clone(&closed);
                    tokio::spawn(async move {
                        connection.run(stream, receiver).await;
                        closed.fetch_add(1, Ordering::SeqCst);
                    });
                }
            })
        };
        Self { address, connections, calls, cancelled, closed, orders, accept }
    }

    pub fn target(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn order(&self, order: Order) {
        self.orders.lock().expect("not poisoned").retain(|sender| sender.send(order).is_ok());
    }

    /// No more connections, and none of those there are.
    pub fn stop(&self) {
        self.accept.abort();
        self.order(Order::Cut);
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Connections that are over.
    pub fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Connection {
    transport: Transport,
    calls: HashMap<CallId, Call>,
    counters: [Arc<AtomicUsize>; 2],
}

struct Call {
    method: &'static str,
    metadata: Metadata,
    encoding: Encoding,
    requests: Vec<Bytes>,
    output: VecDeque<Message>,
    /// Once `output` is empty.
    end: Option<Status>,
    full: bool,
}

impl Connection {
    async fn run(mut self, mut stream: TcpStream, mut orders: mpsc::UnboundedReceiver<Order>) {
        stream.set_nodelay(true).expect("a socket");
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mut transmit = http2::Transmit::new();
            while self.transport.poll_transmit(now(), &mut transmit, 1 << 20) {
                let bytes = transmit.take();
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                // What went out makes room for more.
                self.events();
            }
            if self.transport.is_finished() {
                // Closing with input unread would reset the connection, and with it destroy what
                // was written last.
                let _ = stream.shutdown().await;
                let rest =
                    async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
                return;
            }
            let wait = self
                .transport
                .poll_timeout()
                .map_or(Duration::from_secs(3600), |at| at.since(now()));
            let wait = tokio::time::sleep(wait);
            let mut wait = std::pin::pin!(wait);
            let (mut read, mut order, mut due) = (None, None, false);
            poll_fn(|cx: &mut Context<'_>| {
                if let Poll::Ready(got) = orders.poll_recv(cx) {
                    order = got;
                    if order.is_some() {
                        return Poll::Ready(());
                    }
                }
                let future = stream.read(&mut buffer);
                if let Poll::Ready(count) = std::pin::pin!(future).poll(cx) {
                    read = Some(count);
                    return Poll::Ready(());
                }
                due = wait.as_mut().poll(cx).is_ready();
                if due { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            match order {
                Some(Order::Drain) => self.transport.shutdown(now(), None),
                Some(Order::Cut) => return,
                Some(Order::Release) => {
                    let hanging = self.calls.iter().filter(|(_, call)| call.method == "Hang");
                    let hanging: Vec<_> = hanging.map(|(id, _)| *id).collect();
                    for id in hanging {
                        self.answer(id);
                    }
                }
                None => {}
            }
            if due {
                self.transport.handle_timeout(now());
            }
            match read {
                Some(Ok(0) | Err(_)) => self.transport.handle_close(now()),
                Some(Ok(count)) => {
                    let mut input = &buffer[..count];
                    while !input.is_empty() && self.transport.close_cause().is_none() {
                        let taken = self.transport.handle_bytes(now(), input);
                        input = &input[taken..];
                        self.events();
                    }
                }
                None => {}
            }
            self.events();
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                Event::Call { call, head } => {
                    self.counters[0].fetch_add(1, Ordering::SeqCst);
                    let method = METHODS.iter().find(|(path, _)| **path == *head.path);
                    let Some((path, cardinality)) = method else {
                        self.transport.reject(now(), call, &Status::new(Code::Unimplemented, "no"));
                        continue;
                    };
                    let limits = CallLimits { max_receive: 64 << 20, max_send: 64 << 20 };
                    self.transport.accept(call, *cardinality, limits);
                    let state = Call {
                        method: path.rsplit_once('/').expect("a path").1,
                        metadata: head.metadata,
                        encoding: head.encoding,
                        requests: Vec::new(),
                        output: VecDeque::new(),
                        end: None,
                        full: false,
                    };
                    self.calls.insert(call, state);
                    if path.ends_with("Deny") {
                        self.end(call, Status::new(Code::PermissionDenied, "not you"));
                    } else if path.ends_with("End") {
                        self.end(call, Status::ok());
                    }
                }
                Event::Message { call, message } => self.message(call, message),
                Event::RemoteDone { call } => self.remote_done(call),
                Event::Writable { call } => {
                    if let Some(state) = self.calls.get_mut(&call) {
                        state.full = false;
                    }
                    self.flush(call);
                }
                Event::Cancelled { call, .. } => {
                    self.calls.remove(&call);
                    self.counters[1].fetch_add(1, Ordering::SeqCst);
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, id: CallId, message: Message) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        self.transport.release(now(), id, 1, message.payload.len());
        if call.method == "Chat" {
            call.output.push_back(message);
            self.flush(id);
            return;
        }
        let payload = if message.compressed {
            call.encoding.decompress(&message.payload, 64 << 20).expect("honest")
        } else {
            message.payload
        };
        call.requests.push(payload);
    }

    fn remote_done(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.method {
            "Hang" => {}
            "Chat" => self.end(id, Status::ok()),
            _ => self.answer(id),
        }
    }

    fn answer(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let metadata = std::mem::take(&mut call.metadata);
        let requests = std::mem::take(&mut call.requests);
        let mut status = Status::ok();
        if let Some(text) = metadata.value("x-trailing") {
            status.metadata_mut().append("x-trailing", text).expect("received so");
        }
        match call.method {
            "Stream" => {
                let text = std::str::from_utf8(&requests[0]).expect("text");
                let (count, size) = text.split_once('x').expect("COUNTxSIZE");
                let (count, size) = (count.parse().expect("n"), size.parse().expect("n"));
                call.output = (0..count)
                    .map(|at: usize| Message {
                        payload: vec![at as u8; size].into(),
                        compressed: false,
                    })
                    .collect();
            }
            "Collect" => {
                let sum: usize = requests.iter().map(Bytes::len).sum();
                let text = format!("{} messages, {sum} bytes", requests.len());
                call.output.push_back(Message { payload: text.into(), compressed: false });
            }
            "Fail" => {
                let text = String::from_utf8_lossy(&requests[0]).into_owned();
                status = Status::new(Code::NotFound, text).with_metadata(status.metadata().clone());
            }
            _ => {
                let payload = requests.into_iter().next().unwrap_or_default();
                call.output.push_back(Message { payload, compressed: false });
            }
        }
        if let Some(text) = metadata.value("x-initial") {
            let mut initial = Metadata::new();
            initial.append("x-initial", text).expect("received so");
            self.transport.send_headers(now(), id, &initial, Encoding::Identity);
        }
        self.end(id, status);
    }

    fn end(&mut self, id: CallId, status: Status) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.end = Some(status);
            self.flush(id);
        }
    }

    fn flush(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        while !call.full {
            let Some(message) = call.output.pop_front() else { break };
            match self.transport.send_message(now(), id, message) {
                SendState::Ready => {}
                SendState::Full => call.full = true,
                SendState::Gone => return,
            }
        }
        if call.output.is_empty()
            && let Some(status) = call.end.take()
        {
            self.transport.finish(now(), id, &status);
            self.calls.remove(&id);
        }
    }
}

const METHODS: &[(&str, Cardinality)] = &[
    ("/t/Echo", Cardinality::Unary),
    ("/t/Fail", Cardinality::Unary),
    ("/t/Hang", Cardinality::Unary),
    ("/t/Deny", Cardinality::Unary),
    ("/t/Stream", Cardinality::ServerStreaming),
    ("/t/Collect", Cardinality::ClientStreaming),
    ("/t/Chat", Cardinality::Bidirectional),
    ("/t/End", Cardinality::Bidirectional),
];

type Raw = Method<Bytes, Bytes>;

pub static ECHO: Raw = Method::unary("/t/Echo", codec::raw(), codec::raw());
pub static FAIL: Raw = Method::unary("/t/Fail", codec::raw(), codec::raw());
pub static HANG: Raw = Method::unary("/t/Hang", codec::raw(), codec::raw());
pub static DENY: Raw = Method::unary("/t/Deny", codec::raw(), codec::raw());
pub static UNKNOWN: Raw = Method::unary("/t/Unknown", codec::raw(), codec::raw());
pub static STREAM: Raw = Method::server_streaming("/t/Stream", codec::raw(), codec::raw());
pub static COLLECT: Raw = Method::client_streaming("/t/Collect", codec::raw(), codec::raw());
pub static CHAT: Raw = Method::bidirectional("/t/Chat", codec::raw(), codec::raw());
/// It ends with OK at once.
pub static END: Raw = Method::bidirectional("/t/End", codec::raw(), codec::raw());

fn now() -> Time {
    use std::sync::OnceLock;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let since = ORIGIN.get_or_init(Instant::now).elapsed();
    Time::from_nanos(u64::try_from(since.as_nanos()).expect("tests are short"))
}

/// The messages of a list, at once.
pub struct Messages<T>(pub VecDeque<T>);

pub fn messages<T>(list: impl IntoIterator<Item = T>) -> Messages<T> {
    Messages(list.into_iter().collect())
}

impl<T: Unpin> Stream for Messages<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// The messages that a test sends when it likes.
pub struct Sent<T>(pub mpsc::Receiver<T>);

impl<T> Stream for Sent<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

/// Waits until something holds; a test that waits in vain is ended.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
}
