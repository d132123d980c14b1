//! DATA: credit, padding and content-length; payload is handed on in the pieces it comes in.

use crate::flow::CONNECTION_SHARE;
use crate::frame::{self, Fault, FrameHead, flag};
use crate::ping::PingKind;
use crate::{Limits, Reason, StreamKey, Time};

use super::receive::State;
use super::{Connection, Event};

/// A DATA frame whose payload is being handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataFrame {
    /// None: the stream is closed, the bytes are dropped.
    pub(super) stream: Option<StreamKey>,
    pub(super) pad_length_due: bool,
    pub(super) left: usize,
    pub(super) padding: usize,
    pub(super) end: bool,
}

impl Connection {
    pub(super) fn begin_data(&mut self, now: Time, head: FrameHead) -> Result<(), Fault> {
        let length = head.length as usize;
        if self.is_idle(head.stream) {
            return Err(Fault::protocol("DATA on an idle stream"));
        }
        if !self.receive_window.consume(length, 0) {
            return Err(Fault::Connection(
                Reason::FLOW_CONTROL_ERROR,
                "DATA beyond the connection's window",
            ));
        }
        let end = head.has(flag::END_STREAM);
        let mut data = DataFrame {
            stream: None,
            pad_length_due: head.has(flag::PADDED),
            left: length,
            padding: 0,
            end,
        };
        self.reader.state = State::Data(data);
        if !data.pad_length_due {
            self.meter_payload(now, length, end)?;
        }
        let Some(key) = self.streams.find(head.stream) else {
            if !data.pad_length_due {
                self.meter_small(now, None, length, end)?;
            }
            return self.on_closed_stream(now, head);
        };
        let lenience = if self.settings_seen { 0 } else { self.sizer.lenience_before_settings() };
        let stream = self.streams.stream_mut(key).expect("just found");
        if !stream.receive_open {
            return Err(Fault::Stream(head.stream, Reason::STREAM_CLOSED));
        }
        if !stream.headers_received {
            return Err(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR));
        }
        if !stream.receive_window.consume(length, lenience) {
            return Err(Fault::Stream(head.stream, Reason::FLOW_CONTROL_ERROR));
        }
        if !data.pad_length_due {
            self.meter_small(now, Some(key), length, end)?;
            self.count_content(key, length, end)?;
        }
        data.stream = Some(key);
        self.reader.state = State::Data(data);
        if length > 0 && self.sizer.received(now, length) {
            self.out.encode(|out| frame::ping::encode(PingKind::Probe.payload(), false, out));
        }
        Ok(())
    }

    /// Hands on what has come of a DATA frame.
    pub(super) fn step_data<'a>(
        &mut self,
        now: Time,
        mut data: DataFrame,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        if data.pad_length_due {
            let Some((&padding, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            data.pad_length_due = false;
            data.left -= 1;
            data.padding = usize::from(padding);
            self.give_back(data.stream, 1);
            if data.padding > data.left {
                return Err(Fault::protocol("padding longer than the frame"));
            }
            data.left -= data.padding;
            self.reader.state = State::Data(data);
            self.meter_payload(now, data.left, data.end)?;
            self.meter_small(now, data.stream, data.left, data.end)?;
            if let Some(key) = data.stream {
                self.count_content(key, data.left, data.end)?;
            }
        }
        if data.left > 0 || data.padding == 0 {
            let (payload, rest) = input.split_at(data.left.min(input.len()));
            *input = rest;
            data.left -= payload.len();
            self.payload_came(payload.len());
            let done = data.left == 0 && data.padding == 0;
            self.reader.state = if done { State::Frame } else { State::Data(data) };
            return Ok(self.hand_on(data, payload, done && data.end));
        }
        // Padding: no one's but the windows'.
        let count = data.padding.min(input.len());
        *input = &input[count..];
        data.padding -= count;
        self.give_back(data.stream, count);
        if data.padding > 0 {
            self.reader.state = State::Data(data);
            return Ok(None);
        }
        self.reader.state = State::Frame;
        Ok(if data.end { self.hand_on(data, &[], true) } else { None })
    }

    /// A frame of payload pays for one without, be that empty or all padding.
    pub(super) fn meter_payload(
        &mut self,
        now: Time,
        payload: usize,
        end: bool,
    ) -> Result<(), Fault> {
        if payload >= Limits::SMALL_PAYLOAD {
            self.budgets.small_frames.give();
        }
        if payload > 0 {
            self.budgets.idle_frames.give();
            self.budgets.empty_frames.give();
        } else if !end {
            self.charge_empty_frame(now)?;
        }
        Ok(())
    }

    /// A frame that carries next to nothing is charged, unless it was all that the peer could send;
    /// on a closed stream, too.
    fn meter_small(
        &mut self,
        now: Time,
        key: Option<StreamKey>,
        payload: usize,
        end: bool,
    ) -> Result<(), Fault> {
        let small = (1..Limits::SMALL_PAYLOAD).contains(&payload) && !end;
        let stream = key.and_then(|key| self.streams.stream(key));
        if small
            && self.receive_window.has_credit()
            && stream.is_none_or(|stream| stream.receive_window.has_credit())
        {
            self.counters.small_frames += 1;
            if !self.budgets.small_frames.take(now) {
                return Err(Fault::calm("too_many_small_frames"));
            }
        }
        Ok(())
    }

    /// Compares the payload of a frame with what content-length promised (RFC 9113, 8.1.1), before
    /// any of it is handed on.
    pub(super) fn count_content(
        &mut self,
        key: StreamKey,
        payload: usize,
        end: bool,
    ) -> Result<(), Fault> {
        if let Some(stream) = self.streams.stream_mut(key)
            && let Some(left) = &mut stream.content_left
        {
            *left = match left.checked_sub(payload as u64) {
                Some(rest) if rest == 0 || !end => rest,
                _ => return Err(Fault::Stream(key.id, Reason::PROTOCOL_ERROR)),
            };
        }
        Ok(())
    }

    pub(super) fn hand_on<'a>(
        &mut self,
        data: DataFrame,
        payload: &'a [u8],
        end: bool,
    ) -> Option<Event<'a>> {
        // The stream may have been reset since the frame began.
        let key = data.stream?;
        let stream = self.streams.stream_mut(key)?;
        let token = stream.token;
        if payload.is_empty() && !end {
            return None;
        }
        if end {
            stream.receive_open = false;
            if stream.is_closed() {
                self.remove(key);
            }
        }
        Some(Event::Data { token, payload, end })
    }

    /// Padding consumed: both windows get it back.
    pub(super) fn give_back(&mut self, stream: Option<StreamKey>, bytes: usize) {
        self.release_connection(bytes);
        if let Some(stream) = stream {
            self.release(stream, bytes);
        }
    }

    /// Payload is handed on: the peer gets its credit back, unless that is held back.
    fn payload_came(&mut self, bytes: usize) {
        match &mut self.held_credit {
            Some(held) => *held += bytes,
            None => self.release_connection(bytes),
        }
    }

    /// Whether the connection's credit for payload is held back: then the peer can send what it has
    /// credit for and no more, on any stream, until it is let go.
    pub fn hold_credit(&mut self, hold: bool) {
        match self.held_credit {
            None if hold => self.held_credit = Some(0),
            Some(held) if !hold => {
                self.held_credit = None;
                self.release_connection(held);
                self.grow_windows();
            }
            _ => {}
        }
    }

    pub(super) fn release_connection(&mut self, bytes: usize) {
        if let Some(increment) = self.receive_window.release(bytes, CONNECTION_SHARE) {
            self.out.encode(|out| frame::window_update::encode(0, increment, out));
        }
    }
}
