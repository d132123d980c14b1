//! Row 17 and the claim that nothing panics: random operations, random frames, random bytes.
//!
//! After each step every account is compared with what it is the sum of. The connection's credit
//! is right if what the peer may send, what is pending, and what is still to come of a frame add
//! up to the window.

use std::time::Duration;

use ferrpc_http2::{Config, Reason, Role, Window};
use ferrpc_testing::wire::{self, Seen, Subject, flag, frame, kind};
use proptest::prelude::*;

use super::config;

/// What happens next; `stream` picks one of few, so that things meet.
#[derive(Clone, Debug)]
enum Step {
    /// The peer opens a stream (or we do, if it is a client), or sends trailers on it.
    Headers {
        stream: u32,
        end: bool,
        good: bool,
    },
    /// The peer sends data, padded or not.
    Data {
        stream: u32,
        length: usize,
        padding: Option<u8>,
        end: bool,
    },
    PeerReset {
        stream: u32,
    },
    PeerUpdate {
        stream: u32,
        increment: u32,
    },
    PeerSettings {
        id: u16,
        value: u32,
    },
    GoAway {
        last: u32,
        code: u32,
    },
    Pong {
        kind: u8,
    },
    Raw {
        kind: u8,
        flags: u8,
        stream: u32,
        payload: Vec<u8>,
    },
    Send {
        stream: u32,
        length: usize,
        end: bool,
    },
    Trailers {
        stream: u32,
    },
    Reset {
        stream: u32,
    },
    Release {
        stream: u32,
        bytes: usize,
    },
    Writable {
        stream: u32,
    },
    Write {
        bytes: usize,
    },
    Wait {
        millis: u64,
    },
    Shutdown {
        grace: Option<u64>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || (0..6_u32).prop_map(|n| 2 * n + 1);
    let window = || prop_oneof![0..100_u32, Just(65_535), Just(0x7fff_ffff), any::<u32>()];
    prop_oneof![
        8 => (stream(), any::<bool>(), prop::bool::weighted(0.95))
            .prop_map(|(stream, end, good)| Step::Headers { stream, end, good }),
        12 => (stream(), 0..20_000_usize, prop::option::of(any::<u8>()), prop::bool::weighted(0.1))
            .prop_map(|(stream, length, padding, end)| Step::Data { stream, length, padding, end }),
        2 => stream().prop_map(|stream| Step::PeerReset { stream }),
        3 => (prop_oneof![Just(0), stream()], window())
            .prop_map(|(stream, increment)| Step::PeerUpdate { stream, increment }),
        2 => (0..8_u16, window()).prop_map(|(id, value)| Step::PeerSettings { id, value }),
        1 => (0..12_u32, 0..3_u32).prop_map(|(last, code)| Step::GoAway { last, code }),
        3 => (0..5_u8).prop_map(|kind| Step::Pong { kind }),
        1 => (0..12_u8, any::<u8>(), 0..12_u32, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, flags, stream, payload)| Step::Raw { kind, flags, stream, payload }),
        8 => (stream(), 0..100_000_usize, prop::bool::weighted(0.1))
            .prop_map(|(stream, length, end)| Step::Send { stream, length, end }),
        2 => stream().prop_map(|stream| Step::Trailers { stream }),
        3 => stream().prop_map(|stream| Step::Reset { stream }),
        6 => (stream(), 0..100_000_usize)
            .prop_map(|(stream, bytes)| Step::Release { stream, bytes }),
        2 => stream().prop_map(|stream| Step::Writable { stream }),
        6 => (0..100_000_usize).prop_map(|bytes| Step::Write { bytes }),
        2 => (0..90_000_u64).prop_map(|millis| Step::Wait { millis }),
        1 => prop::option::weighted(0.3, 0..10_u64).prop_map(|grace| Step::Shutdown { grace }),
    ]
}

/// A peer and a user who do these things, with ids that move on as streams are used up.
struct Run {
    subject: Subject,
    role: Role,
    /// Added to the streams of steps, so that new ones can be opened.
    base: u32,
    opened: Vec<u32>,
    closed: bool,
}

