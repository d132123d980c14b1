//! What happens because time passes.

use crate::frame;
use crate::ping::{KeepaliveAction, PingKind};
use crate::{CloseCause, Limits, Reason, Time};

use super::Connection;

/// Points in time that are kept (the others are derived).
#[derive(Debug)]
pub(super) struct Timers {
    /// The handshake must be complete.
    pub(super) handshake: Option<Time>,
    /// Our SETTINGS must be acknowledged.
    pub(super) settings: Option<Time>,
    /// The header block begun must be complete.
    pub(super) header_block: Option<Time>,
    /// Output was handed out and not written since then.
    pub(super) write_pending: Option<(Time, usize)>,
    /// Streams are looked through for those that stall.
    pub(super) stall_check: Option<Time>,
    /// There are tokens for requests that wait to be served.
    pub(super) start: Option<Time>,
}

impl Timers {
    pub(super) fn new(now: Time, limits: &Limits) -> Self {
        Self {
            handshake: Some(now + limits.handshake_timeout),
            settings: Some(now + limits.settings_timeout),
            header_block: None,
            write_pending: None,
            stall_check: None,
            start: None,
        }
    }
}

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.closed.is_some() {
            return self.write_stalls_at();
        }
        [
            self.timers.handshake,
            self.timers.settings,
            self.timers.header_block,
            self.write_stalls_at(),
            self.timers.stall_check,
            self.timers.start,
            self.keepalive.due(self.streams.len()),
            self.drain.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come as far as [`poll_timeout`](Self::poll_timeout) said.
    pub fn handle_timeout(&mut self, now: Time) {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.write_stalls_at()) {
            self.out = crate::Transmit::new();
            self.open_frame = None;
            // It has fired; a closed connection has no other timer.
            self.timers.write_pending = None;
            self.close(CloseCause::WriteStall);
        }
        if self.closed.is_some() {
            return;
        }
        if due(self.timers.handshake) {
            let last = self.last_peer_stream;
            self.out.encode(|out| {
                frame::go_away::encode(last, Reason::PROTOCOL_ERROR, "handshake_timeout", out);
            });
            self.close(CloseCause::HandshakeTimeout);
            return;
        }
        if due(self.timers.settings) {
            self.fail(Reason::SETTINGS_TIMEOUT, "settings_timeout");
            return;
        }
        if due(self.timers.header_block) {
            self.fail(Reason::ENHANCE_YOUR_CALM, "header_block_timeout");
            return;
        }
        if due(self.timers.stall_check) {
            self.reset_stalled(now);
        }
        if due(self.timers.start) {
            self.offer_start();
        }
        match self.keepalive.act(now, self.streams.len()) {
            KeepaliveAction::Nothing => {}
            KeepaliveAction::Ping => self
                .out
                .encode(|out| frame::ping::encode(PingKind::Keepalive.payload(), false, out)),
            KeepaliveAction::Dead => {
                let last = self.last_peer_stream;
                self.out.encode(|out| {
                    frame::go_away::encode(last, Reason::NO_ERROR, "keepalive_timeout", out);
                });
                self.close(CloseCause::KeepaliveTimeout);
                return;
            }
        }
        if due(self.drain.due()) {
            self.handle_drain_timeout(now);
        }
    }

    fn write_stalls_at(&self) -> Option<Time> {
        self.timers.write_pending.map(|(since, _)| since + self.config.limits.write_stall)
    }
}
