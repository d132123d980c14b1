//! Who may send more, and what becomes of those whose peer takes nothing.
//!
//! What waits for a stream's own credit is not pressure: it can wait for long, and nobody else can
//! do anything about it. Two accounts are therefore kept apart:
//!
//! ```text
//!   sendable   queued, and covered by the stream's credit: leaves as fast as the connection takes it
//!   queued     all of it, sendable or not: memory
//! ```
//!
//! # Invariants
//! - A stream may send if its own queue is below `send_buffer_per_stream` and
//!   - with credit to spare: sendable bytes and output are below `send_buffer`;
//!   - without: queued bytes are below `send_memory`.
//!
//!   So a stream whose peer does not read never keeps one whose peer reads from sending, whatever
//!   the numbers of both.
//! - Whoever was told to wait is told when the reason is gone. Streams that wait for output are
//!   told in the order in which they began to wait.
//! - Streams with something to send and credit take turns, a frame each: between two frames of one
//!   stream each other one sends a frame.
//! - A stream is reset for making no progress only once `queued` has reached `send_memory` and its
//!   oldest byte has waited for `stream_stall`, the one that waits longest first, and no more of
//!   them than it takes for a quarter to be free. (From there on requests are begun again.)

use crate::frame;
use crate::limits::LEAST_ROOM;
use crate::stream::{Stream, Waits};
use crate::{Reason, StreamKey, Time};

use super::work::StartWaits;
use super::{Connection, Event, ResetBy};

impl Connection {
    /// Whether the user should send more on the stream now. If not, [`Event::Writable`] follows.
    pub fn is_writable(&mut self, key: StreamKey) -> bool {
        let limits = &self.config.limits;
        let Some(stream) = self.streams.stream_mut(key) else {
            return false;
        };
        if stream.queue.bytes >= limits.send_buffer_per_stream {
            stream.waits = Waits::Queue;
            return false;
        }
        if self.sendable + self.out.len() < limits.send_buffer && self.queued < self.send_memory {
            return true;
        }
        let line = if stream.has_spare_credit() {
            if self.sendable + self.out.len() < limits.send_buffer {
                return true;
            }
            stream.waits = Waits::Output;
            (!std::mem::replace(&mut stream.in_crowd, true)).then_some(&mut self.crowd)
        } else {
            if self.queued < self.send_memory {
                return true;
            }
            stream.waits = Waits::Memory;
            (!std::mem::replace(&mut stream.in_short, true)).then_some(&mut self.short)
        };
        if let Some(line) = line {
            line.push_back(key);
        }
        false
    }

