//! Header blocks: gathered from HEADERS and CONTINUATION, decoded to their end, checked, and made
//! requests, responses and trailers.

use crate::flow::{ReceiveWindow, SendWindow};
use crate::frame::{Fault, FrameHead, flag};
use crate::hpack::{HeaderList, ListLimits};
use crate::stream::{SendQueue, Stream, Waits};
use crate::validate::{self, Facts};
use crate::{Fields, Limits, Reason, Role, StreamKey, Time};

use super::drain::Drain;
use super::excess::saturated;
use super::memo::{Known, Section};
use super::{Connection, Event, HeadersKind, TooLarge};

/// A header block under construction.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) list: HeaderList,
    pub(super) bytes: usize,
    pub(super) continuations: u32,
}

/// A header list, whole.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) fields: Fields,
    /// As decoded, whether or not all of it was stored.
    pub(super) size: usize,
    pub(super) too_large: Option<TooLarge>,
    /// What is known of its block from before.
    pub(super) known: Option<Known>,
}

impl Decoded {
    fn new(list: HeaderList, limits: &Limits) -> Self {
        let size = list.size();
        let too_large = list.is_overflow().then(|| {
            if list.has_too_many() {
                TooLarge::Fields { limit: limits.max_header_fields }
            } else {
                TooLarge::Hard { size: saturated(size), limit: limits.max_header_list_size }
            }
        });
        Self { too_large, size, fields: list.into_fields(), known: None }
    }
}

impl Connection {
    pub(super) fn begin_block<'a>(
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
                too_large: None,
                known: Some(known),
            };
            return self.handle_headers(now, head.stream, end_stream, list, &[]);
        }
        let limits = &self.config.limits;
        let mut list = HeaderList::new(ListLimits {
            max_size: limits.max_header_list_size as usize,
            max_fields: limits.max_header_fields as usize,
        })
        .with_essential(self.config.essential_fields);
        self.decode(fragment, end, &mut list)?;
        if end {
            let pure = self.decoder.version() == version;
            let block = if pure { fragment } else { &[] };
            let list = Decoded::new(list, &self.config.limits);
            return self.handle_headers(now, head.stream, end_stream, list, block);
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

    pub(super) fn continue_block<'a>(
        &mut self,
        now: Time,
        head: FrameHead,
        fragment: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        let mut block = self.reader.block.take().expect("checked on entering the frame");
        block.continuations += 1;
        block.bytes += fragment.len();
        let limits = &self.config.limits;
        let most = limits.max_continuations as usize + block.bytes / Limits::CONTINUATION_BYTES;
        if block.continuations as usize > most {
            return Err(Fault::calm("too_many_continuations"));
        }
        if block.bytes > limits.header_block() {
            return Err(Fault::calm("header_block_too_large"));
        }
        let end = head.has(flag::END_HEADERS);
        if fragment.is_empty() && !end {
            self.charge_empty_frame(now)?;
        }
        self.decode(fragment, end, &mut block.list)?;
        if end {
            self.timers.header_block = None;
            let list = Decoded::new(block.list, &self.config.limits);
            return self.handle_headers(now, block.stream, block.end_stream, list, &[]);
        }
        self.reader.block = Some(block);
        Ok(None)
    }

    /// A header block has begun: its time runs from its first frame's head.
    pub(super) fn arm_header_block(&mut self, now: Time) {
        let until = now + self.config.limits.handshake_timeout;
        self.timers.header_block.get_or_insert(until);
    }

    pub(super) fn decode(
        &mut self,
        fragment: &[u8],
        end: bool,
        list: &mut HeaderList,
    ) -> Result<(), Fault> {
        self.decoder.decode(fragment, end, list).map_err(|_| {
            Fault::Connection(Reason::COMPRESSION_ERROR, "header block cannot be decoded")
        })
    }

    pub(super) fn handle_headers<'a>(
        &mut self,
        now: Time,
        id: u32,
        end: bool,
        mut list: Decoded,
        block: &[u8],
    ) -> Result<Option<Event<'a>>, Fault> {
        if list.size > self.config.limits.soft_header_list() || list.too_large.is_some() {
            self.judge_size(&mut list, end);
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
    pub(super) fn open_by_peer<'a>(
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
            // Who has not seen the limit may exceed it.
            if self.settings_seen && !self.budgets.refused_streams.take(now) {
                return Err(Fault::calm("too_many_refused_streams"));
            }
            self.refuse(id);
            return Ok(None);
        }
        let (facts, mark) = self.check(&list, Section::Request, block, id)?;
        let Decoded { fields, mut too_large, .. } = list;
        if end && facts.content_length.is_some_and(|length| length > 0) {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let held = if too_large.is_none() { fields.held_bytes() } else { 0 };
        if let Err(exceeded) = self.check_held(held) {
            too_large = Some(exceeded);
        }
        let key = self.insert(id);
        let stream = self.streams.stream_mut(key).expect("just inserted");
        stream.headers_received = true;
        stream.content_left = facts.content_length;
        if too_large.is_none() {
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
    pub(super) fn more_headers<'a>(
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
        let Decoded { fields, mut too_large, .. } = list;
        let keeps = response && !end && too_large.is_none();
        let held = if keeps { fields.held_bytes() } else { 0 };
        if let Err(exceeded) = self.check_held(held) {
            too_large = Some(exceeded);
        }
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
            if too_large.is_none() {
                stream.held_headers += held;
                self.held_headers += held;
            }
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
    pub(super) fn check(
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
            Ok(facts) if block.is_empty() || list.too_large.is_some() => Ok((facts, 0)),
            Ok(facts) => {
                let version = self.decoder.version();
                Ok((facts, self.memo.note(version, block, &list.fields, facts, section)))
            }
            // A list that is too large may have lost what makes it well formed.
            Err(_) if list.too_large.is_some() => {
                Ok((Facts { status: 200, ..Facts::default() }, 0))
            }
            Err(_) => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
        }
    }

    pub(super) fn insert(&mut self, id: u32) -> StreamKey {
        self.counters.streams_opened += 1;
        self.streams.insert(Stream {
            id,
            token: u32::MAX,
            receive_open: true,
            send_open: true,
            headers_received: false,
            headers_sent: false,
            in_ready: false,
            waits: Waits::No,
            in_crowd: false,
            in_short: false,
            informational: 0,
            send_window: SendWindow::new(self.remote.initial_window),
            receive_window: ReceiveWindow::new(self.sizer.initial()),
            loan: 0,
            content_left: None,
            held_headers: 0,
            queue: SendQueue::default(),
        })
    }
}
