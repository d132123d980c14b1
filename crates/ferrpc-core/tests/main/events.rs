//! The contract of events: random commands on calls that live, end and have ended long ago.

use std::collections::HashMap;
use std::time::Duration;

use ferrpc_core::transport::{
    CallId, CallLimits, Cardinality, Config, Event, Message, SendState, StartCall,
};
use ferrpc_core::{Encoding, Metadata, Status};
use ferrpc_http2::Window;
use ferrpc_testing::{End, Pair};
use proptest::collection::vec;
use proptest::prelude::*;

/// What one side knows of a call.
#[derive(Debug, Default)]
struct Known {
    headers: bool,
    remote_done: bool,
    ended: bool,
    full: bool,
    received: u32,
    sent: u32,
}

/// What one side knows of its calls, and the rules that its events keep.
#[derive(Debug, Default)]
struct Side {
    calls: HashMap<CallId, Known>,
    ids: Vec<CallId>,
    closed: bool,
}

impl Side {
    fn add(&mut self, call: CallId) {
        let in_use = self.calls.iter().any(|(id, known)| !known.ended && id.slot() == call.slot());
        assert!(!in_use, "the slot of {call:?} is another call's");
        assert!(self.calls.insert(call, Known::default()).is_none(), "{call:?} came twice");
        self.ids.push(call);
    }

    fn pick(&self, index: usize) -> Option<CallId> {
        // The last ones more often: they are alive.
        let back = if index.is_multiple_of(3) { index } else { index % 4 };
        self.ids.len().checked_sub(1 + back % self.ids.len().max(1)).map(|at| self.ids[at])
    }

    fn end(&mut self, call: CallId) {
        self.known(call).ended = true;
    }

    fn known(&mut self, call: CallId) -> &mut Known {
        self.calls.get_mut(&call).expect("reported before")
    }

    /// A call of which something is reported: it must be alive.
    fn alive(&mut self, call: CallId, event: &Event) -> &mut Known {
        let known = self.calls.get_mut(&call);
        assert!(known.as_ref().is_some_and(|known| !known.ended), "{event:?} of {known:?}");
        known.expect("just checked")
    }

    fn take(&mut self, event: &Event) {
        assert!(!self.closed, "{event:?} after the connection's end");
        match event {
            Event::Call { call, .. } => {
                self.add(*call);
                self.known(*call).headers = true;
            }
            Event::Headers { call, .. } => {
                let known = self.alive(*call, event);
                assert!(!std::mem::replace(&mut known.headers, true), "headers twice");
            }
            Event::Message { call, message } => {
                let known = self.alive(*call, event);
                assert!(known.headers && !known.remote_done, "{event:?}");
                assert_eq!(message.payload[..4], known.received.to_be_bytes());
                known.received += 1;
            }
            Event::Messages { call, run } => {
                for message in run.clone() {
                    self.take(&Event::Message { call: *call, message });
                }
            }
            Event::RemoteDone { call } => {
                let known = self.alive(*call, event);
                assert!(known.headers && !std::mem::replace(&mut known.remote_done, true));
            }
            Event::Withheld { call } => {
                self.alive(*call, event);
            }
            Event::Writable { call } => {
                let known = self.alive(*call, event);
                assert!(std::mem::replace(&mut known.full, false), "nobody waited");
            }
            Event::Cancelled { call, .. } | Event::Finished { call, .. } => {
                self.alive(*call, event).ended = true;
            }
            Event::Closed { .. } => {
                self.closed = true;
                assert!(self.calls.values().all(|known| known.ended), "calls are left");
            }
            Event::Http { .. } => panic!("{event:?}"),
            Event::Ready | Event::StreamsAvailable | Event::MayStart | Event::Draining => {}
        }
    }

    fn send(&mut self, end: &mut End, now: ferrpc_core::Time, call: CallId, size: usize) {
        let known = self.known(call);
        let mut payload = vec![0; size + 4];
        payload[..4].copy_from_slice(&known.sent.to_be_bytes());
        match end.transport.send_message(now, call, Message::plain(payload)) {
            SendState::Gone => {}
            state => {
                assert!(!known.ended, "a call that has ended takes messages");
                known.sent += 1;
                known.full = state == SendState::Full;
            }
        }
    }
}

/// One thing that happens: what, to which call, with which number.
type Step = (u8, u8, u16);

struct World {
    pair: Pair,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    client: Side,
    server: Side,
}

impl World {
    fn new() -> Self {
        let http2 = ferrpc_http2::Config { window: Window::Fixed(20_000), ..Default::default() };
        let config = || Config {
            http2: http2.clone(),
            max_held_messages: 30_000,
            message_runs: true,
            ..Config::default()
        };
        let pair = Pair::with(config(), config());
        Self {
            pair,
            to_client: Vec::new(),
            to_server: Vec::new(),
            client: Side::default(),
            server: Side::default(),
        }
    }

    /// Takes up to `most` events of a side; the others wait in its transport, as in a driver that
    /// is told something by the application in between. A call is accepted when it is seen.
    fn look(&mut self, client: bool, most: usize) {
        let (end, side) = if client {
            (&mut self.pair.client, &mut self.client)
        } else {
            (&mut self.pair.server, &mut self.server)
        };
        for _ in 0..most {
            let Some(event) = end.transport.poll_event() else {
                return;
            };
            side.take(&event);
            if let Event::Call { call, .. } = event {
                let cardinality = CARDINALITIES[call.stream() as usize / 2 % 4];
                end.transport.accept(call, cardinality, CallLimits::default());
            }
        }
    }

