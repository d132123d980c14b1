//! A caller for the server's tests: the engine's own client end, driven by hand over any byte
//! stream, so that a test decides what it sends and when it reads.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::{Cardinality, Encoding, Metadata, Status};
use ferrpc_core::http2::{self, CloseCause, Transmit};
use ferrpc_core::transport::{CallId, CallLimits, Config, Event, Message, SendState, StartCall};
use ferrpc_core::{Time, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Caller {
    stream: Box<dyn Stream>,
    transport: Transport,
    origin: Instant,
    pub(crate) calls: HashMap<CallId, Seen>,
    pub(crate) draining: bool,
    pub(crate) closed: Option<CloseCause>,
}

/// What was seen of a call.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) metadata: Option<Metadata>,
    pub(crate) encoding: Encoding,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) status: Option<Status>,
}

/// Nothing here takes long; a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Caller {
    pub(crate) async fn tcp(server: &ferrpc::server::Server) -> Self {
        let address = server.local_addr().expect("bound");
        Self::new(TcpStream::connect(address).await.expect("connects"))
    }

    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self::with(stream, Config::default())
    }

    /// One that gives no credit: what it is sent waits at the server.
    pub(crate) async fn without_credit(server: &ferrpc::server::Server) -> Self {
        let address = server.local_addr().expect("bound");
        let stream = TcpStream::connect(address).await.expect("connects");
        let http2 = http2::Config { window: http2::Window::Fixed(0), ..Default::default() };
        Self::with(stream, Config { http2, ..Config::default() })
    }

    fn with(stream: impl Stream + 'static, config: Config) -> Self {
        Self {
            stream: Box::new(stream),
            transport: Transport::client(config, Time::ZERO),
            origin: Instant::now(),
            calls: HashMap::new(),
            draining: false,
            closed: None,
        }
    }

    /// Over one end of [`in_process`](ferrpc::transport::in_process).
    pub(crate) fn over(io: Box<dyn ferrpc::transport::Io>) -> Self {
        Self::new(End(io))
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_nanos(self.origin.elapsed().as_nanos() as u64)
    }

    /// Starts a call, half-closed if there is just one message.
    pub(crate) fn start(
        &mut self,
        path: &str,
        cardinality: Cardinality,
        metadata: &Metadata,
    ) -> CallId {
        self.start_with(path, cardinality, metadata, None, Encoding::Identity)
    }

    pub(crate) fn start_with(
        &mut self,
        path: &str,
        cardinality: Cardinality,
        metadata: &Metadata,
        timeout: Option<Duration>,
        encoding: Encoding,
    ) -> CallId {
        let now = self.now();
        let start = StartCall {
            path,
            authority: "test.local",
            scheme: "http",
            user_agent: "caller",
            metadata,
            deadline: timeout.map(|timeout| now + timeout),
            encoding,
            cardinality,
            response_optional: false,
            limits: CallLimits::default(),
            previous_attempts: 0,
        };
        let call = self.transport.start_call(now, &start).expect("a stream is free");
        self.calls.insert(call, Seen::default());
        call
    }

    pub(crate) fn send(&mut self, call: CallId, message: impl Into<Bytes>) -> SendState {
        self.transport.send_message(self.now(), call, Message::plain(message))
    }

    pub(crate) fn send_compressed(&mut self, call: CallId, encoding: Encoding, message: &[u8]) {
        let message = Message { payload: encoding.compress(message), compressed: true };
        self.transport.send_message(self.now(), call, message);
    }

    pub(crate) fn half_close(&mut self, call: CallId) {
        self.transport.half_close(self.now(), call);
    }

    pub(crate) fn cancel(&mut self, call: CallId) {
        self.transport.cancel(self.now(), call);
    }

    /// Starts a unary call without waiting for anything.
    pub(crate) fn begin(&mut self, path: &str, message: impl Into<Bytes>) -> CallId {
        let call = self.start(path, Cardinality::Unary, &Metadata::new());
        self.send(call, message);
        self.half_close(call);
        call
    }

    /// A whole unary call.
    pub(crate) async fn unary(&mut self, path: &str, message: impl Into<Bytes>) -> Seen {
        let call = self.begin(path, message);
        self.finished(call).await
    }

    /// Waits for the end of a call.
    pub(crate) async fn finished(&mut self, call: CallId) -> Seen {
        self.until(|caller| caller.calls[&call].status.is_some()).await;
        self.calls.remove(&call).expect("it is there")
    }

    /// Reads and writes until `done`.
    pub(crate) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let work = async {
            loop {
                self.write().await;
                self.events();
                if done(self) {
                    return;
                }
                assert!(self.closed.is_none(), "the connection ended: {:?}", self.closed);
                self.read().await;
            }
        };
        tokio::time::timeout(PATIENCE, work).await.expect("it happens");
    }

    /// Waits until the server ends the connection.
    pub(crate) async fn until_closed(&mut self) {
        self.until(|caller| caller.closed.is_some()).await;
        self.write().await;
    }

    /// Writes what there is.
    pub(crate) async fn write(&mut self) {
        let mut transmit = Transmit::new();
        while self.transport.poll_transmit(self.now(), &mut transmit, 1 << 20) {
            let bytes = transmit.take();
            if self.stream.write_all(&bytes).await.is_err() {
                self.transport.handle_close(self.now());
            }
        }
    }

    async fn read(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        let wait = self.transport.poll_timeout().map_or(PATIENCE, |at| at.since(self.now()));
        let Ok(read) = tokio::time::timeout(wait, self.stream.read(&mut buffer)).await else {
            self.transport.handle_timeout(self.now());
            return;
        };
        match read {
            Ok(count @ 1..) => {
                let mut bytes = &buffer[..count];
                while !bytes.is_empty() && self.transport.close_cause().is_none() {
                    let taken = self.transport.handle_bytes(self.now(), bytes);
                    bytes = &bytes[taken..];
                    self.events();
                }
            }
            _ => self.transport.handle_close(self.now()),
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                Event::Headers { call, metadata, encoding } => {
                    let seen = self.calls.get_mut(&call).expect("known");
                    seen.metadata = Some(metadata);
                    seen.encoding = encoding;
                }
                Event::Message { call, message } => {
                    let size = message.payload.len();
                    let seen = self.calls.get_mut(&call).expect("known");
                    let payload = if message.compressed {
                        seen.encoding.decompress(&message.payload, 1 << 24).expect("sound")
                    } else {
                        message.payload
                    };
                    seen.messages.push(payload);
                    self.transport.release(self.now(), call, 1, size);
                }
                Event::Finished { call, status, .. } => {
                    self.calls.get_mut(&call).expect("known").status = Some(status);
                }
                Event::Draining => self.draining = true,
                Event::Closed { cause } => self.closed = Some(cause),
                _ => {}
            }
        }
    }
}

impl Seen {
    pub(crate) fn code(&self) -> ferrpc::Code {
        self.status.as_ref().expect("it has ended").code()
    }

    pub(crate) fn text(&self) -> &str {
        self.status.as_ref().expect("it has ended").message()
    }

    pub(crate) fn trailing(&self) -> &Metadata {
        self.status.as_ref().expect("it has ended").metadata()
    }
}

/// An [`Io`](ferrpc::transport::Io) as tokio's traits have it.
struct End(Box<dyn ferrpc::transport::Io>);

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
