//! Streams that are not open, and how streams end.

use crate::frame::{self, Fault, FrameHead, flag};
use crate::{Reason, Role, StreamKey, Time};

use super::{Connection, Event, ResetBy};

/// What is still told of a stream that is gone.
pub(super) struct Removed {
    pub(super) token: u32,
    pub(super) headers_sent: bool,
}

impl Connection {
    /// Whether no frame has opened the stream yet.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        let ours = id.is_multiple_of(2) == (self.role == Role::Server);
        if ours {
            id >= self.next_stream || self.role == Role::Server
        } else {
            id > self.highest_peer_stream
        }
    }

    /// Whether the stream is one that our GOAWAY said we would not look at.
    pub(super) fn is_ignored(&self, id: u32) -> bool {
        self.role == Role::Server && id > self.last_peer_stream && !self.is_idle(id)
    }

    /// DATA came on a closed stream: harmless if it was reset here a moment ago.
    pub(super) fn on_closed_stream(&mut self, now: Time, head: FrameHead) -> Result<(), Fault> {
        if !self.recent_resets.contains(head.stream) && !self.is_ignored(head.stream) {
            return Err(Fault::Stream(head.stream, Reason::STREAM_CLOSED));
        }
        // Payload costs the peer itself; an empty frame is charged here if it was not yet.
        if head.length == 0 && head.has(flag::END_STREAM) {
            self.charge_stray_frame(now)?;
        }
        Ok(())
    }

    pub(super) fn headers_on_closed<'a>(
        &mut self,
        now: Time,
        id: u32,
    ) -> Result<Option<Event<'a>>, Fault> {
        if self.recent_resets.contains(id) || self.is_ignored(id) {
            return self.charge_stray_frame(now).map(|()| None);
        }
        if (self.skipped.0..self.skipped.1).contains(&id) {
            return Err(Fault::protocol("stream id below that of an earlier stream"));
        }
        Err(Fault::Connection(Reason::STREAM_CLOSED, "HEADERS on a closed stream"))
    }

    /// A frame on a closed stream: free as long as there are no more of them than can have been
    /// under way when streams ended, then like any other that does nothing.
    pub(super) fn charge_stray_frame(&mut self, now: Time) -> Result<(), Fault> {
        if self.take_stray() { Ok(()) } else { self.charge_idle_frame(now) }
    }

    pub(super) fn take_stray(&mut self) -> bool {
        let left = self.stray_frames.checked_sub(1);
        self.counters.idle_frames += u64::from(left.is_some());
        self.stray_frames = left.unwrap_or(0);
        left.is_some()
    }

    /// A frame that carries nothing.
    pub(super) fn charge_empty_frame(&mut self, now: Time) -> Result<(), Fault> {
        self.counters.idle_frames += 1;
        if self.budgets.empty_frames.take(now) {
            Ok(())
        } else {
            Err(Fault::calm("too_many_empty_frames"))
        }
    }

    /// A frame that does nothing: fine, within a budget.
    pub(super) fn charge_idle_frame(&mut self, now: Time) -> Result<(), Fault> {
        self.counters.idle_frames += 1;
        if self.budgets.idle_frames.take(now) {
            Ok(())
        } else {
            Err(Fault::calm("too_many_idle_frames"))
        }
    }

    /// Resets a stream on which the peer broke a rule; too many of them end the connection.
    pub(super) fn reset_for_rule(&mut self, now: Time, id: u32, reason: Reason) {
        self.counters.induced_resets += 1;
        if !self.budgets.induced_resets.take(now) {
            self.fail(Reason::ENHANCE_YOUR_CALM, "too_many_stream_errors");
            return;
        }
        self.out.encode(|out| frame::reset::encode(id, reason, out));
        self.recent_resets.add(id);
        if let Some(key) = self.streams.find(id) {
            self.drop_stream(key, reason, ResetBy::Rule);
        }
    }

    pub(super) fn refuse(&mut self, id: u32) {
        self.out.encode(|out| frame::reset::encode(id, Reason::REFUSED_STREAM, out));
        self.recent_resets.add(id);
    }

    /// Reports a stream's end and removes it, in this order: removing the last stream may close the
    /// connection, and that is the last event.
    pub(super) fn drop_stream(&mut self, key: StreamKey, reason: Reason, by: ResetBy) {
        if let Some(stream) = self.streams.stream(key) {
            self.events.push_back(Event::Reset {
                token: stream.token,
                reason,
                by,
                headers_sent: stream.headers_sent,
            });
            self.remove(key);
        }
    }

    /// The peer's half is closed.
    pub(super) fn end_receive(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.stream_mut(key) {
            stream.receive_open = false;
            if stream.is_closed() {
                self.remove(key);
            }
        }
    }

    /// Takes a stream out of the store and out of every account.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Removed> {
        let stream = self.streams.stream(key)?;
        let removed = Removed { token: stream.token, headers_sent: stream.headers_sent };
        self.queued -= stream.queue.bytes;
        self.sendable -= stream.sendable();
        self.held_headers -= stream.held_headers;
        self.loaned -= stream.loan;
        self.streams.remove(key);
        self.stray_frames = (self.stray_frames + STRAYS_PER_STREAM).min(MAX_STRAYS);
        let by_peer = (key.id % 2 == 1) == (self.role == Role::Server);
        if by_peer {
            self.peer_streams -= 1;
        } else {
            self.offer_streams();
        }
        self.forget_closed();
        self.unblock();
        self.close_if_drained();
        Some(removed)
    }

    /// Says that streams can be opened, if somebody waits for that and it is so.
    pub(super) fn offer_streams(&mut self) {
        let own = self.streams.len() - self.peer_streams;
        if self.wants_streams && own < self.remote.max_streams as usize {
            self.wants_streams = false;
            self.events.push_back(Event::StreamsAvailable);
        }
    }
}

/// Frames that may be under way when a stream ends: response headers, trailers, RST_STREAM and
/// WINDOW_UPDATE. DATA is not counted.
const STRAYS_PER_STREAM: u32 = 4;

/// How many can add up: those of some thousand streams that end at once.
const MAX_STRAYS: u32 = 1 << 16;
