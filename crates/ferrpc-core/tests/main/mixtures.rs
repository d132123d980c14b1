//! Streams that are read at once, slowly, and not at all, in both directions of one connection: who
//! does not read keeps nobody from anything, holds no more than its share, and is not given up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ferrpc_core::Status;
use ferrpc_core::transport::{
    CallId, CallLimits, CancelledBy, Cardinality, Config, Event, Message, SendState,
};
use ferrpc_http2::Window;
use ferrpc_testing::wire::{self, kind};
use ferrpc_testing::{End, Pair, Scripted};

const WINDOW: usize = 65_535;
const LARGEST: usize = 150_000;
const MESSAGES: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Takes what is there.
    Live,
    /// Takes a message in so many rounds.
    Slow(u32),
    /// Takes nothing.
    Paused,
}

/// One end of a call: what it sends, and what its consumer does.
struct Side {
    call: CallId,
    sent: u32,
    full: bool,
    pace: Pace,
    received: VecDeque<Message>,
    taken: u32,
    /// The transport wants to know when the consumer waits.
    asked: bool,
}

struct Mixture {
    pair: Pair,
    /// By stream: the client's side and the server's.
    calls: BTreeMap<u32, [Side; 2]>,
    rounds: u32,
    seed: u64,
}

/// Whatever seed and place make of it.
fn mixed(seed: u64, parts: [u32; 3]) -> u64 {
    parts.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |mix, part| {
        let mix = (mix ^ u64::from(*part)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mix ^ (mix >> 29)
    })
}

fn payload(seed: u64, stream: u32, direction: usize, index: u32) -> Vec<u8> {
    let mix = mixed(seed, [stream, direction as u32, index]);
    let size = [4, 40, 4000, 70_000, LARGEST][mix as usize % 5];
    let mut payload = vec![0; size];
    payload[..4].copy_from_slice(&index.to_be_bytes());
    payload
}

impl Mixture {
    fn new(seed: u64, count: u32, max_held_messages: usize) -> Self {
        let http2 =
            ferrpc_http2::Config { window: Window::Fixed(WINDOW as u32), ..Default::default() };
        let config = Config { http2, max_held_messages, ..Config::default() };
        let mut pair = Pair::with(config.clone(), config);
        let mut calls = BTreeMap::new();
        for _ in 0..count {
            let client = pair.start("/test.Test/Call", Cardinality::Bidirectional);
            let (server, _) = pair.accept(Cardinality::Bidirectional);
            let side = |call: CallId, n: u32| Side {
                call,
                sent: 0,
                full: false,
                pace: match mixed(seed, [call.stream(), n, 1000]) % 4 {
                    0 => Pace::Live,
                    1 => Pace::Slow(2 + call.stream() % 5),
                    _ => Pace::Paused,
                },
                received: VecDeque::new(),
                taken: 0,
                asked: false,
            };
            calls.insert(client.stream(), [side(client, 0), side(server, 1)]);
        }
        Self { pair, calls, rounds: 0, seed }
    }

    fn end(&mut self, side: usize) -> &mut End {
        if side == 0 { &mut self.pair.client } else { &mut self.pair.server }
    }

    fn side(&mut self, end: usize, call: CallId) -> &mut Side {
        &mut self.calls.get_mut(&call.stream()).expect("known")[end]
    }

