//! One HTTP/2 connection.
//!
//! A [`Connection`] owns all state of one connection and does no I/O. Bytes that the peer sent go
//! in through [`receive`](Connection::receive), which returns what they mean, one event at a time;
//! commands change the state; bytes for the peer come out of
//! [`poll_transmit`](Connection::poll_transmit). Time is passed in.
//!
//! ```text
//!             preface and SETTINGS        shutdown() or GOAWAY          last stream closed
//!  handshake ----------------------> open ------------------> draining -------------------+
//!      |                              |                           |                       v
//!      +------- a broken rule, an exceeded limit, time out, lost transport ------------> closed
//! ```
//!
//! # Invariants
//! - Output leaves in the order it was made, and header blocks are encoded when they are appended:
//!   the peer's decoder sees them in the encoder's order.
//! - Every byte of DATA received is given back to the connection's window exactly once, whatever
//!   becomes of its stream, at once unless the user holds it back; the stream's window gets back
//!   what the user releases.
//! - A header block is always decoded to its end, also for streams nobody wants, so that the
//!   compression tables stay in step.
//! - Nothing grows with what the peer sends but under a budget of [`Limits`](crate::Limits).

mod accounts;
mod closing;
mod control;
mod data;
mod drain;
mod excess;
mod headers;
mod memo;
mod receive;
mod room;
mod send;
mod timers;
mod work;

use std::collections::VecDeque;

use crate::flow::{ReceiveWindow, SendWindow, WindowSizer};
use crate::frame::settings::id;
use crate::frame::{self, settings};
use crate::hpack::{Decoder, Encoder};
use crate::ledger::Bucket;
use crate::ping::{KeepaliveTimer, PingJudge};
use crate::stream::Store;
use crate::{CloseCause, Config, Counters, Fields, Reason, Role, StreamKey, Time, Transmit};

pub use accounts::Accounts;
use drain::Drain;
use excess::Chance;
pub use excess::TooLarge;
use memo::BlockMemo;
use receive::Reader;
use work::StartWaits;

/// What the peer sent, or what became of a stream.
#[derive(Debug)]
pub enum Event<'a> {
    /// The peer's first SETTINGS came.
    Ready,
    /// A header list that opened a stream: bind it to a token of your own with
    /// [`Connection::bind`].
    Opened {
        /// The new stream.
        stream: StreamKey,
        /// The request.
        fields: Fields,
        /// A mark of the list: within a connection, equal marks other than 0 stand for equal lists,
        /// so that what was made of a list can be made once.
        list: u64,
        /// Whether the request ends with it.
        end: bool,
        /// What was exceeded, if the list is too large; fields may be missing then.
        too_large: Option<TooLarge>,
    },
    /// A header list on an open stream: informational or final response headers, or trailers.
    Headers {
        /// The stream's token.
        token: u32,
        /// The list.
        fields: Fields,
        /// What kind of list it is.
        kind: HeadersKind,
        /// Whether the peer's half ends with it.
        end: bool,
        /// What was exceeded, if the list is too large; fields may be missing then.
        too_large: Option<TooLarge>,
    },
    /// Payload. The connection's window has it back already (but see
    /// [`Connection::hold_credit`]); give the stream its part with [`Connection::release`].
    Data {
        /// The stream's token.
        token: u32,
        /// Some bytes; frames are not kept together.
        payload: &'a [u8],
        /// Whether the peer's half ends with it.
        end: bool,
    },
    /// The stream ended without its end: no more events of it.
    Reset {
        /// The stream's token.
        token: u32,
        /// The code that was received or sent.
        reason: Reason,
        /// By whom.
        by: ResetBy,
        /// Whether it was the server's answer that came first, see [`ResetBy::Peer`].
        headers_sent: bool,
    },
    /// A stream that was not writable is writable again.
    Writable {
        /// The stream's token.
        token: u32,
    },
    /// More streams may be opened than before.
    StreamsAvailable,
    /// Requests may be served that had to wait, see [`Connection::may_start`].
    MayStart,
    /// No new streams should be opened: GOAWAY was sent or received.
    Draining,
    /// The connection is over; streams that were open are lost. The last event.
    Closed,
}

