//! Many messages: backpressure on the sender, credit from the consumer, memory under pressure.

use std::collections::{BTreeMap, VecDeque};

use ferrpc_core::Status;
use ferrpc_core::transport::{CallId, Cardinality, Config, Event, Message, SendState};
use ferrpc_http2::Window;
use ferrpc_testing::{End, Pair};

/// Sends numbered messages on a call, as long as there is room.
struct Sender {
    call: CallId,
    size: usize,
    next: u32,
    count: u32,
    writable: bool,
}

impl Sender {
    fn new(call: CallId, size: usize, count: u32) -> Self {
        Self { call, size, next: 0, count, writable: true }
    }

    fn push(&mut self, pair: &mut Pair, client: bool) -> bool {
        let mut moved = false;
        while self.writable && self.next < self.count {
            let end = if client { &mut pair.client } else { &mut pair.server };
            let mut payload = vec![0; self.size];
            payload[..4].copy_from_slice(&self.next.to_be_bytes());
            let state = end.transport.send_message(pair.now, self.call, Message::plain(payload));
            assert_ne!(state, SendState::Gone);
            self.writable = state == SendState::Ready;
            self.next += 1;
            moved = true;
        }
        moved
    }

    fn is_done(&self) -> bool {
        self.next == self.count
    }
}

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message.payload[..4].try_into().expect("long enough"))
}

fn config(window: u32, max_held_messages: usize) -> Config {
    let http2 = ferrpc_http2::Config { window: Window::Fixed(window), ..Default::default() };
    Config { http2, max_held_messages, ..Config::default() }
}

#[test]
fn ten_thousand_messages_each_way() {
    let mut pair = Pair::with(config(65_535, 1 << 20), config(65_535, 1 << 20));
    let there = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    let (back, _) = pair.accept(Cardinality::Bidirectional);
    let mut senders = [Sender::new(there, 1000, 10_000), Sender::new(back, 1000, 10_000)];
    let mut received = [0, 0];
    let mut waits = 0;
    while received != [10_000, 10_000] {
        for (index, sender) in senders.iter_mut().enumerate() {
            sender.push(&mut pair, index == 0);
            waits += u32::from(!sender.writable);
        }
        for end in [&pair.client, &pair.server] {
            // What goes out directly, a stream's watermark, and the messages that exceed them; the
            // window, and the head message.
            assert!(end.transport.buffered() <= 2 * (64 << 10) + 3000);
            assert!(end.transport.held_messages() <= 65_535 + 1005);
        }
        pair.drive();
        let now = pair.now;
        for (index, end) in [&mut pair.server, &mut pair.client].into_iter().enumerate() {
            let sender = &mut senders[1 - index];
            while let Some(event) = end.event() {
                match event {
                    Event::Message { call, message } => {
                        assert_eq!(number(&message), received[index]);
                        received[index] += 1;
                        end.transport.release(now, call, 1, message.payload.len());
                    }
                    Event::Writable { .. } => sender.writable = true,
                    Event::Headers { .. } => {}
                    event => panic!("{event:?}"),
                }
            }
        }
        pair.drive();
    }
    assert!(waits > 100, "nobody ever waited");
    pair.client.transport.half_close(pair.now, there);
    pair.server.transport.finish(pair.now, back, &Status::ok());
    pair.drive();
    for end in [&mut pair.client, &mut pair.server] {
        assert_eq!((end.transport.open_calls(), end.transport.held_messages()), (0, 0));
        assert_eq!(end.transport.buffered(), 0);
    }
}

/// Starts `count` calls, of which the server is the receiver.
fn start_many(pair: &mut Pair, count: usize, size: usize, messages: u32) -> Vec<(Sender, CallId)> {
    (0..count)
        .map(|_| {
            let call = pair.start("/test.Test/Call", Cardinality::Bidirectional);
            let (accepted, _) = pair.accept(Cardinality::Bidirectional);
            (Sender::new(call, size, messages), accepted)
        })
        .collect()
}

