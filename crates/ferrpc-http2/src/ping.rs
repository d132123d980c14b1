//! Pings: those we send (keepalive, bandwidth probes, graceful close) and those we receive.

use std::time::Duration;

use crate::{Keepalive, PingPolicy, Time};

/// What a ping of ours is for; it is the first byte of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PingKind {
    /// Measures the bandwidth-delay product.
    Probe = 1,
    /// Asks whether the peer is alive.
    Keepalive = 2,
    /// Marks the point after which the peer has seen our GOAWAY.
    Drain = 3,
}

impl PingKind {
    /// The payload: the kind and a mark by which an acknowledgement is known to be of ours.
    pub(crate) const fn payload(self) -> [u8; 8] {
        [self as u8, b'f', b'e', b'r', b'r', b'p', b'c', 0]
    }

    pub(crate) fn of(payload: [u8; 8]) -> Option<Self> {
        [Self::Probe, Self::Keepalive, Self::Drain]
            .into_iter()
            .find(|kind| kind.payload() == payload)
    }
}

/// Decides when to ping a silent peer, and when to give it up (gRFC A8, L116).
///
/// ```text
///           interval without a byte            timeout without a byte
///   waiting ------------------------> pinged ------------------------> dead
///      ^                                |
///      +-------- any byte --------------+
/// ```
#[derive(Debug)]
pub(crate) struct KeepaliveTimer {
    config: Keepalive,
    last_received: Time,
    /// When the unanswered ping went out.
    pinged: Option<Time>,
    last_ping: Time,
    pings_without_data: u32,
}

/// What the keepalive timer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepaliveAction {
    Nothing,
    Ping,
    Dead,
}

impl KeepaliveTimer {
    pub(crate) fn new(config: Keepalive, now: Time) -> Self {
        Self { config, last_received: now, pinged: None, last_ping: now, pings_without_data: 0 }
    }

    pub(crate) fn received(&mut self, now: Time) {
        self.last_received = now;
        self.pinged = None;
    }

    pub(crate) fn data_sent(&mut self) {
        self.pings_without_data = 0;
    }

    /// When [`act`](Self::act) has something to do.
    pub(crate) fn due(&self, streams: usize) -> Option<Time> {
        let interval = self.config.interval?;
        if let Some(pinged) = self.pinged {
            return Some(pinged + self.config.timeout);
        }
        if streams == 0 && !self.config.without_streams {
            return None;
        }
        let bound = self.config.max_pings_without_data;
        let spacing = if bound > 0 && self.pings_without_data >= bound {
            interval.max(PING_SPACING_WITHOUT_DATA)
        } else {
            interval
        };
        Some((self.last_received + interval).max(self.last_ping + spacing))
    }

    pub(crate) fn act(&mut self, now: Time, streams: usize) -> KeepaliveAction {
        match self.due(streams) {
            Some(due) if due <= now => {}
            _ => return KeepaliveAction::Nothing,
        }
        if self.pinged.is_some() {
            return KeepaliveAction::Dead;
        }
        self.pinged = Some(now);
        self.last_ping = now;
        self.pings_without_data += 1;
        KeepaliveAction::Ping
    }
}

/// Judges the pings a server receives (gRFC A8).
#[derive(Debug)]
pub(crate) struct PingJudge {
    policy: PingPolicy,
    last_good: Option<Time>,
    strikes: u32,
}

/// What a received ping was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Strike,
    TooMany,
}

impl PingJudge {
    pub(crate) fn new(policy: PingPolicy) -> Self {
        Self { policy, last_good: None, strikes: 0 }
    }

    /// We sent HEADERS or DATA: a ping may follow at once.
    pub(crate) fn data_sent(&mut self) {
        self.last_good = None;
        self.strikes = 0;
    }

    pub(crate) fn received(&mut self, now: Time, streams: usize) -> Verdict {
        let spacing = if streams == 0 && !self.policy.without_streams {
            SPACING_WHEN_NOT_PERMITTED
        } else {
            self.policy.min_interval
        };
        if self.last_good.is_none_or(|last| now.since(last) >= spacing) {
            self.last_good = Some(now);
            return Verdict::Good;
        }
        self.strikes += 1;
        if self.policy.max_strikes > 0 && self.strikes > self.policy.max_strikes {
            Verdict::TooMany
        } else {
            Verdict::Strike
        }
    }
}

/// How often a client may ping without data once it has sent its free ones (L116).
const PING_SPACING_WITHOUT_DATA: Duration = Duration::from_secs(60);

/// How often pings may come while no stream is open and that is not permitted (A8).
const SPACING_WHEN_NOT_PERMITTED: Duration = Duration::from_secs(2 * 60 * 60);
