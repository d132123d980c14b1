//! The sending side: what the user asks for, and who may send when.
//!
//! Data goes straight into the output while credit and room allow; what does not fit waits in its
//! stream's queue. Streams with waiting data and credit take turns, a frame each. The end of a
//! stream waits behind its data.

use bytes::Bytes;

use crate::flow::STREAM_SHARE;
use crate::frame::{self, FrameHead};
use crate::stream::{Chunk, End, Waits};
use crate::{Field, Fields, Limits, Reason, Role, StreamKey, Time, Transmit};

use super::{Connection, Event, OpenError, OpenFrame};

impl Connection {
    /// Client: whether a stream could be opened now.
    pub fn can_open(&mut self) -> Result<(), OpenError> {
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        if self.streams.len() - self.peer_streams >= self.remote.max_streams as usize {
            self.wants_streams = true;
            return Err(OpenError::StreamLimit);
        }
        Ok(())
    }

    /// Client: opens a stream with a header list.
    pub fn open<'a>(
        &mut self,
        now: Time,
        fields: impl IntoIterator<Item = Field<'a>>,
        end: bool,
    ) -> Result<StreamKey, OpenError> {
        debug_assert_eq!(self.role, Role::Client);
        self.can_open()?;
        let id = self.next_stream;
        self.next_stream += 2;
        let key = self.insert(id);
        self.send_headers(key, fields, end);
        if self.next_stream > LAST_USED_STREAM {
            // Say so, for a new connection to take over; the streams that are open end in peace.
            self.shutdown(now, None);
        }
        Ok(key)
    }

    /// Sends a header list on an open stream, at once; data must not wait before it. With `end` it
    /// ends our half.
    pub fn send_headers<'a>(
        &mut self,
        key: StreamKey,
        fields: impl IntoIterator<Item = Field<'a>>,
        end: bool,
    ) {
        let Some(stream) = self.streams.stream_mut(key) else {
            return;
        };
        if !stream.send_open {
            return;
        }
        stream.headers_sent = true;
        self.encode_headers(key.id, fields, end);
        if end {
            self.end_send(key);
        }
    }

    /// Sends `head` (at most 8 bytes) and `payload`, as one run of bytes; with `end` they end our
    /// half.
    pub fn send_data(&mut self, now: Time, key: StreamKey, head: &[u8], payload: Bytes, end: bool) {
        let Some(stream) = self.streams.stream_mut(key) else {
            return;
        };
        if !stream.send_open || !matches!(stream.queue.end, End::Open) {
            return;
        }
        let length = head.len() + payload.len();
        let empty = stream.queue.chunks.is_empty();
        let covered = length <= stream.send_window.available()
            && length <= self.send_window.available()
            && self.out.len() < DIRECT_LIMIT;
        // A small message joins the DATA frame that was begun last, if that is of the same stream
        // and nothing was put behind it: many of them cost one frame.
        if let Some(open) = &mut self.open_frame
            && open.stream == key
            && open.end == self.out.end()
            && empty
            && covered
            && !end
            && payload.len() < JOIN_LIMIT
        {
            let whole = open.end - open.start - FrameHead::SIZE + length;
            if whole <= self.remote.max_frame {
                stream.send_window.consume(length);
                self.send_window.consume(length);
                self.out.extend_frame(open.start, whole, [head, &payload]);
                open.end = self.out.end();
                return;
            }
        }
        // What needs no credit need not wait for those who do.
        let fits =
            length == 0 || covered && self.ready.is_empty() && length <= self.remote.max_frame;
        if empty && fits {
            stream.send_window.consume(length);
            self.send_window.consume(length);
            let data = frame::data::head(key.id, length, end);
            let start = self.out.end();
            self.out.encode(|out| {
                out.extend_from_slice(&data.encode());
                out.extend_from_slice(head);
            });
            let copied = payload.len() < JOIN_LIMIT;
            self.out.push_payload(payload);
            self.open_frame =
                (copied && !end).then(|| OpenFrame { stream: key, start, end: self.out.end() });
            self.data_sent();
            if end {
                self.end_send(key);
            }
            return;
        }
        self.sendable -= stream.sendable();
        stream.queue.push(now, Chunk::new(head, payload));
        self.sendable += stream.sendable();
        self.queued += length;
        if end {
            stream.queue.end = End::Data;
        }
        self.mark_ready(key);
        self.arm_stall_check(now);
    }

    /// Ends our half with a trailer section, after the data that waits.
    pub fn send_trailers<'a>(
        &mut self,
        key: StreamKey,
        fields: impl IntoIterator<Item = Field<'a>>,
    ) {
        let Some(stream) = self.streams.stream_mut(key) else {
            return;
        };
        if !stream.send_open || !matches!(stream.queue.end, End::Open) {
            return;
        }
        if stream.queue.is_empty() {
            stream.headers_sent = true;
            self.encode_headers(key.id, fields, true);
            self.end_send(key);
            return;
        }
        let mut kept = Fields::new();
        for field in fields {
            kept.push_field(field);
        }
        stream.queue.end = End::Trailers(Box::new(kept));
    }

    /// Ends our half without more data.
    pub fn end_stream(&mut self, now: Time, key: StreamKey) {
        if let Some(stream) = self.streams.stream_mut(key)
            && !stream.queue.is_empty()
        {
            if matches!(stream.queue.end, End::Open) {
                stream.queue.end = End::Data;
            }
            return;
        }
        self.send_data(now, key, &[], Bytes::new(), true);
    }

    /// Ends the stream at once with RST_STREAM; what waits is dropped. No event follows.
    pub fn reset(&mut self, key: StreamKey, reason: Reason) {
        if self.remove(key).is_some() {
            self.out.encode(|out| frame::reset::encode(key.id, reason, out));
            self.recent_resets.add(key.id);
        }
    }

    /// Gives the stream's window `bytes` back.
    pub fn release(&mut self, key: StreamKey, bytes: usize) {
        if let Some(stream) = self.streams.stream_mut(key)
            && stream.receive_open
            && let Some(increment) = stream.receive_window.release(bytes, STREAM_SHARE)
        {
            // Half a window was used: a larger one may serve the stream better.
            let wanted = self.sizer.stream().saturating_sub(stream.receive_window.size());
            let left = self.config.limits.window_loans - self.loaned;
            let loan = wanted.min(left);
            stream.receive_window.grow(loan);
            stream.loan += loan;
            self.loaned += loan;
            let increment = increment + loan;
            self.out.encode(|out| frame::window_update::encode(key.id, increment, out));
        }
    }

    /// Moves output into `transmit` until it holds about `max_bytes`; whether it holds anything.
    /// Call it again whenever some of it was written.
    pub fn poll_transmit(&mut self, now: Time, transmit: &mut Transmit, max_bytes: usize) -> bool {
        let rest = transmit.len();
        if rest < max_bytes {
            self.pump(now, max_bytes - rest);
            transmit.append(&mut self.out);
            self.open_frame = None;
            self.pending_acks = 0;
            self.unblock();
        }
        self.timers.write_pending = match self.timers.write_pending {
            _ if transmit.is_empty() => None,
            // No progress since the last call: the clock runs on.
            Some((since, left)) if left == rest && rest > 0 => Some((since, transmit.len())),
            _ => Some((now, transmit.len())),
        };
        !transmit.is_empty()
    }

    /// Moves waiting data into the output, a frame of each stream in turn.
    fn pump(&mut self, now: Time, limit: usize) {
        while self.out.len() < limit
            && let Some(key) = self.ready.pop_front()
        {
            let Some(stream) = self.streams.stream_mut(key) else {
                continue;
            };
            stream.in_ready = false;
            let credit = stream
                .send_window
                .available()
                .min(self.send_window.available())
                .min(self.remote.max_frame);
            if credit == 0 && stream.queue.bytes > 0 {
                if stream.send_window.available() > 0 {
                    // The connection's window is used up: keep the turn for later.
                    stream.in_ready = true;
                    self.ready.push_front(key);
                    return;
                }
                // The stream's WINDOW_UPDATE brings it back.
                continue;
            }
            self.send_frame(now, key, credit);
        }
    }

    /// Sends one frame of a stream's queue, of at most `credit` bytes, and the end if that is next.
    fn send_frame(&mut self, now: Time, key: StreamKey, credit: usize) {
        let stream = self.streams.stream_mut(key).expect("the caller found it");
        if stream.queue.bytes > 0 || !stream.queue.chunks.is_empty() {
            let length = stream.queue.bytes.min(credit);
            let last = length == stream.queue.bytes && matches!(stream.queue.end, End::Data);
            if last {
                // Said with this frame: a later WINDOW_UPDATE shall find nothing left to send.
                stream.queue.end = End::Open;
            }
            stream.send_window.consume(length);
            self.send_window.consume(length);
            stream.queue.take(now, length);
            self.queued -= length;
            // No more than the credit is sent: both parts of the minimum got smaller by it.
            self.sendable -= length;
            let data = frame::data::head(key.id, length, last);
            self.out.encode(|out| out.extend_from_slice(&data.encode()));
            let mut left = length;
            while let Some(chunk) = stream.queue.chunks.front_mut() {
                if left == 0 && !chunk.is_empty() {
                    break;
                }
                let piece = chunk.split(left);
                left -= piece.len();
                self.out.encode(|out| out.extend_from_slice(piece.head()));
                if !piece.payload.is_empty() {
                    self.out.push_payload(piece.payload);
                }
                if chunk.is_empty() {
                    stream.queue.chunks.pop_front();
                }
            }
            if stream.waits == Waits::Queue
                && stream.queue.bytes < self.config.limits.send_buffer_per_stream / 2
            {
                stream.waits = Waits::No;
                self.events.push_back(Event::Writable { token: stream.token });
            }
            self.data_sent();
            if last {
                self.end_send(key);
                return;
            }
        }
        let stream = self.streams.stream_mut(key).expect("still open");
        if stream.queue.bytes > 0 {
            self.mark_ready(key);
        } else if let End::Trailers(_) = stream.queue.end {
            let End::Trailers(fields) = std::mem::take(&mut stream.queue.end) else {
                return;
            };
            self.encode_headers(key.id, fields.iter(), true);
            self.end_send(key);
        } else if matches!(stream.queue.end, End::Data) {
            // The data went out before its end was known.
            stream.queue.end = End::Open;
            let data = frame::data::head(key.id, 0, true);
            self.out.encode(|out| out.extend_from_slice(&data.encode()));
            self.end_send(key);
        }
    }

    /// Puts a stream into the ring of those that take turns.
    pub(super) fn mark_ready(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.stream_mut(key)
            && !stream.in_ready
        {
            stream.in_ready = true;
            self.ready.push_back(key);
        }
    }

    fn encode_headers<'a>(
        &mut self,
        id: u32,
        fields: impl IntoIterator<Item = Field<'a>>,
        end: bool,
    ) {
        let (encoder, max_frame) = (&mut self.encoder, self.remote.max_frame);
        self.out.encode(|out| {
            let start = out.len();
            out.extend_from_slice(&[0; FrameHead::SIZE]);
            encoder.encode(fields, out);
            frame::headers::finish_block(out, start, id, end, max_frame);
        });
        self.data_sent();
    }

    fn data_sent(&mut self) {
        self.budgets.window_updates.give_many(Limits::WINDOW_UPDATES_PER_FRAME);
        self.judge.data_sent();
        self.keepalive.data_sent();
    }

    /// Our half is closed. A server whose answer is complete asks a client that still sends to
    /// stop (RFC 9113, 8.1).
    fn end_send(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.stream_mut(key) else {
            return;
        };
        stream.send_open = false;
        // Else a change of windows would find something to send, and send the end again.
        stream.queue.end = End::Open;
        if self.role == Role::Server && stream.receive_open {
            stream.receive_open = false;
            self.out.encode(|out| frame::reset::encode(key.id, Reason::NO_ERROR, out));
            self.recent_resets.add(key.id);
        }
        if stream.is_closed() {
            self.remove(key);
        }
    }
}

