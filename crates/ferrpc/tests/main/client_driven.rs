//! The blocking channel in the hands of an event loop: adopted, pumped, polled, given back.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::ChannelBuilder;
use ferrpc::{Cardinality, Code, Status};
use ferrpc_blocking::{Channel, Driven, Pumped, PushError, RawCall, RawMethod, RawOptions, Waited};

use crate::support::*;

/// Tells a loop who was woken.
struct Bell {
    sender: mpsc::Sender<Event>,
    event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Connection,
    Call,
    Ended,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // The loop may be over.
        let _ = self.sender.send(self.event);
    }
}

/// A loop that asks the socket again and again rather than wait for it.
struct Loop {
    runtime: tokio::runtime::Runtime,
    server: Option<TestServer>,
    channel: Channel,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    driven: Vec<Driven>,
}

impl Loop {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = runtime.block_on(TestServer::start_with(config()));
        let channel = Channel::new(Channel::builder(server.target())).expect("a target");
        let (sender, events) = mpsc::channel();
        let this =
            Self { runtime, server: Some(server), channel, events, sender, driven: Vec::new() };
        this.channel.drive(this.waker(Event::Connection));
        this
    }

    fn waker(&self, event: Event) -> Waker {
        Waker::from(Arc::new(Bell { sender: self.sender.clone(), event }))
    }

    fn call(&self, path: &str, cardinality: Cardinality, message: Option<&'static str>) -> RawCall {
        let options = RawOptions { message: message.map(Bytes::from), ..RawOptions::default() };
        let method = RawMethod::new(path, cardinality);
        let call = self.channel.start_raw(&method, options).expect("a call begins");
        let waker = self.waker(Event::Ended);
        call.on_end(move || waker.wake());
        call
    }

    /// Pumps until an event, or what `look` finds.
    fn until<R>(&mut self, mut look: impl FnMut() -> Option<R>) -> R {
        loop {
            if let Some(found) = look() {
                return found;
            }
            if let Ok(Event::Connection) = self.events.try_recv() {
                self.driven.extend(std::iter::from_fn(|| self.channel.adopt()));
            }
            self.driven.retain(|driven| !driven.pump(true, true).over);
            std::thread::yield_now();
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        self.server = None;
    }
}

#[test]
fn a_unary_call_is_pumped() {
    let mut turns = Loop::start();
    for _ in 0..3 {
        let call = turns.call(ECHO.path(), Cardinality::Unary, Some("hello"));
        let waker = turns.waker(Event::Call);
        let unary = turns.until(|| call.poll_unary(&waker));
        assert_eq!(unary.outcome.status().code(), Code::Ok);
        assert_eq!(unary.message.as_deref(), Some(&b"hello"[..]));
    }
    assert_eq!(turns.driven.len(), 1);
    turns.driven[0].socket().expect("another descriptor");
}

#[test]
fn many_calls_leave_with_one_pump() {
    let mut turns = Loop::start();
    let calls: Vec<_> =
        (0..50).map(|_| turns.call(ECHO.path(), Cardinality::Unary, Some("x"))).collect();
    let waker = turns.waker(Event::Call);
    for call in calls {
        let unary = turns.until(|| call.poll_unary(&waker));
        assert_eq!(unary.message.as_deref(), Some(&b"x"[..]));
    }
}

#[test]
fn a_stream_each_way() {
    let mut turns = Loop::start();
    let call = turns.call(CHAT.path(), Cardinality::Bidirectional, None);
    let waker = turns.waker(Event::Call);
    for text in ["one", "two"] {
        let mut unsent = Some(Bytes::from(text));
        let mut again = None;
        turns.until(|| {
            let result = match (unsent.take(), again.take()) {
                (Some(message), _) => call.poll_push(message, &waker),
                (None, Some(message)) => call.poll_push_again(message, &waker),
                (None, None) => unreachable!("until it is sent"),
            };
            match result {
                Ok(()) => Some(()),
                Err(PushError::Late(message)) => {
                    again = Some(message);
                    None
                }
                Err(PushError::Over(outcome)) => panic!("{:?}", outcome.status()),
            }
        });
        let answer = turns.until(|| match call.poll_message(&waker) {
            Waited::Ready(message) => Some(message),
            Waited::Over(outcome) => panic!("{:?}", outcome.status()),
            Waited::Late => None,
        });
        assert_eq!(answer, text);
    }
    call.half_close();
    let code = turns.until(|| match call.poll_message(&waker) {
        Waited::Over(outcome) => Some(outcome.status().code()),
        _ => None,
    });
    assert_eq!(code, Code::Ok);
}