    /// Whether what waits for credit takes more memory than it should: nothing should be begun
    /// that adds to it.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.queued >= self.send_memory
    }

    /// A stream got credit.
    pub(super) fn credit_came(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.stream_mut(key) else {
            return;
        };
        if stream.waits == Waits::Memory && stream.has_spare_credit() {
            stream.waits = Waits::No;
            self.events.push_back(Event::Writable { token: stream.token });
        }
        if !stream.queue.is_empty() {
            self.mark_ready(key);
        }
    }

    /// Tells streams that waited for the connection that there is room.
    #[inline]
    pub(super) fn unblock(&mut self) {
        let nobody = self.crowd.is_empty() && self.short.is_empty();
        if !nobody || self.start_waits != StartWaits::No {
            self.unblock_waiting();
        }
    }

    #[cold]
    fn unblock_waiting(&mut self) {
        let limits = &self.config.limits;
        while !self.crowd.is_empty() && self.sendable + self.out.len() < limits.send_buffer / 2 {
            let Some(stream) = self.crowd.pop_front().and_then(|key| self.streams.stream_mut(key))
            else {
                continue;
            };
            stream.in_crowd = false;
            if stream.waits == Waits::Output {
                stream.waits = Waits::No;
                self.events.push_back(Event::Writable { token: stream.token });
            }
        }
        if self.queued >= self.enough_memory() {
            return;
        }
        if self.start_waits == StartWaits::Memory {
            self.offer_start();
        }
        while !self.short.is_empty() {
            let Some(stream) = self.short.pop_front().and_then(|key| self.streams.stream_mut(key))
            else {
                continue;
            };
            stream.in_short = false;
            if stream.waits == Waits::Memory {
                stream.waits = Waits::No;
                self.events.push_back(Event::Writable { token: stream.token });
            }
        }
    }

    /// Removes closed streams from the ring and the lines once they are most of them: with windows
    /// shut none of these moves, and streams may come and go meanwhile.
    pub(super) fn forget_closed(&mut self) {
        let most = 2 * self.streams.len() + 16;
        if self.ready.len() + self.crowd.len() + self.short.len() <= most {
            return;
        }
        for keys in [&mut self.ready, &mut self.crowd, &mut self.short] {
            if keys.len() > most {
                keys.retain(|key| self.streams.stream(*key).is_some());
            }
        }
    }

    /// Below this whoever waited for memory goes on.
    const fn enough_memory(&self) -> usize {
        self.send_memory / 4 * 3
    }

    /// Whether stalled streams are to give their memory back: there is none, or requests wait for
    /// it.
    fn is_memory_wanted(&self) -> bool {
        self.is_short_of_memory() || self.start_waits == StartWaits::Memory
    }

    /// Looks for stalled streams soon, if there is too much that waits.
    pub(super) fn arm_stall_check(&mut self, now: Time) {
        if self.timers.stall_check.is_none() && self.is_memory_wanted() {
            self.timers.stall_check = Some(now + self.config.limits.stream_stall / 4);
        }
    }

    /// While more waits than there is memory for, streams whose peer has not taken what it was
    /// sent long ago give theirs back.
    pub(super) fn reset_stalled(&mut self, now: Time) {
        self.timers.stall_check = None;
        if !self.is_memory_wanted() {
            return;
        }
        let patience = self.config.limits.stream_stall;
        let waits_since = |stream: &Stream| stream.queue.waits_since();
        let mut stalled = self
            .streams
            .keys(|stream| stream.queue.bytes > 0 && now.since(waits_since(stream)) >= patience);
        stalled.sort_by_key(|key| self.streams.stream(*key).map(waits_since));
        for key in stalled {
            if self.queued < self.enough_memory() {
                break;
            }
            self.counters.stalled_streams += 1;
            self.reset_for_memory(key);
        }
        self.arm_stall_check(now);
    }
    /// The most bytes that all streams together may hold for sending, from now on: `bytes`, if that
    /// is less than [`send_memory`](crate::Limits::send_memory).
    pub fn limit_send_memory(&mut self, now: Time, bytes: usize) {
        self.send_memory = bytes.min(self.config.limits.send_memory).max(LEAST_ROOM);
        self.unblock();
        self.arm_stall_check(now);
    }

    /// Resets the streams that hold most for sending until `bytes` are free; how many were.
    pub fn shed(&mut self, bytes: usize) -> usize {
        let mut freed = 0;
        let mut holders = self.streams.keys(|stream| stream.queue.bytes > 0);
        let size = |key: &StreamKey| self.streams.stream(*key).map_or(0, |one| one.queue.bytes);
        holders.sort_by_cached_key(|key| std::cmp::Reverse(size(key)));
        for key in holders {
            if freed >= bytes {
                break;
            }
            freed += self.streams.stream(key).map_or(0, |stream| stream.queue.bytes);
            self.counters.stalled_streams += 1;
            self.reset_for_memory(key);
        }
        freed
    }

    fn reset_for_memory(&mut self, key: StreamKey) {
        let id = key.id;
        self.out.encode(|out| frame::reset::encode(id, Reason::ENHANCE_YOUR_CALM, out));
        self.recent_resets.add(id);
        self.drop_stream(key, Reason::ENHANCE_YOUR_CALM, ResetBy::Stall);
    }
}
