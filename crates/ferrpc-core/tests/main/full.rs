//! A server whose application does not take what came: the connection's credit is held back too.

use ferrpc_core::transport::{CallId, CallLimits, Cardinality, Config, Event, Message};
use ferrpc_http2::Window;
use ferrpc_testing::wire::{self, kind};
use ferrpc_testing::{Pair, Scripted};

const LIMIT: usize = 100_000;

/// The connection's window, for such small windows of streams.
const CONNECTION: usize = 1 << 20;

/// A message that its stream's window holds.
const SIZE: usize = 60_000;

/// A server whose peer keeps to the credit that it has, of the connection and of streams.
struct Full {
    server: Scripted,
    sent: usize,
    next: u32,
    calls: Vec<CallId>,
}

impl Full {
    fn new() -> Self {
        let http2 = ferrpc_http2::Config { window: Window::Fixed(65_535), ..Default::default() };
        let config = Config { http2, max_held_messages: LIMIT, ..Config::default() };
        Self { server: Scripted::server(config), sent: 0, next: 1, calls: Vec::new() }
    }

    fn credit(&self) -> usize {
        let frames = self.server.frames();
        let updates = frames.iter().filter(|frame| frame.kind == kind::WINDOW_UPDATE);
        let own = updates.filter(|frame| frame.stream == 0);
        let given: usize = own
            .map(|frame| u32::from_be_bytes(frame.payload[..4].try_into().expect("four")) as usize)
            .sum();
        65_535 + given - self.sent
    }

    fn open(&mut self, cardinality: Cardinality) -> CallId {
        let stream = self.next;
        self.next += 2;
        self.server.feed(&wire::headers(stream, false, wire::REQUEST));
        let place = |event: &Event| matches!(event, Event::Call { .. });
        let at = self.server.end.events.iter().position(place).expect("a call");
        let Some(Event::Call { call, .. }) = self.server.end.events.remove(at) else {
            panic!("just found");
        };
        self.server.end.transport.accept(call, cardinality, CallLimits::default());
        self.server.feed(&[]);
        self.server.end.collect();
        call
    }

    fn send(&mut self, call: CallId, size: usize) {
        for piece in wire::message(&vec![7; size]).chunks(15_000) {
            assert!(piece.len() <= self.credit(), "the peer has credit");
            self.sent += piece.len();
            self.server.feed(&wire::data(call.stream(), false, piece));
        }
    }

    /// Whole requests that nobody takes, as long as there is credit.
    fn fill(&mut self, cardinality: Cardinality) {
        while self.credit() > SIZE + 5 {
            let call = self.open(cardinality);
            self.send(call, SIZE);
            self.calls.push(call);
            assert!(self.calls.len() < 1000, "there is no end to it");
        }
    }

    fn release(&mut self, call: CallId) {
        self.server.end.transport.release(self.server.now, call, 1, SIZE);
        self.server.end.collect();
        self.server.flush();
    }

    fn want(&mut self, call: CallId) {
        self.server.end.transport.want(self.server.now, call);
        self.server.flush();
    }

    fn asked(&mut self, call: CallId) -> bool {
        let asks = |event: &Event| matches!(event, Event::Withheld { call: of } if *of == call);
        let any = self.server.end.events.iter().any(asks);
        self.server.end.events.retain(|event| !asks(event));
        any
    }
}

#[test]
fn requests_that_nobody_takes_use_the_connections_credit_up() {
    for cardinality in [Cardinality::Unary, Cardinality::Bidirectional] {
        let mut full = Full::new();
        full.fill(cardinality);
        let held = full.server.end.transport.held_messages();
        assert!(held <= LIMIT + 2 * SIZE + CONNECTION, "{held}");
        // Whoever takes what is there brings credit back.
        for call in std::mem::take(&mut full.calls) {
            full.release(call);
        }
        assert!(full.credit() > CONNECTION - CONNECTION / 4);
        full.fill(cardinality);
        assert!(full.calls.len() * SIZE > CONNECTION - CONNECTION / 4);
    }
}

#[test]
fn a_consumer_that_waits_gets_its_message_though_nothing_of_it_has_come() {
    let mut full = Full::new();
    let waits = full.open(Cardinality::Bidirectional);
    full.fill(Cardinality::Bidirectional);
    assert!(full.asked(waits), "it was there before memory was full");
    let before = full.credit();
    full.want(waits);
    assert!(full.credit() > before + CONNECTION / 2, "all that was held back");
    full.send(waits, SIZE);
    assert!(full.asked(waits), "for the next one it is asked anew");
    full.release(waits);
    // Nobody waits: it comes to an end again.
    full.fill(Cardinality::Bidirectional);
    full.want(waits);
    full.send(waits, SIZE);
    // One that comes now is asked, too, and the end of its half is an end of waiting.
    let late = full.open(Cardinality::ClientStreaming);
    assert!(full.asked(late));
    full.want(late);
    full.server.feed(&wire::data(late.stream(), true, &[]));
    full.fill(Cardinality::Bidirectional);
    assert!(full.credit() <= SIZE + 5);
    // So is the end of the call.
    let given_up = full.open(Cardinality::ClientStreaming);
    full.want(given_up);
    full.server.feed(&wire::reset(given_up.stream(), 8));
    full.fill(Cardinality::Bidirectional);
    assert!(full.credit() <= SIZE + 5);
}

/// All requests are wanted while no handler is busy; each that is whole then stands before the rest.
#[test]
fn requests_are_wanted_only_as_long_as_their_handlers_would_start() {
    const LARGE: usize = 300_000;
    let http2 = ferrpc_http2::Config { window: Window::Fixed(65_535), ..Default::default() };
    let config = Config { http2, max_held_messages: 500_000, ..Config::default() };
    let mut pair = Pair::with(Config::default(), config);
    let (mut callers, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let there = pair.start("/test.Test/Call", Cardinality::Unary);
        let (call, _) = pair.accept(Cardinality::Unary);
        callers.push(there);
        calls.push(call);
    }
    // All begin before any is whole.
    for there in callers {
        let message = Message::plain(vec![7; LARGE]);
        pair.client.transport.send_message(pair.now, there, message);
        pair.client.transport.half_close(pair.now, there);
    }
    pair.drive();
    let mut whole = 0;
    loop {
        let mut wanted = false;
        while let Some(event) = pair.server.event() {
            match event {
                Event::Message { .. } => whole += 1,
                Event::Withheld { call } if whole == 0 => {
                    pair.server.transport.want(pair.now, call);
                    wanted = true;
                }
                _ => {}
            }
        }
        pair.drive();
        pair.advance(std::time::Duration::from_secs(5));
        if !wanted && pair.server.events.is_empty() {
            break;
        }
    }
    assert!((2..=3).contains(&whole), "{whole} of them are held");
    // Handlers take them, and others come: to the last one.
    let mut taken = 0;
    while taken < calls.len() {
        assert!(whole > taken, "nothing moves behind {taken}");
        for call in &calls {
            pair.server.transport.release(pair.now, *call, 1, LARGE);
        }
        taken = whole;
        pair.drive();
        while let Some(event) = pair.server.event() {
            whole += usize::from(matches!(event, Event::Message { .. }));
            if let Event::Withheld { call } = event {
                pair.server.transport.want(pair.now, call);
                pair.drive();
            }
        }
    }
}
