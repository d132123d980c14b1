//! The applications at both ends of a simulated connection, and what must hold for them.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ferrpc_core::transport::{
    CallId, CallLimits, CancelledBy, Cardinality, Config, Event, Message, SendState, StartCall,
    TransparentRetry,
};
use ferrpc_core::{Code, Status};
use ferrpc_testing::{Pair, Sim, SimConfig};

/// One side of a call.
#[derive(Debug)]
struct Side {
    call: CallId,
    /// Messages to send, and how many were sent.
    planned: u32,
    sent: u32,
    full: bool,
    received: u32,
    remote_done: bool,
    /// Sizes of messages that were not released yet.
    unreleased: VecDeque<usize>,
    /// The transport wants to know when the consumer waits for a message.
    asked: bool,
    /// How it ended here.
    end: Option<End>,
    half_closed: bool,
    /// Ends the call early, by chance.
    impatient: bool,
    deadline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By this side: the server's status, or the client's cancel (none).
    Here(Option<Code>),
    /// Reported: the client's status, and whether the server sent it.
    Finished(Code, bool),
    /// Reported to the server.
    Cancelled(CancelledBy),
}

pub(crate) struct World {
    sim: Sim,
    seed: u64,
    to_start: u32,
    client: BTreeMap<u32, Side>,
    server: BTreeMap<u32, Side>,
    trace: DefaultHasher,
    steps: u64,
    ready: bool,
}

impl World {
    pub(crate) fn new(seed: u64, network: SimConfig, client: Config, server: Config) -> Self {
        let mut sim = Sim::new(seed, network, client, server);
        let to_start = sim.random(15) as u32 + 1;
        Self {
            sim,
            seed,
            to_start,
            client: BTreeMap::new(),
            server: BTreeMap::new(),
            trace: DefaultHasher::new(),
            steps: 0,
            ready: false,
        }
    }