impl Run {
    fn new(role: Role, window: Window) -> Self {
        let config = Config { window, ..config() };
        let mut subject = match role {
            Role::Server => Subject::server(config),
            Role::Client => Subject::client(config),
        };
        subject.releases = false;
        Self { subject, role, base: 0, opened: Vec::new(), closed: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        // In two pieces, as a frame may be cut by anything.
        let (first, second) = bytes.split_at(bytes.len() * 2 / 3);
        for piece in [first, second] {
            let seen = self.subject.feed(piece);
            self.note(&seen);
            self.subject.connection.assert_accounts();
        }
    }

    fn note(&mut self, seen: &[Seen]) {
        for event in seen {
            assert!(!self.closed, "an event behind Closed: {event:?}");
            match event {
                Seen::Opened { id, .. } => self.opened.push(*id),
                Seen::Closed => self.closed = true,
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        let base = self.base;
        let known = |stream: u32| self.opened.iter().copied().find(|id| *id == base + stream);
        match step {
            Step::Headers { stream, end, good } => self.headers(base + stream, end, good),
            Step::Data { stream, length, padding, end } => {
                let end = if end { flag::END_STREAM } else { 0 };
                let payload = vec![7; length.min(16_000)];
                let id = base + stream;
                // Mostly on streams that were there, as anything else ends the connection.
                let bytes = match padding {
                    Some(padding) => frame(
                        kind::DATA,
                        end | flag::PADDED,
                        id,
                        &[&[padding], &payload[..], &vec![0; padding.into()]].concat(),
                    ),
                    None => frame(kind::DATA, end, id, &payload),
                };
                if known(stream).is_some() {
                    self.feed(&bytes);
                }
            }
            Step::PeerReset { stream } if known(stream).is_some() => {
                self.feed(&wire::reset(base + stream, 8));
            }
            Step::PeerUpdate { stream: 0, increment } => {
                self.feed(&wire::window_update(0, increment % 100_000 + 1));
            }
            Step::PeerUpdate { stream, increment } if known(stream).is_some() => {
                self.feed(&wire::window_update(base + stream, increment));
            }
            Step::PeerSettings { id, value } => {
                let value = if id == 5 { 16_384 + value % 100_000 } else { value % 0x10_0000 };
                let value = if id == 2 { 0 } else { value };
                self.feed(&wire::settings(&[(id, value)]));
            }
            Step::GoAway { last, code } => self.feed(&wire::go_away(base + last, code, "bye")),
            Step::Pong { kind } => {
                self.feed(&frame(kind::PING, 1, 0, &[kind, b'f', b'e', b'r', b'r', b'p', b'c', 0]));
            }
            Step::Raw { kind, flags, stream, payload } => {
                self.feed(&frame(kind, flags, base + stream, &payload));
            }
            Step::Send { stream, length, end } => {
                if let Some(id) = known(stream) {
                    self.subject.data(id, &vec![1; length], end);
                }
            }
            Step::Trailers { stream } => {
                if let Some(id) = known(stream) {
                    self.subject.trailers(id, &[("grpc-status", "0")]);
                }
            }
            Step::Reset { stream } => {
                if let Some(id) = known(stream) {
                    self.subject.connection.reset(self.subject.key(id), Reason::CANCEL);
                }
                if stream == 11 {
                    self.base += 12;
                }
            }
            Step::Release { stream, bytes } => {
                if let Some(id) = known(stream) {
                    self.subject.connection.release(self.subject.key(id), bytes);
                }
            }
            Step::Writable { stream } => {
                if let Some(id) = known(stream) {
                    self.subject.connection.is_writable(self.subject.key(id));
                }
            }
            Step::Write { bytes } => {
                self.subject.write(bytes);
            }
            Step::Wait { millis } => {
                let seen = self.subject.advance(Duration::from_millis(millis));
                self.note(&seen);
            }
            Step::Shutdown { grace } => {
                let grace = grace.map(Duration::from_secs);
                self.subject.connection.shutdown(self.subject.now, grace);
            }
            _ => {}
        }
        let seen = self.subject.events();
        self.note(&seen);
        self.subject.connection.assert_accounts();
    }

    fn headers(&mut self, id: u32, end: bool, good: bool) {
        let fields = match (self.role, good) {
            (_, false) => &[("connection", "close")][..],
            (Role::Server, true) if self.opened.contains(&id) => &[("a", "b")],
            (Role::Server, true) => wire::REQUEST,
            (Role::Client, true) => &[(":status", "200")],
        };
        if self.role == Role::Client && !self.opened.contains(&id) {
            if let Ok(id) = self.subject.open(wire::REQUEST, end) {
                self.opened.push(id);
            }
            return;
        }
        let fresh = self.opened.iter().max().is_none_or(|highest| id > *highest);
        if fresh || self.opened.contains(&id) {
            self.feed(&wire::headers(id, end, fields));
        }
    }
}

fn role(client: bool) -> Role {
    if client { Role::Client } else { Role::Server }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Credit returned is credit taken, whatever happens to streams meanwhile.
    #[test]
    fn accounts_hold(
        steps in prop::collection::vec(step(), 1..150),
        client: bool,
        window in prop_oneof![
            Just(Window::default()),
            (0..200_000_u32).prop_map(Window::Fixed),
            Just(Window::Fixed(u32::MAX)),
        ],
    ) {
        let mut run = Run::new(role(client), window);
        for step in steps {
            run.step(step);
        }
        // The end of the transport ends everything.
        run.subject.connection.handle_close();
        let seen = run.subject.events();
        run.note(&seen);
        prop_assert!(run.closed);
        let accounts = run.subject.connection.accounts();
        prop_assert_eq!((accounts.streams, accounts.queued, accounts.held_headers), (0, 0, 0));
    }

    /// Frames with random heads and contents, behind a good beginning.
    #[test]
    fn random_frames(
        frames in prop::collection::vec(
            (0..11_u8, any::<u8>(), 0..8_u32, prop::collection::vec(any::<u8>(), 0..64)),
            0..60,
        ),
        client: bool,
    ) {
        let mut run = Run::new(role(client), Window::default());
        for id in [1, 3] {
            run.headers(id, false, true);
        }
        for (kind, flags, stream, payload) in frames {
            run.feed(&frame(kind, flags, stream, &payload));
            run.subject.write(10_000);
        }
    }

    /// Bytes out of nowhere, from the first one on or behind the handshake.
    #[test]
    fn random_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        client: bool,
        shaken: bool,
    ) {
        let mut subject = match (shaken, role(client)) {
            (false, role) => Subject::new(role, config()),
            (true, Role::Server) => Subject::server(config()),
            (true, Role::Client) => Subject::client(config()),
        };
        for piece in bytes.chunks(7) {
            subject.feed(piece);
            subject.connection.assert_accounts();
        }
    }

    /// A good conversation with a few bytes of it changed.
    #[test]
    fn flipped_bytes(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut script = [
            wire::client_hello(),
            wire::headers(1, false, wire::REQUEST),
            wire::data(1, false, &[1; 100]),
            wire::frame(kind::DATA, flag::PADDED, 1, &[&[9][..], &[0; 30]].concat()),
            wire::window_update(1, 100),
            wire::settings(&[(1, 100), (4, 1000), (5, 20_000)]),
            wire::headers(3, true, wire::REQUEST),
            wire::ping([1; 8]),
            wire::headers(1, true, &[("a", "b")]),
            wire::reset(3, 8),
            wire::go_away(0, 0, "bye"),
        ]
        .concat();
        for (index, byte) in flips {
            let at = index.index(script.len());
            script[at] = byte;
        }
        let mut server = Subject::new(Role::Server, config());
        server.feed(&script);
        server.connection.assert_accounts();
        server.frames();
    }
}
