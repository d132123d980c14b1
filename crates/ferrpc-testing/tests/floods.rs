//! Floods of the smallest messages, to readers that stand still: what they hold is about what was
//! sent. One test, since it looks at the memory of the process.

use std::future::pending;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::Channel;
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::{Method, Request, Response, Status, Streaming, codec};
use ferrpc_testing::wire;

const CHAT: Method<Bytes, Bytes> = Method::bidirectional("/t.T/Chat", codec::raw(), codec::raw());
static LISTEN: Method<Bytes, Bytes> =
    Method::server_streaming("/t.T/Chat", codec::raw(), codec::raw());

/// A stream's first window.
const WINDOW: usize = 256 << 10;
const STREAMS: u32 = 12;

/// Nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream is flooded with, up to its window: messages of so many bytes, so many a frame.
const SHAPES: [(usize, usize); 4] = [(0, 1), (1, 1), (1, 2), (0, 3000)];

fn flood(stream: u32, (size, together): (usize, usize)) -> Vec<u8> {
    let payload = wire::message(&vec![7; size]).repeat(together);
    wire::data(stream, false, &payload).repeat(WINDOW / payload.len())
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("as documented");
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

/// Memory goes up by four bytes for each byte of messages at most, with a little for the rest.
fn check(what: &str, shape: (usize, usize), work: impl FnOnce()) {
    let before = resident();
    work();
    let held = resident().saturating_sub(before);
    let sent = STREAMS as usize * WINDOW;
    assert!(held <= 4 * sent + (2 << 20), "{what}, {shape:?}: {held} bytes for {sent}");
}

/// Waits until all that was sent has been taken in.
fn until_answered(mut socket: &TcpStream) {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(&wire::ping(*b"all of i")).expect("it is open");
    let answer = wire::frame(wire::kind::PING, wire::flag::ACK, 0, b"all of i");
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.windows(answer.len()).any(|bytes| bytes == answer) {
        let count = socket.read(&mut buffer).expect("it answers");
        assert!(count > 0, "the connection was closed");
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// Handlers that hold their requests and do not read them.
async fn server() -> Server {
    let mut routes = Routes::new("t.T");
    routes.bidirectional(CHAT, |request: Request<Streaming<Bytes>>| async move {
        pending::<()>().await;
        drop(request);
        Err::<Response<ResponseStream<Bytes>>, _>(Status::aborted("never"))
    });
    Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("a free port")
}

fn flood_server(server: &Server, shape: (usize, usize)) -> TcpStream {
    let mut socket = TcpStream::connect(server.local_addr().expect("bound")).expect("connects");
    let fields: Vec<_> = wire::REQUEST
        .iter()
        .map(|(name, value)| (*name, if *name == ":path" { "/t.T/Chat" } else { *value }))
        .collect();
    socket.write_all(&wire::client_hello()).expect("it is open");
    for stream in (0..STREAMS).map(|n| 2 * n + 1) {
        socket.write_all(&wire::headers(stream, false, &fields)).expect("it is open");
        socket.write_all(&flood(stream, shape)).expect("it is open");
    }
    until_answered(&socket);
    socket
}

/// A server that floods each stream it is asked on, once all are there; it keeps its connection
/// for as long as it is told to.
fn flooding_server(shape: (usize, usize)) -> (String, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let ((done, flooded), (keep, leave)) = (mpsc::channel(), mpsc::channel::<()>());
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.write_all(&wire::settings(&[])).expect("it is open");
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        // A client's first bytes are whole frames, and each request has one HEADERS.
        let mut streams = Vec::new();
        while streams.len() < STREAMS as usize {
            let count = socket.read(&mut buffer).expect("it asks");
            assert!(count > 0, "the client has gone");
            seen.extend_from_slice(&buffer[..count]);
            let frames = wire::parse(&seen);
            let headers = frames.iter().filter(|frame| frame.kind == wire::kind::HEADERS);
            streams = headers.map(|frame| frame.stream).collect();
        }
        for stream in streams {
            let fields = [(":status", "200"), ("content-type", "application/grpc")];
            socket.write_all(&wire::headers(stream, false, &fields)).expect("it is open");
            socket.write_all(&flood(stream, shape)).expect("it is open");
        }
        until_answered(&socket);
        done.send(()).expect("somebody waits");
        let _ = leave.recv();
    });
    (format!("http://{address}"), flooded, keep)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_about_what_was_sent() {
    let server = server().await;
    let mut kept = Vec::new();
    // Code and buffers that the first connection of a process needs.
    drop(flood_server(&server, (0, 3000)));
    for shape in SHAPES {
        check("server", shape, || kept.push(flood_server(&server, shape)));
    }

    let mut clients = Vec::new();
    for shape in SHAPES {
        let (target, flooded, keep) = flooding_server(shape);
        let channel = Channel::builder(target).connect_lazy().expect("a target");
        let calls: Vec<_> = (0..STREAMS)
            .map(|_| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    let answer = channel.server_streaming(&LISTEN, Request::new(Bytes::new()));
                    let streaming = answer.await.expect("it begins").into_inner();
                    pending::<()>().await;
                    drop(streaming);
                })
            })
            .collect();
        check("client", shape, || flooded.recv_timeout(PATIENCE).expect("it happens"));
        clients.push((keep, channel, calls));
    }

    let mut callers = Vec::new();
    for shape in SHAPES {
        let (target, flooded, keep) = flooding_server(shape);
        let channel = ferrpc_blocking::Channel::new(Channel::builder(target)).expect("a target");
        // Each reads one message. One more has none to read: it waits, and so reads the socket.
        let calls: Vec<_> = (0..=STREAMS)
            .map(|_| {
                let channel = channel.clone();
                thread::spawn(move || {
                    let answer = channel.server_streaming(&LISTEN, Request::new(Bytes::new()));
                    let mut streaming = answer.expect("no interceptor");
                    let _ = streaming.message();
                    thread::park();
                    drop(streaming);
                })
            })
            .collect();
        check("blocking client", shape, || flooded.recv_timeout(PATIENCE).expect("it happens"));
        callers.push((keep, channel, calls));
    }
}
