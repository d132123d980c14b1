//! Servers that say goodbye, or just go, behind each answer: a call that begins after that is not
//! written to the old connection, whatever its client was doing meanwhile.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::{Cardinality, Channel, Method, Request, Status, codec};
use ferrpc_blocking::{self as blocking, RawMethod, RawOptions};

static ECHO: Method<Bytes, Bytes> = Method::unary("/t/Echo", codec::raw(), codec::raw());

/// How a server parts from its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Close,
    /// GOAWAY; the connection stays open until the client closes it.
    Goaway,
}

struct Server {
    target: String,
    part: mpsc::Sender<()>,
    parted: mpsc::Receiver<()>,
}

impl Server {
    /// Answers one call on each connection.
    fn start(farewell: Farewell) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let target = format!("http://{}", listener.local_addr().expect("bound"));
        let ((part, told), (parting, parted)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream?;
                answer(&mut stream)?;
                // Not before the client has its answer, and so has looked for the last time.
                if told.recv().is_err() {
                    break;
                }
                part_from(&mut stream, farewell)?;
                let _ = parting.send(());
                // A call that comes now finds nobody; its connection goes at once.
                thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
            Ok::<(), std::io::Error>(())
        });
        Self { target, part, parted }
    }

    /// The server parts, and the client's side knows of it, if it looks.
    fn parts(&self) {
        self.part.send(()).expect("it serves");
        self.parted.recv_timeout(LONG).expect("it answered");
    }
}

fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = [0; 24];
    stream.read_exact(&mut head)?;
    stream.write_all(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat())?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload)?;
        if head[3] <= HEADERS && head[4] & END_STREAM != 0 {
            break;
        }
    }
    let trailers = [(":status", "200"), ("content-type", "application/grpc")];
    let answer = [
        frame(HEADERS, END_HEADERS, 1, &headers(&trailers)),
        frame(DATA, 0, 1, &[0; 5]),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(&[("grpc-status", "0")])),
    ];
    stream.write_all(&answer.concat())
}

fn part_from(stream: &mut TcpStream, farewell: Farewell) -> std::io::Result<()> {
    match farewell {
        Farewell::Close => stream.shutdown(std::net::Shutdown::Write),
        Farewell::Goaway => stream.write_all(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
    }
}

fn headers(list: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    list.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn request() -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(LONG);
    request
}

fn threads(farewell: Farewell, pause: Duration) {
    let server = Server::start(farewell);
    let builder = blocking::Channel::builder(server.target.clone());
    let channel = blocking::Channel::new(builder).expect("a target");
    for number in 0..CALLS {
        channel.unary(&ECHO, request()).unwrap_or_else(|status| panic!("{number}: {status}"));
        server.parts();
        thread::sleep(pause);
    }
}

#[test]
fn a_thread_sees_that_the_connection_was_closed() {
    threads(Farewell::Close, Duration::ZERO);
}

#[test]
fn a_thread_sees_that_the_connection_was_closed_while_the_guard_has_it() {
    threads(Farewell::Close, Duration::from_millis(12));
}

#[test]
fn a_thread_sees_a_goaway() {
    threads(Farewell::Goaway, Duration::ZERO);
}

/// Calls that nobody waits for at once, as futures are.
#[test]
fn calls_without_a_thread_see_it() {
    for farewell in [Farewell::Close, Farewell::Goaway] {
        let server = Server::start(farewell);
        let builder = blocking::Channel::builder(server.target.clone());
        let channel = blocking::Channel::new(builder).expect("a target");
        let method = RawMethod::new(ECHO.path(), Cardinality::Unary);
        for number in 0..CALLS {
            let message = Some(Bytes::new());
            let options = RawOptions { message, watched: true, ..RawOptions::default() };
            let call = channel.start_raw(&method, options).expect("no interceptor");
            let outcome = call.ended(None).expect("without a limit");
            assert!(outcome.status().is_ok(), "{number}: {:?}", outcome.status());
            server.parts();
        }
    }
}

/// The runtime's thread does not look at its sockets between two calls.
fn tasks(farewell: Farewell) {
    let server = Server::start(farewell);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let channel = Channel::builder(server.target.clone()).connect_lazy().expect("a target");
        for number in 0..CALLS {
            let answer: Result<_, Status> = channel.unary(&ECHO, request()).await;
            answer.unwrap_or_else(|status| panic!("{number}: {status}"));
            server.parts();
        }
    });
}

#[test]
fn a_task_sees_that_the_connection_was_closed() {
    tasks(Farewell::Close);
}

#[test]
fn a_task_sees_a_goaway() {
    tasks(Farewell::Goaway);
}

const CALLS: usize = 20;
const LONG: Duration = Duration::from_secs(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
