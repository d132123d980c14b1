//! Flow control (RFC 9113, 5.2 and 6.9): credit we have, credit we give, and how much to give.

use std::time::Duration;

use crate::frame::settings::MAX_WINDOW;
use crate::{Time, Window};

/// Credit that the peer gave us. Can be negative after a change of SETTINGS (6.9.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendWindow(i64);

impl SendWindow {
    pub(crate) fn new(initial: u32) -> Self {
        Self(i64::from(initial))
    }

    /// Bytes that may be sent.
    pub(crate) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.0 -= bytes as i64;
    }

    /// Adds credit; false if the window then exceeds 2^31-1.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: i64) -> bool {
        self.0 += bytes;
        self.0 <= i64::from(MAX_WINDOW)
    }
}

/// Credit that we gave the peer: what it may still send, and what was consumed and not yet given
/// back.
///
/// Invariant: `open + pending + (bytes delivered and not released) == size`, whatever happens to
/// the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveWindow {
    open: i64,
    pending: i64,
    size: i64,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self { open: i64::from(size), pending: 0, size: i64::from(size) }
    }

    /// The peer sent `bytes`; false if it had no credit for them, and none of `lenience` either.
    #[must_use]
    pub(crate) fn consume(&mut self, bytes: usize, lenience: u32) -> bool {
        self.open -= bytes as i64;
        bytes == 0 || self.open >= -i64::from(lenience)
    }

    /// `bytes` were consumed, or less if that is more than was taken. Returns the increment to send
    /// now, once it is worth a frame: `share` of them make a window.
    pub(crate) fn release(&mut self, bytes: usize, share: i64) -> Option<u32> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.pending = self.pending.saturating_add(bytes).min(self.size - self.open);
        if self.pending <= 0 || self.pending * share < self.size {
            return None;
        }
        self.open += self.pending;
        let increment = u32::try_from(self.pending).ok();
        self.pending = 0;
        increment
    }

    /// Credit the peer has, credit that waits to be given back, and the size of the window.
    pub(crate) fn parts(self) -> (i64, i64, i64) {
        (self.open, self.pending, self.size)
    }

    /// Whether the peer could have sent more.
    pub(crate) fn has_credit(self) -> bool {
        self.open > 0
    }

    /// The size of the window.
    pub(crate) fn size(self) -> u32 {
        u32::try_from(self.size).unwrap_or(u32::MAX)
    }

    /// The window becomes larger by `bytes`.
    pub(crate) fn grow(&mut self, bytes: u32) {
        self.size += i64::from(bytes);
        self.open += i64::from(bytes);
    }

    /// The window becomes `size`, if that is more; returns by how much it grew.
    pub(crate) fn grow_to(&mut self, size: u32) -> u32 {
        let grown = (i64::from(size) - self.size).max(0);
        self.size += grown;
        self.open += grown;
        u32::try_from(grown).unwrap_or(0)
    }
}

/// How large the windows towards us are, and whether to measure.
///
/// With `Auto` the bandwidth-delay product is sampled: a ping goes out when data arrives, and the
/// bytes that come until its acknowledgement are what the path holds. A sample close to the window
/// means that the window is what limits the peer, and doubles it.
#[derive(Clone, Debug)]
pub(crate) struct WindowSizer {
    initial: u32,
    stream: u32,
    max: u32,
    probe: Probe,
    /// Bytes to wait for between probes: more after each that changed nothing.
    spacing: u64,
    /// The best bandwidth seen, in bytes per second.
    bandwidth: f64,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    /// Counts bytes until a probe is worth its ping.
    Idle { bytes: u64 },
    /// A ping is under way since `at`.
    Sent { at: Time, bytes: u64 },
}

impl WindowSizer {
    pub(crate) fn new(window: Window) -> Self {
        let (stream, max) = match window {
            Window::Auto { max } => {
                let max = max.clamp(PROTOCOL_DEFAULT, MAX_WINDOW / 4);
                (INITIAL_AUTO.min(max), max)
            }
            Window::Fixed(size) => {
                let size = size.min(MAX_WINDOW / 4);
                (size, size)
            }
        };
        Self {
            initial: stream,
            stream,
            max,
            probe: Probe::Idle { bytes: 0 },
            spacing: u64::from(stream / 4),
            bandwidth: 0.0,
        }
    }

    /// The window that streams begin with: not what was measured, since a thousand streams could
    /// be filled at once.
    pub(crate) fn initial(&self) -> u32 {
        self.initial
    }

    /// The window that a busy stream should have.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    /// By how much the peer may exceed a stream's window before it has seen our SETTINGS, since it
    /// goes by the protocol's default until then (RFC 9113, 6.9.3).
    pub(crate) fn lenience_before_settings(&self) -> u32 {
        PROTOCOL_DEFAULT.saturating_sub(self.stream)
    }

    /// The window of the connection.
    pub(crate) fn connection(&self) -> u32 {
        self.stream.saturating_mul(4).clamp(MIN_CONNECTION, MAX_WINDOW)
    }

    /// Data came; whether a probing ping should go out now.
    pub(crate) fn received(&mut self, now: Time, bytes: usize) -> bool {
        if self.stream >= self.max {
            return false;
        }
        match &mut self.probe {
            Probe::Sent { bytes: counted, .. } => {
                *counted += bytes as u64;
                false
            }
            Probe::Idle { bytes: counted } => {
                *counted += bytes as u64;
                // Small calls never fill a window: no ping for them.
                let worth = *counted >= self.spacing;
                if worth {
                    self.probe = Probe::Sent { at: now, bytes: bytes as u64 };
                }
                worth
            }
        }
    }

    /// The probing ping was acknowledged; whether the windows grew.
    pub(crate) fn acknowledged(&mut self, now: Time) -> bool {
        let Probe::Sent { at, bytes } = self.probe else {
            return false;
        };
        self.probe = Probe::Idle { bytes: 0 };
        let round_trip = now.since(at).max(Duration::from_micros(1));
        let bandwidth = bytes as f64 / (round_trip.as_secs_f64() * 1.5);
        let limited = bytes * 3 >= u64::from(self.stream) * 2;
        if !limited || bandwidth <= self.bandwidth {
            // Each ping costs both sides a frame, and often a system call.
            self.spacing = (self.spacing * 2).min(MAX_SPACING);
            return false;
        }
        self.bandwidth = bandwidth;
        let wanted = u32::try_from(bytes * 2).unwrap_or(u32::MAX).min(self.max);
        let grew = wanted > self.stream;
        self.stream = self.stream.max(wanted);
        self.spacing = u64::from(self.stream / 4);
        grew
    }
}

/// The window before SETTINGS say otherwise (RFC 9113, 6.9.2).
const PROTOCOL_DEFAULT: u32 = 65_535;

/// The initial stream window of `Auto`; what busy streams get beyond it is lent. With the protocol's 65,535 bytes each message of 64 KiB
/// waited for a WINDOW_UPDATE.
const INITIAL_AUTO: u32 = 256 << 10;

/// Bytes between probes at the most: the path may change.
const MAX_SPACING: u64 = 64 << 20;

/// Credit of a quarter of the connection's window is given back: so little that a sender with most
/// of a window in flight does not run dry.
pub(crate) const CONNECTION_SHARE: i64 = 4;

/// Of a stream's window half: a quarter would be a frame, and mostly a write, for each request of
/// 64 KiB, just before its end makes it useless.
pub(crate) const STREAM_SHARE: i64 = 2;

/// The connection's window is at least this: several streams' worth.
const MIN_CONNECTION: u32 = 1 << 20;