/// What a header list on an open stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersKind {
    /// The final response headers, with their status.
    Response(u16),
    /// The section after the body.
    Trailers,
}

/// Why a stream ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetBy {
    /// The peer sent RST_STREAM.
    Peer,
    /// The peer broke a rule on the stream and we reset it.
    Rule,
    /// It made no progress under memory pressure.
    Stall,
    /// The peer's GOAWAY says that it was not processed.
    Unprocessed,
}

/// Why no stream could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The peer's limit of concurrent streams is reached; [`Event::StreamsAvailable`] follows.
    StreamLimit,
    /// The connection is draining or closed, or has used up its stream ids.
    Draining,
}

/// One HTTP/2 connection; see the module's text.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    counters: Counters,
    reader: Reader,
    decoder: Decoder,
    memo: BlockMemo,
    /// Decides about header lists between the soft and the hard limit.
    chance: Chance,
    encoder: Encoder,
    streams: Store,
    /// Streams the peer opened, of those in the store; the others are ours.
    peer_streams: usize,
    /// The highest id of a stream of the peer that was, or may have been, processed.
    last_peer_stream: u32,
    /// The highest id of the peer at all: our last GOAWAY may have shut those above out.
    highest_peer_stream: u32,
    /// The last ids that the peer left out, from the first up to but not the second (5.1.1): they
    /// were never open.
    skipped: (u32, u32),
    next_stream: u32,
    remote: RemoteSettings,
    /// Our SETTINGS sent and not acknowledged.
    unacknowledged_settings: u32,
    /// The first of them was acknowledged: what the peer sends from then on goes by them.
    settings_seen: bool,
    sizer: WindowSizer,
    receive_window: ReceiveWindow,
    /// The connection's credit that is held back, while it is: see
    /// [`hold_credit`](Connection::hold_credit).
    held_credit: Option<usize>,
    /// Bytes by which the windows of open streams exceed their initial size.
    loaned: u32,
    send_window: SendWindow,
    out: Transmit,
    /// The DATA frame at the very end of `out`, if there is one: more data of its stream joins it.
    open_frame: Option<OpenFrame>,
    /// Streams with something to send and credit to send it, in turn.
    ready: VecDeque<StreamKey>,
    /// Bytes in the queues of all streams.
    queued: usize,
    /// Those of them that could be sent as far as their streams' credit goes.
    sendable: usize,
    /// The most of `queued` that there should be.
    send_memory: usize,
    /// Streams whose users wait because there is enough output.
    crowd: VecDeque<StreamKey>,
    /// Streams without credit whose users wait because there is too much without credit.
    short: VecDeque<StreamKey>,
    /// Acknowledgements written since output was last handed out.
    pending_acks: u32,
    /// Bytes of header lists held for open streams.
    held_headers: usize,
    events: VecDeque<Event<'static>>,
    recent_resets: RecentResets,
    /// Frames on closed streams that cost nothing.
    stray_frames: u32,
    budgets: Budgets,
    keepalive: KeepaliveTimer,
    judge: PingJudge,
    drain: Drain,
    timers: timers::Timers,
    wants_streams: bool,
    start_waits: StartWaits,
    closed: Option<CloseCause>,
}

/// A DATA frame that can still grow: it ends where the output ends.
#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    stream: StreamKey,
    start: usize,
    end: usize,
}

/// What the peer's SETTINGS say; RFC 9113's defaults before they come.
#[derive(Debug)]
struct RemoteSettings {
    received: bool,
    initial_window: u32,
    max_frame: usize,
    max_streams: u32,
    max_header_list: usize,
}

/// Token buckets, one for each thing a peer may do too often.
#[derive(Debug)]
struct Budgets {
    early_resets: Bucket,
    starts: Bucket,
    induced_resets: Bucket,
    empty_frames: Bucket,
    idle_frames: Bucket,
    small_frames: Bucket,
    window_updates: Bucket,
    refused_streams: Bucket,
    settings: Bucket,
}

