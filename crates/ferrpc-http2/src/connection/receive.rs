//! The receiving side: cutting bytes into frames.

use crate::frame::{self, Fault, FrameHead, flag, kind};
use crate::{Role, Time};

use super::data::DataFrame;
use super::headers::Block;
use super::{Connection, Event};

/// What a client sends first (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How far the input has been cut.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) state: State,
    /// A frame (its head, for DATA) of which only a part has come.
    pub(super) partial: Vec<u8>,
    /// A header block that CONTINUATION frames complete.
    pub(super) block: Option<Block>,
}

#[derive(Debug)]
pub(super) enum State {
    /// So many bytes of the client's preface were seen.
    Preface(usize),
    /// A frame begins, or has begun in `partial`.
    Frame,
    /// In a DATA frame.
    Data(DataFrame),
    /// In a frame of a kind that we do not know.
    Skip { left: usize },
}

impl Reader {
    /// Whether a DATA frame goes on without input: its end is still to be handed on.
    fn is_data_complete(&self) -> bool {
        matches!(self.state, State::Data(DataFrame { left: 0, padding: 0, .. }))
    }

    /// Bytes still to come of the DATA frame that is arriving.
    pub(super) fn data_left(&self) -> usize {
        match &self.state {
            State::Data(data) => data.left + data.padding,
            _ => 0,
        }
    }

    pub(super) fn new(role: Role) -> Self {
        let state = match role {
            Role::Client => State::Frame,
            Role::Server => State::Preface(0),
        };
        Self { state, partial: Vec::new(), block: None }
    }
}