    /// Until nothing happens any more.
    pub(crate) fn run(&mut self) {
        loop {
            let acted = self.act();
            let moved = self.sim.step();
            if !self.take_events() && !moved && !acted {
                break;
            }
            self.steps += 1;
            assert!(self.steps < 2_000_000, "it never ends");
            let all = |side: &BTreeMap<u32, Side>| side.values().all(|side| side.end.is_some());
            if self.to_start == 0 && all(&self.client) && all(&self.server) {
                // Only the timers of the connection are left.
                self.sim.client.transport.shutdown(self.sim.now, None);
            }
        }
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// After the run: every call ended on both sides, in the same way, and left nothing behind.
    pub(crate) fn check(&self) {
        for (stream, client) in &self.client {
            let server = self.server.get(stream).map(|side| side.end.expect("the server's ended"));
            let end = client.end.expect("the client's ended");
            match (end, server) {
                // The server's word arrives as it was said.
                (End::Finished(code, true), Some(End::Here(Some(said)))) => assert_eq!(code, said),
                (End::Finished(code, true), Some(End::Cancelled(CancelledBy::Deadline))) => {
                    assert_eq!(code, Code::DeadlineExceeded);
                }
                (End::Finished(_, true), other) => panic!("nobody said that: {other:?}"),
                (End::Finished(code, false), _) => {
                    let deadline = code == Code::DeadlineExceeded && client.deadline;
                    // The server's deadline may reset the stream a moment before ours passes.
                    let reset = code == Code::Cancelled && client.deadline;
                    let lost = code == Code::Unavailable && self.sim.is_cut;
                    assert!(deadline || reset || lost, "{code} of {client:?}");
                }
                (End::Here(_), _) => assert!(client.impatient),
                (End::Cancelled(_), _) => unreachable!("clients are told a status"),
            }
            if end == End::Finished(Code::Ok, true) {
                let server = &self.server[stream];
                assert_eq!(client.received, server.sent, "an answer is missing");
                assert_eq!(server.received, client.sent, "a request is missing");
            }
        }
        for (name, end) in [("client", &self.sim.client), ("server", &self.sim.server)] {
            assert_eq!(end.transport.open_calls(), 0, "{name}");
            assert_eq!(end.transport.held_messages(), 0, "{name}");
            assert_eq!(end.transport.buffered(), 0, "{name}");
        }
        assert!(!self.client.is_empty() || self.sim.is_cut);
        if !self.sim.is_cut {
            assert_eq!(self.sim.server.transport.counters().http2.induced_resets, 0);
            assert_eq!(self.sim.client.transport.counters().http2.induced_resets, 0);
        }
    }

    fn random(&mut self, bound: u64) -> u64 {
        self.sim.random(bound)
    }

    // -- events ----------------------------------------------------------------------------------

    fn take_events(&mut self) -> bool {
        let mut any = false;
        while let Some((client, event)) = self.sim.event() {
            any = true;
            (self.sim.now.as_nanos(), client).hash(&mut self.trace);
            match &event {
                Event::Message { call, message } => (call, &message.payload).hash(&mut self.trace),
                event => format!("{event:?}").hash(&mut self.trace),
            }
            self.take(client, event);
        }
        any
    }

    fn side(&mut self, client: bool, call: CallId) -> &mut Side {
        let sides = if client { &mut self.client } else { &mut self.server };
        let side = sides.get_mut(&call.stream()).expect("known");
        assert_eq!(side.end, None, "something comes after the end");
        side
    }

    fn take(&mut self, client: bool, event: Event) {
        match event {
            Event::Call { call, head } => {
                let cardinality = cardinality(call.stream());
                let planned = if cardinality.has_single_response() { 1 } else { self.random(20) };
                let mut side = Side::new(call, planned as u32);
                side.impatient = self.random(8) == 0;
                side.deadline = head.deadline.is_some();
                assert!(self.server.insert(call.stream(), side).is_none());
                self.sim.server.transport.accept(call, cardinality, CallLimits::default());
                self.sim.server.collect();
                self.sim.resume();
            }
            Event::Message { call, message } => {
                let index = self.side(client, call).received;
                assert!(message.payload == payload(call.stream(), !client, index, self.seed));
                let side = self.side(client, call);
                assert!(!side.remote_done);
                side.received += 1;
                side.unreleased.push_back(message.payload.len());
                // It is asked for each message.
                side.asked = false;
            }
            Event::Messages { call, run } => {
                for message in run {
                    self.take(client, Event::Message { call, message });
                }
            }
            Event::RemoteDone { call } => {
                let side = self.side(client, call);
                assert!(!std::mem::replace(&mut side.remote_done, true));
            }
            Event::Withheld { call } => {
                self.side(client, call).asked = true;
            }
            Event::Writable { call } => {
                let side = self.side(client, call);
                assert!(std::mem::replace(&mut side.full, false));
            }
            Event::Cancelled { call, by } => {
                assert_ne!(by, CancelledBy::Refused);
                self.side(client, call).end = Some(End::Cancelled(by));
            }
            Event::Finished { call, status, retry, from_peer } => {
                assert!(retry != TransparentRetry::Refused);
                let end = End::Finished(status.code(), from_peer);
                self.side(client, call).end = Some(end);
            }
            Event::Http { .. } => panic!("{event:?}"),
            Event::Closed { .. } => {
                self.to_start = 0;
                let sides = if client { &self.client } else { &self.server };
                assert!(sides.values().all(|side| side.end.is_some()));
            }
            Event::Ready => self.ready = true,
            Event::Headers { .. } | Event::StreamsAvailable | Event::Draining => {}
            Event::MayStart => panic!("nobody asked"),
        }
    }

    // -- what the applications do --------------------------------------------------------------------

    fn act(&mut self) -> bool {
        let mut acted = self.to_start > 0;
        // Windows below the default count from the SETTINGS on that name them.
        if acted && self.ready && self.random(4) == 0 {
            self.start();
        }
        for client in [true, false] {
            let sides = if client { &self.client } else { &self.server };
            let open = sides.iter().filter(|(_, side)| side.end.is_none());
            let open: Vec<u32> = open.map(|(stream, _)| *stream).collect();
            for stream in open {
                acted |= self.release(client, stream);
                acted |= self.send(client, stream);
                acted |= if client { self.half_close(stream) } else { self.finish(stream) };
                // Someone always has something to do until the calls end.
                acted |= self.give_up(client, stream);
            }
        }
        acted
    }

    fn start(&mut self) {
        let stream = self.client.last_key_value().map_or(1, |(stream, _)| stream + 2);
        let deadline = (self.random(4) == 0)
            .then(|| self.sim.now + Duration::from_millis(self.sim.random(500) + 1));
        let cardinality = cardinality(stream);
        let start = StartCall { cardinality, deadline, ..Pair::call() };
        let planned = if cardinality.has_single_request() { 1 } else { self.random(20) };
        let impatient = self.random(8) == 0;
        if let Ok(call) = self.sim.client.transport.start_call(self.sim.now, &start) {
            let mut side = Side::new(call, planned as u32);
            side.impatient = impatient;
            side.deadline = deadline.is_some();
            self.client.insert(call.stream(), side);
            self.to_start -= 1;
        }
    }

    fn release(&mut self, client: bool, stream: u32) -> bool {
        let patience = self.random(3);
        let sides = if client { &mut self.client } else { &mut self.server };
        let side = sides.get_mut(&stream).expect("known");
        if patience != 0 {
            return !side.unreleased.is_empty() || side.asked;
        }
        let wants = side.asked && side.unreleased.is_empty();
        side.asked &= !wants;
        let count = side.unreleased.len().min(1 + side.received as usize % 3);
        let size = side.unreleased.drain(..count).sum();
        let call = side.call;
        let end = if client { &mut self.sim.client } else { &mut self.sim.server };
        end.transport.release(self.sim.now, call, count, size);
        if wants {
            end.transport.want(self.sim.now, call);
        }
        count > 0 || wants
    }

    fn send(&mut self, client: bool, stream: u32) -> bool {
        let sides = if client { &mut self.client } else { &mut self.server };
        let side = sides.get_mut(&stream).expect("known");
        if side.full || side.sent == side.planned {
            return false;
        }
        let payload = payload(stream, client, side.sent, self.seed);
        let end = if client { &mut self.sim.client } else { &mut self.sim.server };
        let state = end.transport.send_message(self.sim.now, side.call, Message::plain(payload));
        if state == SendState::Gone {
            // Its end is among the events.
            return true;
        }
        side.sent += 1;
        side.full = state == SendState::Full;
        true
    }

    fn half_close(&mut self, stream: u32) -> bool {
        let side = self.client.get_mut(&stream).expect("known");
        if side.half_closed || side.sent < side.planned {
            return false;
        }
        side.half_closed = true;
        self.sim.client.transport.half_close(self.sim.now, side.call);
        true
    }

    fn finish(&mut self, stream: u32) -> bool {
        let side = self.server.get_mut(&stream).expect("known");
        if side.sent < side.planned || !side.remote_done {
            return false;
        }
        side.end = Some(End::Here(Some(Code::Ok)));
        self.sim.server.transport.finish(self.sim.now, side.call, &Status::ok());
        true
    }

    fn give_up(&mut self, client: bool, stream: u32) -> bool {
        let chance = self.random(20);
        let code = Code::ALL[self.random(16) as usize + 1];
        let sides = if client { &mut self.client } else { &mut self.server };
        let side = sides.get_mut(&stream).expect("known");
        if !side.impatient || chance != 0 || side.end.is_some() {
            return false;
        }
        if client {
            side.end = Some(End::Here(None));
            self.sim.client.transport.cancel(self.sim.now, side.call);
        } else {
            side.end = Some(End::Here(Some(code)));
            let status = Status::new(code, "enough");
            self.sim.server.transport.finish(self.sim.now, side.call, &status);
        }
        true
    }
}

impl Side {
    fn new(call: CallId, planned: u32) -> Self {
        Self {
            call,
            planned,
            sent: 0,
            full: false,
            received: 0,
            remote_done: false,
            unreleased: VecDeque::new(),
            asked: false,
            end: None,
            half_closed: false,
            impatient: false,
            deadline: false,
        }
    }
}

fn cardinality(stream: u32) -> Cardinality {
    [
        Cardinality::Unary,
        Cardinality::ClientStreaming,
        Cardinality::ServerStreaming,
        Cardinality::Bidirectional,
    ][stream as usize / 2 % 4]
}

/// A message follows from its place alone.
fn payload(stream: u32, of_client: bool, index: u32, seed: u64) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    (stream, of_client, index, seed).hash(&mut hasher);
    let mixed = hasher.finish();
    let most = [0, 10, 1000, 3000, 30_000][mixed as usize % 5];
    let size = (mixed >> 8) as usize % (most + 1);
    (0..size).map(|at| (mixed >> (at % 8 * 8)) as u8 ^ at as u8).collect()
}