    /// Everybody sends what there is room for, and takes what its pace is.
    fn round(&mut self) {
        self.rounds += 1;
        let (rounds, seed, now) = (self.rounds, self.seed, self.pair.now);
        for (stream, sides) in &mut self.calls {
            for (n, side) in sides.iter_mut().enumerate() {
                let end = if n == 0 { &mut self.pair.client } else { &mut self.pair.server };
                while !side.full && side.sent < MESSAGES {
                    let message = Message::plain(payload(seed, *stream, n, side.sent));
                    let state = end.transport.send_message(now, side.call, message);
                    assert_ne!(state, SendState::Gone);
                    side.full = state == SendState::Full;
                    side.sent += 1;
                }
                let count = match side.pace {
                    Pace::Live => usize::MAX,
                    Pace::Slow(rest) => usize::from(rounds.is_multiple_of(rest)),
                    Pace::Paused => 0,
                };
                for message in side.received.drain(..count.min(side.received.len())) {
                    assert_eq!(message.payload, payload(seed, *stream, 1 - n, side.taken));
                    side.taken += 1;
                    end.transport.release(now, side.call, 1, message.payload.len());
                }
                if side.received.is_empty() && count > 0 && std::mem::take(&mut side.asked) {
                    end.transport.want(now, side.call);
                }
            }
        }
        self.pair.drive();
        for n in 0..2 {
            while let Some(event) = self.end(n).event() {
                match event {
                    Event::Message { call, message } => {
                        let side = self.side(n, call);
                        side.received.push_back(message);
                        // It is asked for each message.
                        side.asked = false;
                    }
                    Event::Writable { call } => self.side(n, call).full = false,
                    Event::Withheld { call } => self.side(n, call).asked = true,
                    Event::Headers { .. } => {}
                    event => panic!("{event:?}"),
                }
            }
        }
        self.check();
    }

    /// What is held is within the budgets, whoever holds it.
    fn check(&self) {
        let calls = self.calls.len();
        for end in [&self.pair.client, &self.pair.server] {
            // Its stream's buffer, and the message that exceeded it.
            assert!(end.transport.buffered() <= calls * ((64 << 10) + LARGEST));
            // Windows (in buffers that double as they grow), the limit, and one message.
            let held = end.transport.held_messages();
            assert!(held <= calls * 2 * WINDOW + (1 << 20) + 2 * LARGEST, "{held}");
        }
    }

    /// Rounds, seconds apart, until all of those for whom `wanted` holds have received everything.
    fn run(&mut self, wanted: impl Fn(Pace) -> bool) {
        let until = self.rounds + 600;
        loop {
            let missing = self.calls.values().flatten();
            let missing = missing.filter(|side| wanted(side.pace) && side.taken < MESSAGES).count();
            if missing == 0 {
                return;
            }
            assert!(self.rounds < until, "seed {}: {missing} sides wait for ever", self.seed);
            self.round();
            self.pair.advance(Duration::from_secs(1));
        }
    }
}

#[test]
fn who_does_not_read_stops_nobody_and_is_not_given_up() {
    for seed in 0..4 {
        let mut mixture = Mixture::new(seed, 200, 1 << 20);
        mixture.run(|pace| pace != Pace::Paused);
        let paused = mixture.calls.values().flatten().filter(|side| side.pace == Pace::Paused);
        assert!(paused.clone().count() > 100 && paused.clone().all(|side| side.taken == 0));
        // Five minutes or an hour over one message.
        mixture.pair.advance(Duration::from_secs(3600));
        for side in mixture.calls.values_mut().flatten() {
            side.pace = Pace::Live;
        }
        mixture.run(|_| true);
        for sides in mixture.calls.values() {
            let now = mixture.pair.now;
            mixture.pair.client.transport.half_close(now, sides[0].call);
            mixture.pair.server.transport.finish(now, sides[1].call, &Status::ok());
        }
        mixture.pair.drive();
        for end in [&mixture.pair.client, &mixture.pair.server] {
            let transport = &end.transport;
            assert_eq!((transport.held_messages(), transport.buffered()), (0, 0));
            assert_eq!((transport.open_calls(), transport.counters().calls_failed), (0, 0));
        }
    }
}

/// A message that is waited for is completed, although what nobody reads is more than the limit.
#[test]
fn a_large_message_beside_many_that_are_not_read() {
    const LIMIT: usize = 200_000;
    let mut mixture = Mixture::new(1, 100, LIMIT);
    for (stream, sides) in &mut mixture.calls {
        for side in sides {
            side.pace = if *stream == 199 { Pace::Live } else { Pace::Paused };
        }
    }
    for _ in 0..3 {
        mixture.round();
    }
    // Of whole messages alone more than the limit.
    let unread = mixture.calls.values().flat_map(|sides| &sides[1].received);
    let unread: usize = unread.map(|message| message.payload.len()).sum();
    assert!(unread > LIMIT, "{unread}");
    mixture.run(|pace| pace == Pace::Live);
}