#[test]
fn cancelling_tells_and_the_connection_goes_on() {
    let mut turns = Loop::start();
    let call = turns.call(HANG.path(), Cardinality::Unary, Some("x"));
    let waker = turns.waker(Event::Call);
    turns.until(|| match call.poll_started(&waker) {
        Waited::Ready(()) => Some(()),
        _ => None,
    });
    assert!(call.poll_unary(&waker).is_none());
    assert!(call.cancel(Status::new(Code::Cancelled, "enough")));
    let unary = turns.until(|| call.poll_unary(&waker));
    assert_eq!(unary.outcome.status().code(), Code::Cancelled);
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("y"));
    assert!(turns.until(|| call.poll_unary(&waker)).message.is_some());
}

#[test]
fn a_thread_takes_over_where_the_loop_lets_go() {
    let mut turns = Loop::start();
    let waker = turns.waker(Event::Call);
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("x"));
    turns.until(|| call.poll_unary(&waker));
    turns.channel.stop_driving();
    turns.driven.clear();
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("y"));
    // Nobody pumps: the hook is told of the end all the same.
    while turns.events.recv().expect("the loop has a sender") != Event::Ended {}
    while call.poll_unary(&waker).is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn another_thread_rings_for_the_loop() {
    let mut turns = Loop::start();
    let waker = turns.waker(Event::Call);
    // Behind the first call the connection is adopted.
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("x"));
    turns.until(|| call.poll_unary(&waker));
    let call = turns.call(HANG.path(), Cardinality::Unary, Some("x"));
    for connection in &turns.driven {
        connection.pump(true, true);
    }
    while turns.events.try_recv().is_ok() {}
    std::thread::spawn(move || drop(call)).join().expect("it only drops a call");
    assert!(turns.events.iter().any(|event| event == Event::Connection));
}

#[test]
fn a_thread_that_takes_over_hears_of_every_call() {
    let mut turns = Loop::start();
    let waker = turns.waker(Event::Call);
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("x"));
    turns.until(|| call.poll_unary(&waker));
    let hanging = turns.call(HANG.path(), Cardinality::Unary, Some("x"));
    turns.driven[0].pump(true, true);
    // The loop is told, and lets go of the connection before it looks.
    thread::spawn(move || drop(hanging)).join().expect("it only drops a call");
    turns.channel.stop_driving();
    turns.driven.clear();
    while turns.events.try_recv().is_ok() {}
    for _ in 0..20 {
        let call = turns.call(ECHO.path(), Cardinality::Unary, Some("y"));
        let event = turns.events.recv_timeout(LONG);
        assert_eq!(event, Ok(Event::Ended), "nobody sent it");
        assert!(call.poll_unary(&waker).is_some_and(|unary| unary.message.is_some()));
    }
}

#[test]
fn what_the_socket_does_not_take_follows_when_it_does() {
    const SIZE: usize = 24 << 20;
    let (go, wait) = mpsc::channel();
    let mut peer = Peer::start(move |mut stream| {
        // All credit there is, so that none has to be given later.
        stream.write_all(&frame(SETTINGS, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]))?;
        stream.write_all(&frame(WINDOW_UPDATE, 0, &0x4000_0000_u32.to_be_bytes()))?;
        wait.recv().expect("the test goes on");
        let (mut buffer, mut received) = (vec![0; 1 << 20], 0);
        while received < SIZE {
            received += stream.read(&mut buffer)?;
        }
        Ok(())
    });
    let options = RawOptions { message: Some(vec![7; SIZE].into()), ..RawOptions::default() };
    let method = RawMethod::new(ECHO.path(), Cardinality::Unary);
    let call = peer.channel.start_raw(&method, options).expect("a call begins");
    while !peer.turn().is_some_and(|pumped| pumped.write) {}
    go.send(()).expect("the peer waits");
    peer.finish();
    drop(call);
}