/// Streams that were reset here a moment ago: the peer may not know, and what it sends on them is
/// no error.
#[derive(Debug, Default)]
struct RecentResets {
    ids: VecDeque<u32>,
    /// The highest id that was forgotten: those up to it get the benefit of the doubt.
    forgotten: u32,
}

impl Connection {
    /// A new connection. Its preface and SETTINGS are ready to be transmitted.
    pub fn new(role: Role, mut config: Config, now: Time) -> Self {
        config.limits.make_room();
        let limits = &config.limits;
        let sizer = WindowSizer::new(config.window);
        let mut connection = Self {
            role,
            counters: Counters::default(),
            reader: Reader::new(role),
            decoder: Decoder::new(HEADER_TABLE_SIZE)
                .with_max_string(limits.max_header_list_size as usize),
            chance: Chance::new(config.seed),
            memo: BlockMemo::default(),
            encoder: Encoder::new(),
            streams: Store::default(),
            peer_streams: 0,
            last_peer_stream: 0,
            highest_peer_stream: 0,
            skipped: (0, 0),
            next_stream: 1,
            remote: RemoteSettings {
                received: false,
                initial_window: 65_535,
                max_frame: settings::MIN_FRAME_SIZE as usize,
                max_streams: STREAMS_BEFORE_SETTINGS,
                max_header_list: MAX_SENT_LIST,
            },
            unacknowledged_settings: 0,
            settings_seen: false,
            receive_window: ReceiveWindow::new(65_535),
            held_credit: None,
            loaned: 0,
            send_window: SendWindow::new(65_535),
            sizer,
            out: Transmit::new(),
            open_frame: None,
            ready: VecDeque::new(),
            queued: 0,
            sendable: 0,
            send_memory: limits.send_memory,
            crowd: VecDeque::new(),
            short: VecDeque::new(),
            pending_acks: 0,
            held_headers: 0,
            events: VecDeque::new(),
            recent_resets: RecentResets::default(),
            stray_frames: 0,
            budgets: Budgets {
                early_resets: Bucket::new(limits.early_resets, now),
                starts: Bucket::new(limits.starts, now),
                induced_resets: Bucket::new(limits.induced_resets, now),
                empty_frames: Bucket::new(limits.empty_frames, now),
                idle_frames: Bucket::new(limits.idle_frames, now),
                small_frames: Bucket::new(limits.small_frames, now),
                window_updates: Bucket::new(limits.window_updates, now),
                refused_streams: Bucket::new(limits.refused_streams, now),
                settings: Bucket::new(limits.settings, now),
            },
            keepalive: KeepaliveTimer::new(config.keepalive, now),
            judge: PingJudge::new(limits.pings),
            drain: Drain::No,
            timers: timers::Timers::new(now, limits),
            wants_streams: false,
            start_waits: StartWaits::No,
            closed: None,
            config,
        };
        connection.greet();
        connection
    }

    /// The preface (3.4): what each side sends before anything else.
    fn greet(&mut self) {
        let client = self.role == Role::Client;
        let limits = &self.config.limits;
        let mut entries = vec![
            (id::INITIAL_WINDOW_SIZE, self.sizer.initial()),
            (id::MAX_FRAME_SIZE, self.config.max_frame_size()),
            (id::MAX_HEADER_LIST_SIZE, limits.max_header_list_size),
        ];
        if client {
            entries.push((id::ENABLE_PUSH, 0));
        } else {
            entries.push((id::MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams));
        }
        let grown = self.receive_window.grow_to(self.sizer.connection());
        self.out.encode(|out| {
            if client {
                out.extend_from_slice(receive::PREFACE);
            }
            settings::encode(&entries, out);
            if grown > 0 {
                frame::window_update::encode(0, grown, out);
            }
        });
        self.unacknowledged_settings = 1;
    }

    /// Gives a stream the number by which events name it. Call it on [`Event::Opened`], and after
    /// [`open`](Self::open).
    pub fn bind(&mut self, stream: StreamKey, token: u32) {
        if let Some(stream) = self.streams.stream_mut(stream) {
            stream.token = token;
        }
    }