/// Lets all senders send what they can; what arrived, by call of the server.
fn pump(pair: &mut Pair, calls: &mut [(Sender, CallId)]) -> VecDeque<(CallId, Message)> {
    let mut arrived = VecDeque::new();
    loop {
        let mut moved = false;
        for (sender, _) in calls.iter_mut() {
            moved |= sender.push(pair, true);
        }
        pair.drive();
        while let Some(event) = pair.client.event() {
            if let Event::Writable { call } = event {
                let sender = calls.iter_mut().find(|(sender, _)| sender.call == call);
                sender.expect("known").0.writable = true;
                moved = true;
            }
        }
        while let Some(event) = pair.server.event() {
            match event {
                Event::Message { call, message } => arrived.push_back((call, message)),
                // Nobody is known to wait: they take turns while the limit lets them.
                Event::Withheld { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        if !moved {
            return arrived;
        }
    }
}

#[test]
fn a_consumer_that_stands_still_stalls_its_own_stream_only() {
    let mut pair = Pair::with(config(65_535, 64 << 20), config(65_535, 64 << 20));
    let mut calls = start_many(&mut pair, 2, 10_000, 500);
    let (slow, fast) = (calls[0].1, calls[1].1);
    let mut kept = VecDeque::new();
    let mut fast_seen = 0;
    loop {
        let arrived = pump(&mut pair, &mut calls);
        if arrived.is_empty() {
            break;
        }
        for (call, message) in arrived {
            if call == fast {
                assert_eq!(number(&message), fast_seen);
                fast_seen += 1;
                pair.server.transport.release(pair.now, call, 1, message.payload.len());
            } else {
                kept.push_back(message);
            }
        }
        pair.drive();
    }
    assert_eq!(fast_seen, 500);
    assert!(!calls[0].0.is_done(), "the slow one's sender waits");
    assert!(pair.server.transport.held_messages() <= 65_535 + 10_005);
    // It goes on when its consumer does.
    let mut slow_seen = 0;
    while slow_seen < 500 {
        let message = kept.pop_front().expect("something comes");
        assert_eq!(number(&message), slow_seen);
        slow_seen += 1;
        pair.server.transport.release(pair.now, slow, 1, message.payload.len());
        pair.drive();
        kept.extend(pump(&mut pair, &mut calls).into_iter().map(|(_, message)| message));
    }
    assert_eq!(pair.server.transport.held_messages(), 0);
}

#[test]
fn releasing_too_much_or_twice_is_harmless() {
    let mut pair = Pair::with(config(65_535, 1 << 20), config(65_535, 1 << 20));
    let mut calls = start_many(&mut pair, 2, 30_000, 50);
    let mut seen = 0;
    while seen < 100 {
        for (call, message) in pump(&mut pair, &mut calls) {
            seen += 1;
            for bytes in [message.payload.len(), message.payload.len(), usize::MAX, 0] {
                pair.server.transport.release(pair.now, call, 1, bytes);
            }
        }
        pair.drive();
    }
    assert_eq!(pair.server.transport.held_messages(), 0);
}

/// Under pressure messages are completed one at a time: all arrive, and memory is bounded.
fn under_pressure(streams: usize, size: usize, max_held: usize, seed: u64) {
    const WINDOW: usize = 65_535;
    let mut pair = Pair::with(Config::default(), config(WINDOW as u32, max_held));
    let mut calls = start_many(&mut pair, streams, size, 3);
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    let mut waiting: Vec<(CallId, Message)> = Vec::new();
    let mut random = seed;
    let mut peak = 0;
    while seen.values().sum::<u32>() < 3 * streams as u32 {
        let arrived = pump(&mut pair, &mut calls);
        peak = peak.max(pair.server.transport.held_messages());
        waiting.extend(arrived);
        assert!(!waiting.is_empty(), "seed {seed}: nothing moves, {seen:?}");
        // A consumer somewhere takes its oldest message.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (call, _) = waiting[(random >> 33) as usize % waiting.len()];
        let oldest = waiting.iter().position(|(other, _)| *other == call).expect("just seen");
        let (call, message) = waiting.remove(oldest);
        let count = seen.entry(call.stream()).or_default();
        assert_eq!(number(&message), *count, "seed {seed}");
        *count += 1;
        pair.server.transport.release(pair.now, call, 1, message.payload.len());
        pair.drive();
    }
    // Arriving and whole messages up to the limit each, what the windows let in before it was
    // reached (in buffers that double as they grow), and the message that exceeded it.
    let bound = 2 * max_held + streams * 2 * WINDOW + 2 * size;
    assert!(peak <= bound, "seed {seed}: {peak} above {bound}");
    assert_eq!(pair.server.transport.held_messages(), 0);
}

#[test]
fn pressure() {
    for seed in 0..30 {
        under_pressure(20, 300_000, 1 << 20, seed);
        under_pressure(50, 100_000, 1 << 20, seed);
        under_pressure(10, 20_000, 1, seed);
        under_pressure(5, 1_000_000, 0, seed);
    }
}

#[test]
fn a_stream_that_has_nothing_more_to_send_gives_its_turn_away() {
    let mut pair = Pair::with(Config::default(), config(65_535, 100_000));
    let mut calls = start_many(&mut pair, 10, 200_000, 1);
    // All have begun; one after the other is completed, consumed, and then stays open in silence.
    let mut done = 0;
    while done < 10 {
        let arrived = pump(&mut pair, &mut calls);
        assert!(!arrived.is_empty(), "after {done}");
        for (call, message) in arrived {
            pair.server.transport.release(pair.now, call, 1, message.payload.len());
            done += 1;
        }
        pair.drive();
    }
    assert_eq!(pair.server.transport.open_calls(), 10);
    assert_eq!(pair.server.transport.held_messages(), 0);
}

#[test]
fn a_consumer_that_stands_still_under_pressure_does_not_stop_the_others() {
    let mut pair = Pair::with(Config::default(), config(65_535, 300_000));
    let mut calls = start_many(&mut pair, 5, 200_000, 4);
    let lazy = calls[0].1;
    let mut done = 0;
    loop {
        let arrived = pump(&mut pair, &mut calls);
        if arrived.is_empty() {
            break;
        }
        for (call, message) in arrived {
            if call != lazy {
                pair.server.transport.release(pair.now, call, 1, message.payload.len());
                done += 1;
            }
        }
        pair.drive();
    }
    assert_eq!(done, 16);
    // The end of a call that holds much lets everything go.
    pair.server.transport.finish(pair.now, lazy, &Status::ok());
    pair.drive();
    assert_eq!(pair.server.transport.held_messages(), 0);
}

#[test]
fn what_nobody_reads_is_not_held_and_gets_no_credit() {
    let mut pair = Pair::with(Config::default(), config(65_535, 50_000));
    let mut calls = start_many(&mut pair, 3, 20_000, 50);
    let (there, unread) = (calls[0].0.call, calls[0].1);
    let mut arrived = pump(&mut pair, &mut calls);
    // With whole messages unread, one begun, and its turn among those that starve.
    assert!(pair.server.transport.held_messages() > 100_000);
    pair.server.transport.stop_receiving(unread);
    let mut seen = 0;
    while !arrived.is_empty() {
        for (call, message) in arrived {
            seen += usize::from(call != unread);
            for _ in 0..2 {
                pair.server.transport.release(pair.now, call, 1, message.payload.len());
            }
        }
        pair.drive();
        arrived = pump(&mut pair, &mut calls);
    }
    assert_eq!(seen, 100, "the others go on");
    assert_eq!(pair.server.transport.held_messages(), 0);
    assert!(!calls[0].0.is_done(), "its sender waits");
    // The call itself goes on, and its end is seen.
    let answer = pair.server.transport.send_message(pair.now, unread, Message::plain("still here"));
    assert_eq!(answer, SendState::Ready);
    pair.server.transport.finish(pair.now, unread, &Status::ok());
    pair.drive();
    assert!(pair.client.transport.open_calls() == 2 && pair.server.transport.open_calls() == 2);
    assert_eq!(
        pair.client.transport.send_message(pair.now, there, Message::default()),
        SendState::Gone
    );
}

#[test]
fn an_unread_request_may_end_anywhere() {
    let mut pair = Pair::new();
    let there = pair.start("/test.Test/Call", Cardinality::ClientStreaming);
    let (back, _) = pair.accept(Cardinality::ClientStreaming);
    pair.server.transport.stop_receiving(back);
    pair.request(there, &[0; 1000]);
    assert!(matches!(pair.server.event(), Some(Event::RemoteDone { call }) if call == back));
    assert!(pair.server.event().is_none());
}

#[test]
fn calls_that_end_in_any_way_hold_nothing() {
    let ends: [fn(&mut Pair, CallId, CallId); 4] = [
        |pair, client, _| pair.client.transport.cancel(pair.now, client),
        |pair, _, server| pair.server.transport.cancel(pair.now, server),
        |pair, _, server| pair.server.transport.finish(pair.now, server, &Status::ok()),
        |pair, _, _| pair.cut(),
    ];
    let held = |end: &End| end.transport.held_messages();
    for end in ends {
        let mut pair = Pair::with(Config::default(), config(65_535, 100_000));
        let mut calls = start_many(&mut pair, 6, 150_000, 3);
        pump(&mut pair, &mut calls);
        assert!(held(&pair.server) > 100_000);
        for (sender, accepted) in &calls {
            end(&mut pair, sender.call, *accepted);
            pair.drive();
        }
        assert_eq!((held(&pair.client), held(&pair.server)), (0, 0));
        assert_eq!(pair.server.transport.open_calls(), 0);
    }
}
