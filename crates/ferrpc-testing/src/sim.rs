//! A pair of transports over a network with moods, from one seed.

use std::collections::VecDeque;
use std::time::Duration;

use ferrpc_core::transport::{Config, Event};
use ferrpc_core::{Time, Transport};

use crate::End;

/// What the network may do.
#[derive(Clone, Copy, Debug)]
pub struct SimConfig {
    /// The longest a piece of bytes is under way.
    pub max_delay: Duration,
    /// The largest piece; smaller ones are common.
    pub max_piece: usize,
    /// Chance in a thousand, per piece, that the direction stands still for ten times the delay.
    pub stall_per_mille: u32,
    /// Chance in a million, per piece, that the connection is cut.
    pub cut_per_million: u32,
}

/// Client and server with a network between them that splits, joins, delays, stalls and cuts the
/// byte streams. Everything follows from the seed: a failing test prints it and replays it.
#[derive(Debug)]
pub struct Sim {
    /// The client's end.
    pub client: End,
    /// The server's end.
    pub server: End,
    /// Virtual time.
    pub now: Time,
    /// Whether the network has cut the connection.
    pub is_cut: bool,
    is_closed: bool,
    config: SimConfig,
    random: Random,
    there: Pipe,
    back: Pipe,
}

/// Bytes under way in one direction; what was sent first arrives first.
#[derive(Debug, Default)]
struct Pipe {
    pieces: VecDeque<(Time, Vec<u8>)>,
}

impl Sim {
    /// Two transports with these settings and a network from `seed`.
    pub fn new(seed: u64, config: SimConfig, client: Config, server: Config) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        Self {
            client: End::new(Transport::client(client, now)),
            server: End::new(Transport::server(server, now)),
            now,
            is_cut: false,
            is_closed: false,
            config,
            random: Random(seed ^ 0x9e37_79b9_7f4a_7c15),
            there: Pipe::default(),
            back: Pipe::default(),
        }
    }

    /// Goes to the next thing that happens (bytes arrive, a timer fires); false if nothing will.
    /// An end that is finished closes the byte stream behind its last byte.
    pub fn step(&mut self) -> bool {
        self.send();
        let arrivals = [&self.there, &self.back];
        let arrival =
            arrivals.into_iter().filter_map(|pipe| pipe.pieces.front()).map(|(at, _)| *at);
        let timers = [&self.client, &self.server];
        let timer = timers.into_iter().filter_map(|end| end.transport.poll_timeout());
        let Some(next) = arrival.chain(timer).min() else {
            return false;
        };
        self.now = self.now.max(next);
        for (pipe, end) in [(&mut self.there, &mut self.server), (&mut self.back, &mut self.client)]
        {
            while pipe.pieces.front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, bytes) = pipe.pieces.pop_front().expect("just seen");
                end.feed(self.now, &bytes);
            }
            if end.transport.poll_timeout().is_some_and(|at| at <= self.now) {
                end.transport.handle_timeout(self.now);
                end.collect();
            }
        }
        if !self.is_closed
            && ((self.client.transport.is_finished() && self.there.pieces.is_empty())
                || (self.server.transport.is_finished() && self.back.pieces.is_empty()))
        {
            self.close();
        }
        true
    }

    /// The next event of either end: true for the client's.
    pub fn event(&mut self) -> Option<(bool, Event)> {
        self.client
            .event()
            .map(|event| (true, event))
            .or_else(|| self.server.event().map(|event| (false, event)))
    }

    /// Lets the server go on reading after a call was accepted.
    pub fn resume(&mut self) {
        self.server.feed(self.now, &[]);
    }

    /// A random number below `bound`, from the same seed.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn send(&mut self) {
        for (end, pipe) in [(&mut self.client, &mut self.there), (&mut self.server, &mut self.back)]
        {
            let output = end.output(self.now);
            let mut rest = &output[..];
            while !rest.is_empty() && !self.is_cut && !self.is_closed {
                let most = self.random.below(self.config.max_piece as u64) as usize + 1;
                let (piece, tail) = rest.split_at(most.min(rest.len()));
                rest = tail;
                let nanos = self.config.max_delay.as_nanos() as u64;
                let mut delay = Duration::from_nanos(self.random.below(nanos + 1));
                if self.random.below(1000) < u64::from(self.config.stall_per_mille) {
                    delay += self.config.max_delay * 10;
                }
                // Order holds: nothing overtakes.
                let after = pipe.pieces.back().map_or(Time::ZERO, |(at, _)| *at);
                pipe.pieces.push_back(((self.now + delay).max(after), piece.to_vec()));
                if self.random.below(1_000_000) < u64::from(self.config.cut_per_million) {
                    self.is_cut = true;
                }
            }
        }
        if self.is_cut && !self.is_closed {
            self.close();
        }
    }

    /// Both ends see the byte stream end; what was under way is lost.
    fn close(&mut self) {
        self.is_closed = true;
        self.there = Pipe::default();
        self.back = Pipe::default();
        self.client.close(self.now);
        self.server.close(self.now);
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            max_delay: Duration::from_millis(5),
            max_piece: 2000,
            stall_per_mille: 5,
            cut_per_million: 0,
        }
    }
}

/// splitmix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