#[test]
fn a_call_that_begins_anew_in_a_pump_is_sent() {
    let mut peer = Peer::start(|mut stream| {
        stream.write_all(&frame(SETTINGS, 0, &[]))?;
        let mut received = Vec::new();
        read_until(&mut stream, &mut received, 1)?;
        let refused = 7_u32;
        stream.write_all(&frame(RST_STREAM, 1, &refused.to_be_bytes()))?;
        read_until(&mut stream, &mut received, 3)
    });
    let call = peer.call();
    peer.finish();
    drop(call);
}

#[test]
fn a_call_that_is_alone_is_sent_without_a_pump() {
    let mut peer = Peer::start(|mut stream| {
        stream.write_all(&frame(SETTINGS, 0, &[]))?;
        let mut received = Vec::new();
        read_until(&mut stream, &mut received, 1)?;
        stream.write_all(&frame(RST_STREAM, 1, &CANCEL.to_be_bytes()))?;
        read_until(&mut stream, &mut received, 3)
    });
    let first = peer.call();
    while first.poll_unary(Waker::noop()).is_none() {
        peer.turn();
    }
    let _second = peer.call();
    peer.join();
}

#[test]
fn many_calls_do_not_all_wait_for_a_pump() {
    let mut peer = Peer::start(|mut stream| {
        stream.write_all(&frame(SETTINGS, 0, &[]))?;
        let mut received = Vec::new();
        read_until(&mut stream, &mut received, 1)?;
        stream.write_all(&frame(RST_STREAM, 1, &CANCEL.to_be_bytes()))?;
        // The one that was alone, and 32 others.
        read_until(&mut stream, &mut received, 3 + 2 * 32)
    });
    let first = peer.call();
    while first.poll_unary(Waker::noop()).is_none() {
        peer.turn();
    }
    let _calls: Vec<_> = (0..1 + 32).map(|_| peer.call()).collect();
    peer.join();
}

#[test]
fn a_loop_looks_for_the_answer_to_a_call_that_is_alone() {
    let (go, wait) = mpsc::channel();
    let serve = move |mut stream: TcpStream| {
        stream.write_all(&frame(SETTINGS, 0, &[]))?;
        let mut received = Vec::new();
        for stream_id in [1, 3, 5] {
            read_until(&mut stream, &mut received, stream_id)?;
            wait.recv().expect("the test goes on");
            stream.write_all(&frame(RST_STREAM, stream_id.into(), &CANCEL.to_be_bytes()))?;
        }
        read_until(&mut stream, &mut received, 7)
    };
    let mut peer = Peer::start_with(serve, |builder| builder.spin(LONG * 60));
    // With the first one the connection is made; what comes of its settings ends the look.
    let answered = |peer: &mut Peer, call: RawCall| {
        go.send(()).expect("the peer waits");
        while call.poll_unary(Waker::noop()).is_none() {
            peer.turn();
        }
    };
    let call = peer.call();
    answered(&mut peer, call);

    let call = peer.call();
    for _ in 0..3 {
        assert!(peer.pump().look);
    }
    answered(&mut peer, call);
    assert!(!peer.pump().look);

    let (call, other) = (peer.call(), peer.call());
    assert!(!peer.pump().look, "one of two calls");
    assert!(!peer.pump().look, "one of two calls");
    answered(&mut peer, call);
    peer.finish();
    drop(other);
}