/// A message that began under pressure, and that the window holds to its end, is not the last that
/// is asked for: nor is the one after it, which the window does not hold, forgotten.
#[test]
fn each_message_is_asked_for() {
    for limit in [100_000, 300_000] {
        let http2 =
            ferrpc_http2::Config { window: Window::Fixed(WINDOW as u32), ..Default::default() };
        let config = Config { http2, max_held_messages: limit, ..Config::default() };
        let mut pair = Pair::with(config.clone(), config);
        let start = |pair: &mut Pair| {
            let client = pair.start("/test.Test/Call", Cardinality::Bidirectional);
            (client, pair.accept(Cardinality::Bidirectional).0)
        };
        let send = |pair: &mut Pair, call, size| {
            let message = Message::plain(vec![0; size]);
            assert_ne!(
                pair.server.transport.send_message(pair.now, call, message),
                SendState::Gone
            );
            pair.drive();
        };
        // What nobody reads is as much as may be held.
        for _ in 0..limit / 50_000 {
            let (_, server) = start(&mut pair);
            send(&mut pair, server, 50_000);
        }
        let (client, server) = start(&mut pair);
        let events = |pair: &mut Pair| {
            let (mut whole, mut asked) = (Vec::new(), false);
            while let Some(event) = pair.client.event() {
                match event {
                    Event::Message { call, message } if call == client => whole.push(message),
                    Event::Withheld { call } if call == client => asked = true,
                    _ => {}
                }
            }
            (whole.len(), asked)
        };
        send(&mut pair, server, 60_000);
        assert_eq!(events(&mut pair), (1, true), "its window holds it");
        for _ in 0..3 {
            // The next one begins, and stops where the window ends. Its consumer waits for it.
            pair.client.transport.release(pair.now, client, 1, 60_000);
            send(&mut pair, server, LARGEST);
            assert_eq!(events(&mut pair), (0, true));
            pair.client.transport.want(pair.now, client);
            pair.drive();
            assert_eq!(events(&mut pair), (1, false));
            pair.client.transport.release(pair.now, client, 1, LARGEST);
            send(&mut pair, server, 60_000);
            assert_eq!(events(&mut pair).0, 1);
        }
    }
}

/// Peers that begin a message and go silent lose their turns to the next one, and their calls once
/// what was begun in turns is as much again as may be held.
#[test]
fn silence_does_not_keep_the_turn() {
    const SIZE: usize = 300_000;
    let http2 = ferrpc_http2::Config { window: Window::Fixed(WINDOW as u32), ..Default::default() };
    let mut server =
        Scripted::server(Config { http2, max_held_messages: 100_000, ..Config::default() });
    let limits = CallLimits { max_receive: SIZE, ..CallLimits::default() };
    let mut begun = wire::message(&[7; SIZE]);
    let rest = begun.split_off(60_000);
    let mut starved = Vec::new();
    for n in 0..21 {
        let frames = begun.chunks(15_000).map(|piece| wire::data(2 * n + 1, false, piece));
        server.feed(&wire::headers(2 * n + 1, false, wire::REQUEST));
        let call = loop {
            match server.end.event() {
                Some(Event::Call { call, .. }) => break call,
                Some(Event::Withheld { call }) => starved.push(call),
                event => panic!("{event:?}"),
            }
        };
        server.end.transport.accept(call, Cardinality::Bidirectional, limits);
        server.feed(&frames.collect::<Vec<_>>().concat());
    }
    while let Some(event) = server.end.event() {
        let Event::Withheld { call } = event else { panic!("{event:?}") };
        starved.push(call);
    }
    // Their consumers all wait.
    for call in starved {
        server.end.transport.want(server.now, call);
    }
    let mut rest = &rest[..];
    let mut seconds = 0;
    while !rest.is_empty() {
        // The last one goes on as far as it has credit; it had the window's.
        let credit: usize = WINDOW - 60_000 + credit(&server.frames(), 41);
        let sent = SIZE + 5 - 60_000 - rest.len();
        let (now, later) = rest.split_at(rest.len().min(credit.saturating_sub(sent)).min(16_384));
        if now.is_empty() {
            server.advance(Duration::from_secs(1));
            seconds += 1;
            assert!(seconds < 45, "one of them keeps the turn");
        }
        server.feed(&wire::data(41, false, now));
        rest = later;
    }
    let whole = server
        .end
        .events
        .iter()
        .any(|event| matches!(event, Event::Message { call, .. } if call.stream() == 41));
    assert!(whole, "{:?}", server.end.events);
    let refused = server
        .end
        .events
        .iter()
        .filter(|event| matches!(event, Event::Cancelled { by: CancelledBy::Refused, .. }));
    assert_eq!(server.answer(1, "grpc-status"), None, "there was room for the first ones");
    assert!((10..20).contains(&refused.count()));
    assert_eq!(server.answer(39, "grpc-status").as_deref(), Some("8"));
    assert!(server.end.transport.held_messages() < 21 * 2 * WINDOW + 2 * SIZE);
}