/// Output above which data waits in its queue, so that streams take turns.
const DIRECT_LIMIT: usize = 64 << 10;

/// Payloads from this size on are not copied into a frame that was begun.
const JOIN_LIMIT: usize = 1024;

/// Three quarters of the ids of a connection: past them a client moves on to a new one.
const LAST_USED_STREAM: u32 = 0x5fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    /// Row 31: the ids of a connection come to an end, gracefully.
    #[test]
    fn the_last_stream() {
        let mut client = Connection::new(Role::Client, Config::default(), Time::ZERO);
        client.next_stream = LAST_USED_STREAM - 2;
        let open = |client: &mut Connection| {
            client.open(Time::ZERO, Fields::new().iter(), false).map(StreamKey::id)
        };
        assert_eq!(open(&mut client), Ok(LAST_USED_STREAM - 2));
        assert!(!client.is_draining());
        assert_eq!(open(&mut client), Ok(LAST_USED_STREAM));
        assert!(client.is_draining());
        assert_eq!(open(&mut client), Err(OpenError::Draining));
        let event = client.receive(Time::ZERO, &mut &[][..]);
        assert!(matches!(event, Some(Event::Draining)), "{event:?}");
        assert_eq!(client.open_streams(), 2);
        assert_eq!(client.close_cause(), None);
    }
}