impl Connection {
    /// Takes bytes off the front of `input` until they mean something, and says what. `None`: all
    /// of them were taken.
    pub fn receive<'a>(&mut self, now: Time, input: &mut &'a [u8]) -> Option<Event<'a>> {
        if !input.is_empty() {
            self.keepalive.received(now);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.closed.is_some() {
                *input = &[];
                return None;
            }
            if input.is_empty() && !self.reader.is_data_complete() {
                return None;
            }
            match self.step(now, input) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(Fault::Connection(reason, debug)) => self.fail(reason, debug),
                Err(Fault::Stream(id, reason)) => self.reset_for_rule(now, id, reason),
            }
        }
    }

    fn step<'a>(&mut self, now: Time, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Fault> {
        match self.reader.state {
            State::Preface(seen) => {
                let count = input.len().min(PREFACE.len() - seen);
                if input[..count] != PREFACE[seen..seen + count] {
                    return Err(Fault::protocol("no HTTP/2 preface"));
                }
                *input = &input[count..];
                let seen = seen + count;
                self.reader.state =
                    if seen == PREFACE.len() { State::Frame } else { State::Preface(seen) };
                Ok(None)
            }
            State::Skip { left } => {
                let count = left.min(input.len());
                *input = &input[count..];
                self.reader.state =
                    if count == left { State::Frame } else { State::Skip { left: left - count } };
                Ok(None)
            }
            State::Data(data) => self.step_data(now, data, input),
            State::Frame => self.step_frame(now, input),
        }
    }

    fn step_frame<'a>(
        &mut self,
        now: Time,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let bytes: &'a [u8] = input;
        // The usual case: the whole frame is there, and is read where it lies.
        if self.reader.partial.is_empty()
            && let Some((head, rest)) = bytes.split_first_chunk::<{ FrameHead::SIZE }>()
        {
            let head = FrameHead::parse(head);
            match self.enter_frame(now, head) {
                Ok(false) => {}
                entered => {
                    // A stream error, too, leaves the payload to be skipped, not the head.
                    *input = rest;
                    return entered.map(|_| None);
                }
            }
            if let Some((payload, rest)) = rest.split_at_checked(head.length as usize) {
                *input = rest;
                return self.handle_frame(now, head, payload);
            }
        }
        let missing = FrameHead::SIZE.saturating_sub(self.reader.partial.len());
        if missing > 0 {
            self.gather(input, missing);
            if self.reader.partial.len() < FrameHead::SIZE {
                return Ok(None);
            }
            let head = self.partial_head();
            match self.enter_frame(now, head) {
                Ok(false) => {}
                entered => {
                    self.reader.partial = Vec::new();
                    return entered.map(|_| None);
                }
            }
        }
        let head = self.partial_head();
        let whole = FrameHead::SIZE + head.length as usize;
        self.gather(input, whole - self.reader.partial.len());
        if self.reader.partial.len() < whole {
            if head.kind == kind::HEADERS {
                self.arm_header_block(now);
            }
            return Ok(None);
        }
        let partial = std::mem::take(&mut self.reader.partial);
        self.handle_frame(now, head, &partial[FrameHead::SIZE..])
    }

    fn gather(&mut self, input: &mut &[u8], wanted: usize) {
        let (taken, rest) = input.split_at(wanted.min(input.len()));
        self.reader.partial.extend_from_slice(taken);
        *input = rest;
    }

    fn partial_head(&self) -> FrameHead {
        let head = self.reader.partial.first_chunk().expect("gathered up to the head's size");
        FrameHead::parse(head)
    }

    /// Checks what can be checked of a frame before its payload, and enters the frames whose
    /// payload is not gathered: true for those. A stream error, too, has entered its frame, whose
    /// payload goes nowhere.
    fn enter_frame(&mut self, now: Time, head: FrameHead) -> Result<bool, Fault> {
        if head.length > self.config.max_frame_size() {
            return Err(Fault::frame_size("frame above MAX_FRAME_SIZE"));
        }
        if let Some(block) = &self.reader.block {
            if head.kind != kind::CONTINUATION || head.stream != block.stream {
                return Err(Fault::protocol("header block interrupted by another frame"));
            }
        } else if head.kind == kind::CONTINUATION {
            return Err(Fault::protocol("CONTINUATION without a header block"));
        }
        if !self.remote.received && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Fault::protocol("first frame is not SETTINGS"));
        }
        let limits = &self.config.limits;
        match head.kind {
            kind::DATA => {
                frame::data::check(head)?;
                self.begin_data(now, head)?;
                return Ok(true);
            }
            kind::HEADERS | kind::CONTINUATION => {
                if head.kind == kind::HEADERS {
                    frame::headers::check(head)?;
                }
                if head.length as usize > limits.header_block() + MAX_PADDING {
                    return Err(Fault::calm("header_block_too_large"));
                }
            }
            kind::PRIORITY => {
                if let Err(fault) = frame::priority::check(head) {
                    self.reader.state = State::Skip { left: head.length as usize };
                    return Err(match fault {
                        // No stream to reset (5.1), and a stream error may count as more (5.4.1).
                        Fault::Stream(id, _) if self.is_idle(id) => {
                            Fault::frame_size("PRIORITY of other than 5 bytes")
                        }
                        fault => fault,
                    });
                }
            }
            kind::RST_STREAM => frame::reset::check(head)?,
            kind::SETTINGS => frame::settings::check(head, limits.max_settings_entries)?,
            kind::PUSH_PROMISE => return Err(Fault::protocol("PUSH_PROMISE is not enabled")),
            kind::PING => frame::ping::check(head)?,
            kind::GOAWAY => {
                frame::go_away::check(head)?;
                if head.length > MAX_GO_AWAY {
                    return Err(Fault::calm("go_away_too_large"));
                }
            }
            kind::WINDOW_UPDATE => frame::window_update::check(head)?,
            _ => {
                self.charge_idle_frame(now)?;
                self.reader.state = State::Skip { left: head.length as usize };
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn handle_frame<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        match head.kind {
            kind::HEADERS => {
                let fragment = frame::headers::fragment(head, payload)?;
                self.begin_block(now, head, fragment)
            }
            kind::CONTINUATION => self.continue_block(now, head, payload),
            kind::PRIORITY => self.charge_idle_frame(now).map(|()| None),
            kind::RST_STREAM => self.handle_reset(now, head.stream, frame::reset::parse(payload)),
            kind::SETTINGS => self.handle_settings(now, head, payload),
            kind::PING => self.handle_ping(now, head, payload).map(|()| None),
            kind::GOAWAY => {
                self.charge_idle_frame(now)?;
                self.handle_go_away(&frame::go_away::parse(payload));
                Ok(None)
            }
            kind::WINDOW_UPDATE => self
                .handle_window_update(now, head.stream, frame::window_update::parse(payload))
                .map(|()| None),
            _ => Ok(None),
        }
    }
}

/// The longest padding, with its length byte.
const MAX_PADDING: usize = 256 + 5;

/// The longest GOAWAY that is read.
const MAX_GO_AWAY: u32 = 64 << 10;