/// Requests of one message count as held until their handlers start, whether or not the caller has
/// ended its half; meanwhile those that are not whole wait, unless their handlers would start.
#[test]
fn large_requests_count_until_they_are_started() {
    let http2 = ferrpc_http2::Config { window: Window::Fixed(WINDOW as u32), ..Default::default() };
    let mut server =
        Scripted::server(Config { http2, max_held_messages: 100_000, ..Config::default() });
    let mut calls = Vec::new();
    for n in 0..10 {
        let whole = wire::message(&[7; 20_000]);
        server.feed(&wire::headers(2 * n + 1, false, wire::REQUEST));
        calls.push(server.accept(Cardinality::Unary));
        server.feed(&wire::data(2 * n + 1, false, &whole[..15_000]));
        server.feed(&wire::data(2 * n + 1, n % 2 == 0, &whole[15_000..]));
        let message = server.end.events.iter().any(|event| matches!(event, Event::Message { .. }));
        assert!(message, "the end of the half is not waited for: {:?}", server.end.events);
        server.end.events.clear();
    }
    assert_eq!(server.end.transport.held_messages(), 10 * 20_005);
    // What is small is not worth it.
    server.feed(&wire::headers(21, false, wire::REQUEST));
    server.accept(Cardinality::Unary);
    server.feed(&wire::data(21, true, &wire::message(&[7; 16_000])));
    assert_eq!(server.end.transport.held_messages(), 10 * 20_005);
    server.end.events.clear();

    let begun = wire::message(&[7; 300_000]);
    server.feed(&wire::headers(23, false, wire::REQUEST));
    server.accept(Cardinality::Unary);
    for piece in begun[..60_000].chunks(15_000) {
        server.feed(&wire::data(23, false, piece));
    }
    let asked = matches!(server.end.event(), Some(Event::Withheld { call }) if call.stream() == 23);
    assert!(asked && credit(&server.frames(), 23) == 0);
    server.advance(Duration::from_secs(10));
    assert_eq!(credit(&server.frames(), 23), 0, "nobody wants it");
    for call in calls {
        server.end.transport.release(server.now, call, 1, 20_000);
    }
    server.flush();
    assert!(credit(&server.frames(), 23) > 0);
    assert!(server.end.transport.held_messages() < 140_000);
}

/// What WINDOW_UPDATE frames gave a stream.
fn credit(frames: &[wire::Frame], stream: u32) -> usize {
    let updates = frames.iter().filter(|frame| frame.kind == kind::WINDOW_UPDATE);
    let own = updates.filter(|frame| frame.stream == stream);
    let increment = |frame: &wire::Frame| frame.payload[..4].try_into().map(u32::from_be_bytes);
    own.map(|frame| increment(frame).expect("four bytes") as usize).sum()
}