    /// Why the connection is over, once it is.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.closed.as_ref()
    }

    /// Whether the connection is over and its output was handed out.
    pub fn is_finished(&self) -> bool {
        self.closed.is_some() && self.out.is_empty()
    }

    /// Whether [`receive`](Self::receive) has something to say without input.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether GOAWAY was sent or received.
    pub fn is_draining(&self) -> bool {
        self.closed.is_some() || !matches!(self.drain, Drain::No)
    }

    /// Streams open now, whoever opened them.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Bytes waiting for the peer's credit or for the transport.
    pub fn buffered(&self) -> usize {
        self.queued + self.out.len()
    }

    /// Bytes that are held because of the peer, roughly: what it was not sent yet, header lists,
    /// streams.
    pub fn memory(&self) -> usize {
        self.buffered() + self.held_headers + self.streams.len() * STREAM_MEMORY
    }

    /// The largest header list the peer takes, in bytes (6.5.2); if it does not say so, 1 MiB.
    pub fn peer_max_header_list(&self) -> usize {
        self.remote.max_header_list
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether reading should go on. False while more acknowledgements or output wait than the
    /// limits allow: a peer that does not read is not read from either.
    pub fn wants_read(&self) -> bool {
        self.closed.is_none()
            && self.pending_acks <= self.config.limits.max_pending_acks
            && self.out.len() <= self.config.limits.send_buffer
    }

    /// Ends the connection because the peer broke a rule: GOAWAY with `reason` and `debug`.
    fn fail(&mut self, reason: Reason, debug: &'static str) {
        if self.closed.is_some() {
            return;
        }
        let last = self.last_peer_stream;
        self.out.encode(|out| frame::go_away::encode(last, reason, debug, out));
        self.close(CloseCause::PeerError { reason, debug });
    }

    fn close(&mut self, cause: CloseCause) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(cause);
        self.ready.clear();
        self.crowd.clear();
        self.short.clear();
        self.queued = 0;
        self.sendable = 0;
        self.streams = Store::default();
        self.peer_streams = 0;
        self.held_headers = 0;
        self.events.push_back(Event::Closed);
    }

    /// The transport under the connection ended.
    pub fn handle_close(&mut self) {
        let cause = match &self.drain {
            Drain::Peer { cause: Some(cause), .. } => cause.clone(),
            _ if self.is_draining() && self.streams.is_empty() => CloseCause::Graceful,
            _ => CloseCause::TransportLost,
        };
        self.out = Transmit::new();
        self.open_frame = None;
        self.close(cause);
    }

    /// Ends the connection at once, with GOAWAY.
    pub fn abort(&mut self) {
        if self.closed.is_none() {
            let last = self.last_peer_stream;
            self.out.encode(|out| frame::go_away::encode(last, Reason::NO_ERROR, "", out));
            self.close(CloseCause::Local);
        }
    }
}

impl RecentResets {
    fn add(&mut self, id: u32) {
        if self.ids.len() == RECENT_RESETS
            && let Some(oldest) = self.ids.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
        self.ids.push_back(id);
    }

    /// Whether the stream was, or may have been, reset here.
    fn contains(&self, id: u32) -> bool {
        id <= self.forgotten || self.ids.contains(&id)
    }
}

/// SETTINGS_HEADER_TABLE_SIZE towards us: the default, which costs no setting.
const HEADER_TABLE_SIZE: usize = 4096;

/// The largest header list for a peer that names no limit. Endpoints end a connection whose header
/// blocks do not end.
const MAX_SENT_LIST: usize = 1 << 20;

/// Streams a client opens before it knows the server's limit; RFC 9113 (6.5.2) advises servers not
/// to go below it.
const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// What an open stream takes, with what its users know of it, roughly.
const STREAM_MEMORY: usize = 1 << 10;

/// How many streams reset here are remembered: more than are usually open.
const RECENT_RESETS: usize = 1024;
