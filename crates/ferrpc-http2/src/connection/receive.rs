//! The receiving side: cutting bytes into frames, and what each frame does.

use crate::flow::{ReceiveWindow, SendWindow};
use crate::frame::settings::{MIN_FRAME_SIZE, id};
use crate::frame::{self, Fault, FrameHead, flag, kind, settings};
use crate::hpack::{HeaderList, ListLimits};
use crate::ping::{PingKind, Verdict};
use crate::stream::{SendQueue, Stream};
use crate::validate::{self, Facts};
use crate::{CloseCause, Fields, Reason, Role, StreamKey, Time};

use super::drain::Drain;
use super::memo::{Known, Section};
use super::{Connection, Event, HeadersKind, ResetBy};

/// What a client sends first (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How far the input has been cut.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// A frame (its head, for DATA) of which only a part has come.
    pub(super) partial: Vec<u8>,
    /// A header block that CONTINUATION frames complete.
    block: Option<Block>,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the client's preface were seen.
    Preface(usize),
    /// A frame begins, or has begun in `partial`.
    Frame,
    /// In a DATA frame.
    Data(DataFrame),
    /// In a frame of a kind that we do not know.
    Skip { left: usize },
}

/// A DATA frame whose payload is being handed on.
#[derive(Clone, Copy, Debug)]
struct DataFrame {
    /// None: the stream is closed, the bytes are dropped.
    stream: Option<StreamKey>,
    pad_length_due: bool,
    left: usize,
    padding: usize,
    end: bool,
}

/// A header block under construction.
#[derive(Debug)]
struct Block {
    stream: u32,
    end_stream: bool,
    list: HeaderList,
    bytes: usize,
    continuations: u32,
}

/// A header list, whole.
#[derive(Debug)]
struct Decoded {
    fields: Fields,
    /// As decoded, whether or not all of it was stored.
    size: usize,
    too_large: bool,
    /// What is known of its block from before.
    known: Option<Known>,
}

impl From<HeaderList> for Decoded {
    fn from(list: HeaderList) -> Self {
        Self {
            too_large: list.is_overflow(),
            size: list.size(),
            fields: list.into_fields(),
            known: None,
        }
    }
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
                if head.length as usize > 2 * limits.max_header_list_size as usize + MAX_PADDING {
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

    // -- DATA ----------------------------------------------------------------------------------

    fn begin_data(&mut self, now: Time, head: FrameHead) -> Result<(), Fault> {
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
    fn step_data<'a>(
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
            if let Some(key) = data.stream {
                self.count_content(key, data.left, data.end)?;
            }
        }
        if data.left > 0 || data.padding == 0 {
            let (payload, rest) = input.split_at(data.left.min(input.len()));
            *input = rest;
            data.left -= payload.len();
            self.release_connection(payload.len());
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
    fn meter_payload(&mut self, now: Time, payload: usize, end: bool) -> Result<(), Fault> {
        if payload > 0 {
            self.budgets.idle_frames.give();
            self.budgets.empty_frames.give();
        } else if !end {
            self.charge_empty_frame(now)?;
        }
        Ok(())
    }

    /// Compares the payload of a frame with what content-length promised (RFC 9113, 8.1.1), before
    /// any of it is handed on.
    fn count_content(&mut self, key: StreamKey, payload: usize, end: bool) -> Result<(), Fault> {
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

    fn hand_on<'a>(&mut self, data: DataFrame, payload: &'a [u8], end: bool) -> Option<Event<'a>> {
        // The stream may have been reset since the frame began.
        let key = data.stream?;
        let stream = self.streams.stream_mut(key)?;
        let token = stream.token;
        if payload.is_empty() && !end {
            return None;
        }
        if end {
            self.end_receive(key);
        }
        Some(Event::Data { token, payload, end })
    }

    /// Padding consumed: both windows get it back.
    fn give_back(&mut self, stream: Option<StreamKey>, bytes: usize) {
        self.release_connection(bytes);
        if let Some(stream) = stream {
            self.release(stream, bytes);
        }
    }

    fn release_connection(&mut self, bytes: usize) {
        if let Some(increment) = self.receive_window.release(bytes) {
            self.out.encode(|out| frame::window_update::encode(0, increment, out));
        }
    }

    // -- header blocks -------------------------------------------------------------------------

    fn begin_block<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        fragment: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let end = head.has(flag::END_HEADERS);
        let end_stream = head.has(flag::END_STREAM);
        if end {
            self.timers.header_block = None;
        }
        let version = self.decoder.version();
        if end && let Some(known) = self.memo.find(version, fragment) {
            let known = known.clone();
            let list = Decoded {
                fields: known.fields.clone(),
                size: 0,
                too_large: false,
                known: Some(known),
            };
            return self.handle_headers(now, head.stream, end_stream, list, &[]);
        }
        let limits = &self.config.limits;
        let mut list = HeaderList::new(ListLimits {
            max_size: limits.max_header_list_size as usize,
            max_fields: limits.max_header_fields as usize,
        });
        self.decode(fragment, end, &mut list)?;
        if end {
            let pure = self.decoder.version() == version;
            let block = if pure { fragment } else { &[] };
            return self.handle_headers(now, head.stream, end_stream, list.into(), block);
        }
        self.arm_header_block(now);
        self.reader.block = Some(Block {
            stream: head.stream,
            end_stream,
            list,
            bytes: fragment.len(),
            continuations: 0,
        });
        Ok(None)
    }