    /// Carries bytes one way, as far as they are taken at once.
    fn carry(&mut self, there: bool) {
        let now = self.pair.now;
        let (from, inbox) = if there {
            (&mut self.pair.client, &mut self.to_server)
        } else {
            (&mut self.pair.server, &mut self.to_client)
        };
        inbox.extend(from.output_only(now));
        // Events are drained before more bytes are passed.
        self.look(!there, usize::MAX);
        let (to, inbox) = if there {
            (&mut self.pair.server, &mut self.to_server)
        } else {
            (&mut self.pair.client, &mut self.to_client)
        };
        let taken = to.transport.handle_bytes(now, inbox);
        inbox.drain(..taken);
    }

    fn step(&mut self, (what, which, number): Step) {
        let now = self.pair.now;
        let (client, server) = (self.client.pick(which.into()), self.server.pick(which.into()));
        let size = usize::from(number) % 9000;
        let ours = &mut self.pair.client.transport;
        let theirs = &mut self.pair.server.transport;
        let empty = Metadata::new();
        match (what, client, server) {
            (0..=5, ..) => {
                let next = self.client.ids.last().map_or(1, |call| call.stream() + 2);
                let cardinality = CARDINALITIES[next as usize / 2 % 4];
                let deadline =
                    number.is_multiple_of(5).then(|| now + Duration::from_millis(number.into()));
                let start = StartCall { cardinality, deadline, ..Pair::call() };
                if let Ok(call) = ours.start_call(now, &start) {
                    self.client.add(call);
                }
            }
            (6..=11, Some(call), _) => {
                // A client that has half-closed sends no more: its part is not checked here.
                self.client.send(&mut self.pair.client, now, call, size);
            }
            (12, Some(call), _) => ours.half_close(now, call),
            (13, Some(call), _) => {
                ours.cancel(now, call);
                self.client.end(call);
            }
            (14..=16, Some(call), _) => ours.release(now, call, 1, size),
            (17..=21, _, Some(call)) => self.server.send(&mut self.pair.server, now, call, size),
            (22..=24, _, Some(call)) => theirs.release(now, call, 1, size),
            (25, _, Some(call)) => {
                theirs.send_headers(now, call, &empty, Encoding::Identity);
            }
            (26, _, Some(call)) => {
                theirs.finish(now, call, &Status::ok());
                self.server.end(call);
            }
            (27, _, Some(call)) => {
                theirs.finish(now, call, &Status::aborted("x"));
                self.server.end(call);
            }
            (28, _, Some(call)) => {
                theirs.cancel(now, call);
                self.server.end(call);
            }
            (29, _, Some(call)) => {
                let known = self.server.known(call);
                let payload = known.sent.to_be_bytes().to_vec();
                let message = Message::plain(payload);
                theirs.respond(now, call, &empty, Encoding::Identity, message, &empty);
                self.server.end(call);
            }
            (30, _, Some(call)) => {
                theirs.accept(call, Cardinality::Bidirectional, CallLimits::default());
            }
            (31, _, Some(call)) => {
                theirs.reject(now, call, &Status::unimplemented("x"));
                self.server.end(call);
            }
            (32..=35, ..) => self.carry(true),
            (36..=39, ..) => self.carry(false),
            (40..=45, ..) => self.look(which.is_multiple_of(2), usize::from(number) % 4),
            (46..=47, ..) => {
                self.pair.now = now + Duration::from_millis(u64::from(number) % 200);
                let now = self.pair.now;
                for end in [&mut self.pair.client, &mut self.pair.server] {
                    if end.transport.poll_timeout().is_some_and(|at| at <= now) {
                        end.transport.handle_timeout(now);
                    }
                }
            }
            (48, ..) if number < 2000 => theirs.shutdown(now, None),
            (49, ..) if number < 500 => {
                ours.handle_close(now);
                theirs.handle_close(now);
            }
            (50, _, Some(call)) => theirs.stop_receiving(call),
            _ => {}
        }
    }

    /// All calls end; nothing is left of them.
    fn settle(mut self) {
        for _ in 0..10_000 {
            self.carry(true);
            self.look(false, usize::MAX);
            self.carry(false);
            self.look(true, usize::MAX);
            let open = |side: &Side| {
                let open = side.calls.iter().filter(|(_, known)| !known.ended);
                open.map(|(call, _)| *call).collect::<Vec<_>>()
            };
            let (client, server) = (open(&self.client), open(&self.server));
            if client.is_empty() && server.is_empty() {
                break;
            }
            let now = self.pair.now;
            for call in server {
                self.pair.server.transport.finish(now, call, &Status::ok());
                self.server.end(call);
            }
            for call in client {
                self.pair.client.transport.release(now, call, 1, usize::MAX);
            }
        }
        self.carry(true);
        self.carry(false);
        self.look(true, usize::MAX);
        self.look(false, usize::MAX);
        for end in [&self.pair.client, &self.pair.server] {
            assert_eq!(end.transport.open_calls(), 0);
            assert_eq!(end.transport.held_messages(), 0);
            assert_eq!(end.transport.buffered(), 0);
        }
    }
}

const CARDINALITIES: [Cardinality; 4] = [
    Cardinality::Bidirectional,
    Cardinality::Unary,
    Cardinality::ClientStreaming,
    Cardinality::ServerStreaming,
];

fn run(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commands_in_any_order(
        steps in vec((0u8..51, any::<u8>(), any::<u16>()), 0..300),
    ) {
        run(&steps);
    }
}
