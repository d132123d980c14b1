//! Floods against a server as users have it: with its defaults, over TCP. Each ends its own
//! connection with the name of the limit, and is seen by an observer; the calls of another
//! connection notice nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::Channel;
use ferrpc::server::{Counters, Observer, Routes, Server};
use ferrpc::transport::ConnectionInfo;
use ferrpc::{Method, Request, Response, codec};
use ferrpc_testing::wire::{self, flag, kind};

static ECHO: Method<Bytes, Bytes> = Method::unary("/t.T/Echo", codec::raw(), codec::raw());

/// Nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(60);

const CALM: u32 = 11;
const PROTOCOL_ERROR: u32 = 1;

/// Passes on what was counted on connections that are over.
struct Seen(mpsc::Sender<(String, Counters)>);

impl Observer for Seen {
    fn connection_counted(&self, connection: &ConnectionInfo, counters: &Counters) {
        let _ = self.0.send((connection.peer.to_string(), *counters));
    }
}

/// What is sent behind the preface, and what comes of it.
struct Attack {
    flood: Vec<u8>,
    code: u32,
    debug: &'static str,
    counted: fn(&Counters) -> u64,
    at_least: u64,
}

fn opened(stream: u32) -> Vec<u8> {
    let mut fields = wire::REQUEST.to_vec();
    fields
        .iter_mut()
        .filter(|(name, _)| *name == ":path")
        .for_each(|(_, path)| *path = ECHO.path());
    wire::headers(stream, false, &fields)
}

/// Many streams, each begun as `one` has it.
fn streams(count: u32, one: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| one(2 * n + 1)).collect()
}

fn attacks() -> Vec<Attack> {
    let idle = |frame: Vec<u8>| Attack {
        flood: frame.repeat(30_000),
        code: CALM,
        debug: "too_many_idle_frames",
        counted: |counters| counters.http2.idle_frames,
        at_least: 1001,
    };
    let rest = wire::frame(kind::CONTINUATION, 0, 1, &[0; 10]);
    vec![
        idle(wire::frame(kind::PRIORITY, 0, 1, &[0; 5])),
        idle(wire::frame(0x77, 0, 0, b"what?")),
        Attack {
            flood: [opened(1), wire::data(1, false, b"").repeat(1000)].concat(),
            debug: "too_many_empty_frames",
            at_least: 101,
            ..idle(vec![])
        },
        Attack {
            flood: [opened(1), wire::data(1, false, b"\0").repeat(60_000)].concat(),
            debug: "too_many_small_frames",
            counted: |counters| counters.http2.small_frames,
            at_least: 10_001,
            ..idle(vec![])
        },
        Attack {
            flood: [opened(1), wire::window_update(1, 1).repeat(60_000)].concat(),
            debug: "too_many_window_updates",
            counted: |counters| counters.http2.window_updates,
            at_least: 10_001,
            ..idle(vec![])
        },
        Attack {
            flood: wire::settings(&[]).repeat(10_000),
            debug: "too_many_settings",
            counted: |counters| counters.http2.settings_received,
            at_least: 101,
            ..idle(vec![])
        },
        Attack {
            flood: wire::ping([7; 8]).repeat(100),
            debug: "too_many_pings",
            counted: |counters| counters.http2.ping_strikes,
            at_least: 3,
            ..idle(vec![])
        },
        // Rapid reset (CVE-2023-44487).
        Attack {
            flood: streams(100_000, |id| [opened(id), wire::reset(id, 8)].concat()),
            debug: "too_many_resets",
            counted: |counters| counters.http2.early_resets,
            at_least: 10_001,
            ..idle(vec![])
        },
        // The peer makes us reset (CVE-2025-8671).
        Attack {
            flood: streams(5000, |id| [opened(id), wire::window_update(id, 0)].concat()),
            debug: "too_many_stream_errors",
            counted: |counters| counters.http2.induced_resets,
            at_least: 101,
            ..idle(vec![])
        },
        Attack {
            flood: [wire::frame(kind::SETTINGS, flag::ACK, 0, &[]), streams(10_000, opened)]
                .concat(),
            debug: "too_many_refused_streams",
            counted: |counters| counters.http2.refused_streams,
            at_least: 1000,
            ..idle(vec![])
        },
        // An endless header block (CVE-2024-27316).
        Attack {
            flood: [wire::frame(kind::HEADERS, 0, 1, &[0; 10]), rest.repeat(1000)].concat(),
            debug: "too_many_continuations",
            counted: |_| 0,
            at_least: 0,
            ..idle(vec![])
        },
        Attack {
            flood: wire::frame(kind::PING, 0, 1, &[0; 8]),
            code: PROTOCOL_ERROR,
            debug: "",
            counted: |_| 0,
            at_least: 0,
        },
    ]
}

/// Sends a flood to its end, or until the server hangs up; the address it came from, and the
/// server's last words.
fn send(address: SocketAddr, flood: &[u8]) -> (String, Option<(u32, String)>) {
    let mut socket = TcpStream::connect(address).expect("it listens");
    let from = socket.local_addr().expect("connected").to_string();
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut reader = socket.try_clone().expect("a socket");
    // Who does not read is not read from.
    let answers = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => bytes,
        }
    });
    let sent = socket.write_all(&wire::client_hello()).and_then(|()| socket.write_all(flood));
    drop(sent);
    let bytes = answers.join().expect("it hangs up");
    (from, wire::last_go_away(&wire::parse(&bytes)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_their_own_connections_and_nothing_else() {
    let (seen, counted) = mpsc::channel();
    let mut routes = Routes::new("t.T");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        Ok(Response::new(request.into_inner()))
    });
    let server = Server::builder().add_service(routes).observer(Arc::new(Seen(seen)));
    let server = server.bind("127.0.0.1:0").await.expect("a free port");
    let address = server.local_addr().expect("bound");

    let attackers = std::thread::spawn(move || {
        for Attack { flood, code, debug, counted: count, at_least } in attacks() {
            let (from, said) = send(address, &flood);
            let (said, text) = said.unwrap_or_else(|| panic!("{debug}: no GOAWAY"));
            assert!(said == code && text.contains(debug), "{debug}: {said} {text}");
            let counters = loop {
                let (peer, counters) = counted.recv_timeout(PATIENCE).expect("it is counted");
                if peer.contains(&from) {
                    break counters;
                }
            };
            let count = count(&counters);
            // The flood goes far beyond: whatever was read after the end was not counted.
            assert!((at_least..at_least + 10_000).contains(&count), "{debug}: {count}");
        }
    });

    let stop = Arc::new(AtomicBool::new(false));
    let honest = tokio::spawn({
        let stop = Arc::clone(&stop);
        let channel = Channel::builder(format!("http://{address}"));
        let channel = channel.connect_lazy().expect("a target");
        async move {
            let mut calls = 0;
            while calls < 100 || !stop.load(Ordering::Relaxed) {
                let answer = channel.unary(&ECHO, Request::new(Bytes::from_static(b"hello"))).await;
                assert_eq!(answer.expect("it is answered").into_inner(), "hello");
                calls += 1;
            }
        }
    });
    let attacked = tokio::task::spawn_blocking(|| attackers.join()).await.expect("it is a thread");
    stop.store(true, Ordering::Relaxed);
    honest.await.expect("all calls were answered");
    attacked.expect("all floods ended as they should");
    server.shutdown(None).await;
}