    fn continue_block<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        fragment: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let mut block = self.reader.block.take().expect("checked on entering the frame");
        block.continuations += 1;
        block.bytes += fragment.len();
        let limits = &self.config.limits;
        // Who allows larger lists allows the frames they take.
        let most = limits.max_continuations.max(limits.max_header_list_size / MIN_FRAME_SIZE * 2);
        if block.continuations > most {
            return Err(Fault::calm("too_many_continuations"));
        }
        if block.bytes > 2 * limits.max_header_list_size as usize {
            return Err(Fault::calm("header_block_too_large"));
        }
        let end = head.has(flag::END_HEADERS);
        if fragment.is_empty() && !end {
            self.charge_empty_frame(now)?;
        }
        self.decode(fragment, end, &mut block.list)?;
        if end {
            self.timers.header_block = None;
            return self.handle_headers(
                now,
                block.stream,
                block.end_stream,
                block.list.into(),
                &[],
            );
        }
        self.reader.block = Some(block);
        Ok(None)
    }

    /// A header block has begun: its time runs from its first frame's head.
    fn arm_header_block(&mut self, now: Time) {
        let until = now + self.config.limits.handshake_timeout;
        self.timers.header_block.get_or_insert(until);
    }

    fn decode(&mut self, fragment: &[u8], end: bool, list: &mut HeaderList) -> Result<(), Fault> {
        self.decoder.decode(fragment, end, list).map_err(|_| {
            Fault::Connection(Reason::COMPRESSION_ERROR, "header block cannot be decoded")
        })
    }

    fn handle_headers<'a>(
        &mut self,
        now: Time,
        id: u32,
        end: bool,
        mut list: Decoded,
        block: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        list.too_large |= list.size > self.config.limits.soft_header_list();
        if list.too_large {
            self.counters.header_lists_too_large += 1;
        }
        if let Some(key) = self.streams.find(id) {
            return self.more_headers(now, key, list, end, block);
        }
        if !self.is_idle(id) {
            return self.headers_on_closed(now, id);
        }
        if self.role == Role::Client {
            return Err(Fault::protocol("HEADERS on a stream that was not opened"));
        }
        self.open_by_peer(now, id, list, end, block)
    }

    /// A request.
    fn open_by_peer<'a>(
        &mut self,
        now: Time,
        id: u32,
        list: Decoded,
        end: bool,
        block: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        if id.is_multiple_of(2) {
            return Err(Fault::protocol("stream with an even id"));
        }
        let next = if self.highest_peer_stream == 0 { 1 } else { self.highest_peer_stream + 2 };
        if id > next {
            self.skipped = (next, id);
        }
        self.highest_peer_stream = id;
        if matches!(self.drain, Drain::Final { .. }) {
            // Above the last id of our GOAWAY: unprocessed, as the peer will learn from it.
            return self.charge_idle_frame(now).map(|()| None);
        }
        self.last_peer_stream = id;
        if self.peer_streams >= self.config.limits.max_concurrent_streams as usize {
            self.counters.refused_streams += 1;
            self.refuse(id);
            return Ok(None);
        }
        let (facts, mark) = self.check(&list, Section::Request, block, id)?;
        let Decoded { fields, mut too_large, .. } = list;
        if end && facts.content_length.is_some_and(|length| length > 0) {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let held = fields.held_bytes();
        if self.held_headers + held > self.config.limits.max_held_headers {
            self.counters.header_lists_too_large += 1;
            too_large = true;
        }
        let key = self.insert(now, id);
        let stream = self.streams.stream_mut(key).expect("just inserted");
        stream.headers_received = true;
        stream.content_left = facts.content_length;
        if !too_large {
            stream.held_headers = held;
            self.held_headers += held;
        }
        self.peer_streams += 1;
        if end {
            self.end_receive(key);
        }
        Ok(Some(Event::Opened { stream: key, fields, list: mark, end, too_large }))
    }

    /// Response headers or trailers.
    fn more_headers<'a>(
        &mut self,
        now: Time,
        key: StreamKey,
        list: Decoded,
        end: bool,
        block: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let id = key.id;
        let malformed = Fault::Stream(id, Reason::PROTOCOL_ERROR);
        let role = self.role;
        let max_informational = self.config.limits.max_informational;
        let stream = self.streams.stream(key).expect("found by the caller");
        if !stream.receive_open {
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED));
        }
        let token = stream.token;
        let response = role == Role::Client && !stream.headers_received;
        let section = if response { Section::Response } else { Section::Trailers };
        let (facts, _) = self.check(&list, section, block, id)?;
        let Decoded { fields, too_large, .. } = list;
        let stream = self.streams.stream_mut(key).expect("found by the caller");
        let kind = if response {
            if facts.status < 200 {
                stream.informational += 1;
                if end || facts.status == 101 || stream.informational > max_informational {
                    return Err(malformed);
                }
                self.charge_idle_frame(now)?;
                return Ok(None);
            }
            stream.headers_received = true;
            stream.content_left = if end { None } else { facts.content_length };
            HeadersKind::Response(facts.status)
        } else {
            if !end {
                return Err(malformed);
            }
            if stream.content_left.is_some_and(|left| left > 0) {
                return Err(malformed);
            }
            HeadersKind::Trailers
        };
        if end {
            self.end_receive(key);
        }
        Ok(Some(Event::Headers { token, fields, kind, end, too_large }))
    }

    /// Checks a list as what it is, unless that was done for the same block before; its facts and
    /// its mark.
    fn check(
        &mut self,
        list: &Decoded,
        section: Section,
        block: &[u8],
        id: u32,
    ) -> Result<(Facts, u64), Fault> {
        if let Some(known) = &list.known
            && known.section == section
        {
            return Ok((known.facts, known.id));
        }
        let checked = match section {
            Section::Request => validate::request(&list.fields),
            Section::Response => validate::response(&list.fields),
            Section::Trailers => validate::trailers(&list.fields).map(|()| Facts::default()),
        };
        match checked {
            Ok(facts) if block.is_empty() || list.too_large => Ok((facts, 0)),
            Ok(facts) => {
                let version = self.decoder.version();
                Ok((facts, self.memo.note(version, block, &list.fields, facts, section)))
            }
            // A list that is too large may have lost what makes it well formed.
            Err(_) if list.too_large => Ok((Facts { status: 200, ..Facts::default() }, 0)),
            Err(_) => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
        }
    }

    pub(super) fn insert(&mut self, now: Time, id: u32) -> StreamKey {
        self.counters.streams_opened += 1;
        self.streams.insert(Stream {
            id,
            token: u32::MAX,
            receive_open: true,
            send_open: true,
            headers_received: false,
            headers_sent: false,
            in_ready: false,
            wants_writable: false,
            in_blocked: false,
            informational: 0,
            send_window: SendWindow::new(self.remote.initial_window),
            receive_window: ReceiveWindow::new(self.sizer.initial()),
            loan: 0,
            content_left: None,
            held_headers: 0,
            queue: SendQueue::default(),
            opened: now,
            send_progress: now,
        })
    }

    // -- the other frames ----------------------------------------------------------------------

    fn handle_reset<'a>(
        &mut self,
        now: Time,
        id: u32,
        reason: Reason,
    ) -> Result<Option<Event<'a>>, Fault> {
        if self.is_idle(id) {
            return Err(Fault::protocol("RST_STREAM on an idle stream"));
        }
        let Some(key) = self.streams.find(id) else {
            return self.charge_stray_frame(now).map(|()| None);
        };
        let stream = self.remove(key).expect("just found");
        Ok(Some(Event::Reset {
            token: stream.token,
            reason,
            by: ResetBy::Peer,
            headers_sent: stream.headers_sent,
        }))
    }

    fn handle_settings<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        payload: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        if head.has(flag::ACK) {
            match self.unacknowledged_settings.checked_sub(1) {
                Some(left) => {
                    self.unacknowledged_settings = left;
                    self.settings_seen = true;
                }
                None => self.charge_idle_frame(now)?,
            }
            return Ok(None);
        }
        self.counters.settings_received += 1;
        let first = !self.remote.received;
        if !first && !self.budgets.settings.take(now) {
            return Err(Fault::calm("too_many_settings"));
        }
        let streams_before = self.remote.max_streams;
        if first {
            // No limit unless the peer names one (6.5.2).
            self.remote.max_streams = u32::MAX;
        }
        for entry in settings::entries(payload) {
            let (id, value) = entry?;
            match id {
                id::HEADER_TABLE_SIZE => self.encoder.set_peer_table_size(value),
                id::ENABLE_PUSH if self.role == Role::Client && value != 0 => {
                    return Err(Fault::protocol("ENABLE_PUSH from a server"));
                }
                id::MAX_CONCURRENT_STREAMS => self.remote.max_streams = value,
                id::INITIAL_WINDOW_SIZE => self.change_initial_window(value)?,
                id::MAX_FRAME_SIZE => self.remote.max_frame = value as usize,
                id::MAX_HEADER_LIST_SIZE => self.remote.max_header_list = value as usize,
                _ => {}
            }
        }
        self.out.encode(settings::encode_ack);
        self.acknowledged();
        self.remote.received = true;
        if self.remote.max_streams > streams_before {
            self.offer_streams();
        }
        if first {
            self.timers.handshake = None;
            // Before what else was found out.
            self.events.push_front(Event::Ready);
        }
        Ok(None)
    }

    /// SETTINGS_INITIAL_WINDOW_SIZE moves the windows of all open streams (6.9.2).
    fn change_initial_window(&mut self, value: u32) -> Result<(), Fault> {
        let delta = i64::from(value) - i64::from(self.remote.initial_window);
        self.remote.initial_window = value;
        let mut now_ready = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            if !stream.send_window.grow(delta) {
                return Err(Fault::Connection(
                    Reason::FLOW_CONTROL_ERROR,
                    "INITIAL_WINDOW_SIZE overflows a stream's window",
                ));
            }
            if delta > 0 && !stream.queue.is_empty() {
                now_ready.push(key);
            }
        }
        for key in now_ready {
            self.mark_ready(key);
        }
        Ok(())
    }

    fn handle_ping(&mut self, now: Time, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let payload: [u8; 8] = payload.try_into().expect("checked on entering the frame");
        if !head.has(flag::ACK) {
            self.counters.pings_received += 1;
            if self.role == Role::Server {
                match self.judge.received(now, self.streams.len()) {
                    Verdict::Good => {}
                    Verdict::Strike => self.counters.ping_strikes += 1,
                    Verdict::TooMany => {
                        self.counters.ping_strikes += 1;
                        return Err(Fault::calm("too_many_pings"));
                    }
                }
            } else if self.streams.is_empty() {
                self.charge_idle_frame(now)?;
            }
            self.out.encode(|out| frame::ping::encode(payload, true, out));
            self.acknowledged();
            return Ok(());
        }
        // Whether it was asked for or not: those that are, are few.
        self.charge_idle_frame(now)?;
        match PingKind::of(payload) {
            Some(PingKind::Probe) => {
                if self.sizer.acknowledged(now) {
                    self.grow_windows();
                }
            }
            Some(PingKind::Drain) => self.finish_announcement(),
            Some(PingKind::Keepalive) | None => {}
        }
        Ok(())
    }

    /// An acknowledgement joined the output: beyond the limit reading stops until they are out.
    fn acknowledged(&mut self) {
        self.pending_acks += 1;
        if self.pending_acks == self.config.limits.max_pending_acks.saturating_add(1) {
            self.counters.read_pauses += 1;
        }
    }

    /// The path holds more than our windows. The connection's grows at once; streams that use up
    /// theirs borrow from [`window_loans`](crate::Limits::window_loans) in `release`.
    fn grow_windows(&mut self) {
        let grown = self.receive_window.grow_to(self.sizer.connection());
        if grown > 0 {
            self.out.encode(|out| frame::window_update::encode(0, grown, out));
        }
    }

    fn handle_window_update(&mut self, now: Time, id: u32, increment: u32) -> Result<(), Fault> {
        if id == 0 {
            if increment == 0 {
                return Err(Fault::protocol("WINDOW_UPDATE of 0"));
            }
            if !self.send_window.grow(i64::from(increment)) {
                return Err(Fault::Connection(
                    Reason::FLOW_CONTROL_ERROR,
                    "connection window above 2^31-1",
                ));
            }
            return Ok(());
        }
        if self.is_idle(id) {
            return Err(Fault::protocol("WINDOW_UPDATE on an idle stream"));
        }
        let Some(key) = self.streams.find(id) else {
            return self.charge_stray_frame(now);
        };
        if increment == 0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let stream = self.streams.stream_mut(key).expect("just found");
        if !stream.send_window.grow(i64::from(increment)) {
            return Err(Fault::Stream(id, Reason::FLOW_CONTROL_ERROR));
        }
        if !stream.queue.is_empty() {
            self.mark_ready(key);
        }
        Ok(())
    }

    // -- streams that are not open ---------------------------------------------------------------

    /// Whether no frame has opened the stream yet.
    fn is_idle(&self, id: u32) -> bool {
        let ours = id.is_multiple_of(2) == (self.role == Role::Server);
        if ours {
            id >= self.next_stream || self.role == Role::Server
        } else {
            id > self.highest_peer_stream
        }
    }

    /// Whether the stream is one that our GOAWAY said we would not look at.
    fn is_ignored(&self, id: u32) -> bool {
        self.role == Role::Server && id > self.last_peer_stream && !self.is_idle(id)
    }

    /// DATA came on a closed stream: harmless if it was reset here a moment ago.
    fn on_closed_stream(&mut self, now: Time, head: FrameHead) -> Result<(), Fault> {
        if !self.recent_resets.contains(head.stream) && !self.is_ignored(head.stream) {
            return Err(Fault::Stream(head.stream, Reason::STREAM_CLOSED));
        }
        // Payload costs the peer itself; an empty frame is charged here if it was not yet.
        if head.length == 0 && head.has(flag::END_STREAM) {
            self.charge_stray_frame(now)?;
        }
        Ok(())
    }

    fn headers_on_closed<'a>(&mut self, now: Time, id: u32) -> Result<Option<Event<'a>>, Fault> {
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
    fn charge_stray_frame(&mut self, now: Time) -> Result<(), Fault> {
        match self.stray_frames.checked_sub(1) {
            Some(left) => {
                self.stray_frames = left;
                self.counters.idle_frames += 1;
                Ok(())
            }
            None => self.charge_idle_frame(now),
        }
    }

    /// A frame that carries nothing.
    fn charge_empty_frame(&mut self, now: Time) -> Result<(), Fault> {
        self.counters.idle_frames += 1;
        if self.budgets.empty_frames.take(now) {
            Ok(())
        } else {
            Err(Fault::calm("too_many_empty_frames"))
        }
    }

    /// A frame that does nothing: fine, within a budget.
    fn charge_idle_frame(&mut self, now: Time) -> Result<(), Fault> {
        self.counters.idle_frames += 1;
        if self.budgets.idle_frames.take(now) {
            Ok(())
        } else {
            Err(Fault::calm("too_many_idle_frames"))
        }
    }

    /// Resets a stream on which the peer broke a rule; too many of them end the connection.
    fn reset_for_rule(&mut self, now: Time, id: u32, reason: Reason) {
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

    fn refuse(&mut self, id: u32) {
        self.out.encode(|out| frame::reset::encode(id, Reason::REFUSED_STREAM, out));
        self.recent_resets.add(id);
    }

    /// Charges for a stream that the peer opened and reset before it could be answered. The user
    /// decides which resets count.
    pub fn charge_early_reset(&mut self, now: Time) {
        self.counters.early_resets += 1;
        if !self.budgets.early_resets.take(now) {
            self.fail(Reason::ENHANCE_YOUR_CALM, "too_many_resets");
        }
    }

    /// Pays for one early reset: a stream was served.
    pub fn credit_completed(&mut self) {
        self.budgets.early_resets.give();
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
    fn end_receive(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.stream_mut(key) {
            stream.receive_open = false;
            if stream.is_closed() {
                self.remove(key);
            }
        }
    }

    /// Takes a stream out of the store and out of every account.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        self.stray_frames = (self.stray_frames + STRAYS_PER_STREAM).min(MAX_STRAYS);
        self.queued -= stream.queue.bytes;
        self.held_headers -= stream.held_headers;
        self.loaned -= stream.loan;
        let by_peer = (stream.id % 2 == 1) == (self.role == Role::Server);
        if by_peer {
            self.peer_streams -= 1;
        } else {
            self.offer_streams();
        }
        self.forget_closed();
        self.unblock();
        self.close_if_drained();
        Some(stream)
    }

    /// Says that streams can be opened, if somebody waits for that and it is so.
    fn offer_streams(&mut self) {
        let own = self.streams.len() - self.peer_streams;
        if self.wants_streams && own < self.remote.max_streams as usize {
            self.wants_streams = false;
            self.events.push_back(Event::StreamsAvailable);
        }
    }

    /// Whether GOAWAY with an error came: for statuses.
    pub fn peer_error(&self) -> Option<&CloseCause> {
        match &self.drain {
            Drain::Peer { cause, .. } => cause.as_ref(),
            _ => None,
        }
    }
}

/// Frames that may be under way when a stream ends: response headers, trailers, RST_STREAM and
/// WINDOW_UPDATE. DATA is not counted.
const STRAYS_PER_STREAM: u32 = 4;

/// How many can add up: those of some thousand streams that end at once.
const MAX_STRAYS: u32 = 1 << 16;

/// The longest padding, with its length byte.
const MAX_PADDING: usize = 256 + 5;

/// The longest GOAWAY that is read.
const MAX_GO_AWAY: u32 = 64 << 10;