#[test]
fn a_loop_of_a_channel_that_does_not_spin_never_looks() {
    let mut turns = Loop::start();
    let waker = turns.waker(Event::Call);
    for _ in 0..3 {
        let call = turns.call(ECHO.path(), Cardinality::Unary, Some("x"));
        assert!(turns.driven.iter().all(|driven| !driven.pump(false, false).look));
        turns.until(|| call.poll_unary(&waker));
    }
}

#[test]
fn wakers_may_use_the_channel() {
    struct Adopts(Channel, mpsc::Sender<Option<Driven>>);
    impl Wake for Adopts {
        fn wake(self: Arc<Self>) {
            let _ = self.1.send(self.0.adopt());
        }
    }
    let mut turns = Loop::start();
    let (sender, adopted) = mpsc::channel();
    turns.channel.drive(Waker::from(Arc::new(Adopts(turns.channel.clone(), sender))));
    let call = turns.call(ECHO.path(), Cardinality::Unary, Some("x"));
    let driven = adopted.recv_timeout(LONG).expect("the channel is not locked");
    turns.driven.extend(driven);
    let waker = turns.waker(Event::Call);
    turns.until(|| call.poll_unary(&waker));
    turns.channel.stop_driving();
}

/// A server by hand, and a loop that does what it is told to do and nothing else.
struct Peer {
    channel: Channel,
    driven: Option<(Driven, TcpStream)>,
    bell: mpsc::Receiver<Event>,
    again: bool,
    writing: bool,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

impl Peer {
    fn start(serve: impl FnOnce(TcpStream) -> std::io::Result<()> + Send + 'static) -> Self {
        Self::start_with(serve, |builder| builder)
    }

    fn start_with(
        serve: impl FnOnce(TcpStream) -> std::io::Result<()> + Send + 'static,
        options: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let target = format!("http://{}", listener.local_addr().expect("bound"));
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(LONG))?;
            serve(stream)
        });
        let channel = Channel::new(options(Channel::builder(target))).expect("a target");
        let (sender, bell) = mpsc::channel();
        channel.drive(Waker::from(Arc::new(Bell { sender, event: Event::Connection })));
        Self { channel, driven: None, bell, again: false, writing: false, server: Some(server) }
    }

    fn call(&self) -> RawCall {
        let options = RawOptions { message: Some("x".into()), ..RawOptions::default() };
        let method = RawMethod::new(ECHO.path(), Cardinality::Unary);
        self.channel.start_raw(&method, options).expect("a call begins")
    }

    fn pump(&self) -> Pumped {
        self.driven.as_ref().expect("it is adopted").0.pump(false, false)
    }

    /// Pumps, if there is a reason to.
    fn turn(&mut self) -> Option<Pumped> {
        let rung = self.bell.try_recv().is_ok();
        if rung && let Some(driven) = self.channel.adopt() {
            let socket = driven.socket().expect("another descriptor");
            self.driven = Some((driven, socket.into()));
        }
        let (driven, socket) = self.driven.as_ref()?;
        let peeked = socket.peek(&mut [0]);
        let readable = !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        let writable = self.writing;
        if !(rung || readable || writable || self.again) {
            return None;
        }
        let pumped = driven.pump(readable, writable);
        (self.again, self.writing) = (pumped.again, pumped.write);
        Some(pumped)
    }

    /// Goes on until the server has had all that it waits for.
    fn finish(&mut self) {
        while !self.server.as_ref().is_some_and(JoinHandle::is_finished) {
            self.turn();
            thread::yield_now();
        }
        self.join();
    }

    /// The same, and does nothing for it.
    fn join(&mut self) {
        let server = self.server.take().expect("it is finished once");
        server.join().expect("no panic").expect("all that was to come came");
    }
}

/// Reads until the headers of a stream came.
fn read_until(stream: &mut TcpStream, received: &mut Vec<u8>, id: u8) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        // A frame of the kind HEADERS: length, kind, flags, and the stream.
        if received.windows(9).any(|head| head[3] == HEADERS && head[5..] == [0, 0, 0, id]) {
            return Ok(());
        }
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

const CANCEL: u32 = 8;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// What takes longer hangs.
const LONG: Duration = Duration::from_secs(10);
