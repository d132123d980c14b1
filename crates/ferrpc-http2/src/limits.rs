//! Budgets for everything that a peer controls.
//!
//! Each knob has a counter in [`Counters`](crate::Counters), a debug text that the peer sees in
//! GOAWAY (or a stated milder reaction), and a test in `tests/main/limits/` that exceeds it. The
//! defaults never hurt an honest peer: what costs tokens is paid back by streams that complete.

use std::time::Duration;

/// A bucket of tokens that fills with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Tokens at the start, and the most there can be.
    pub burst: u32,
    /// Tokens that come back each second.
    pub per_second: u32,
}

/// The limits of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub max_concurrent_streams: u32,
    /// Header list size advertised and never exceeded in memory (bytes, 32 added per field), but
    /// for half a KiB of essential fields. Who sends more is answered that it is too large.
    pub max_header_list_size: u32,
    /// Header list size from which on a list is refused by chance, although it is within what was
    /// advertised: the larger, the more often, so that growing metadata is noticed before it is
    /// too large for every call. Not for lists that end a response: they bring its status.
    /// `None`: nothing is refused below `max_header_list_size`.
    pub soft_header_list_size: Option<u32>,
    /// Fields in one header list. Each counts as 32 bytes and more, so that
    /// `max_header_list_size` bounds them too.
    pub max_header_fields: u32,
    /// Bytes of one header block, as it arrives; at least twice `max_header_list_size` is taken. A
    /// block within it whose list is too large costs its call alone; a larger one ends the
    /// connection, since it cannot be passed over.
    pub max_header_block: u32,
    /// CONTINUATION frames of one header block, and one more for each
    /// [`CONTINUATION_BYTES`](Self::CONTINUATION_BYTES) of it.
    pub max_continuations: u32,
    /// Bytes of header lists held for open streams: beyond it, requests, and the headers of
    /// responses, are answered as too large.
    pub max_held_headers: usize,
    /// Streams that end young and without an answer: what reading their headers costs is for
    /// nothing. Each answer pays for [four](Self::EARLY_RESETS_PER_ANSWER) of them. Only a peer that
    /// does little else, for seconds and faster than this, exceeds it.
    pub early_resets: Budget,
    /// Requests whose service begins and that do not get as far as an answer. Each answer pays for
    /// [four](Self::EARLY_RESETS_PER_ANSWER) of them. Beyond it requests are begun later; those that
    /// end meanwhile never are.
    pub starts: Budget,
    /// Streams that we had to reset because the peer broke a rule on them.
    pub induced_resets: Budget,
    /// DATA and CONTINUATION frames that carry nothing and end nothing. Payload received pays
    /// back.
    pub empty_frames: Budget,
    /// Other frames without effect: unknown or PRIORITY frames, RST_STREAM on closed streams,
    /// acknowledgements, GOAWAY. Payload received pays back, and each stream that
    /// ends allows for the few frames that may have been under way then.
    pub idle_frames: Budget,
    /// DATA frames of fewer than [`SMALL_PAYLOAD`](Self::SMALL_PAYLOAD) bytes that end nothing,
    /// where there was credit for more. Larger ones pay back.
    pub small_frames: Budget,
    /// WINDOW_UPDATE frames, but for some on streams that ended a moment ago. Each frame that we
    /// send pays for some.
    pub window_updates: Budget,
    /// Streams opened above [`max_concurrent_streams`](Self::max_concurrent_streams) by a peer
    /// that has acknowledged it.
    pub refused_streams: Budget,
    /// SETTINGS frames after the first.
    pub settings: Budget,
    /// Entries in one SETTINGS frame.
    pub max_settings_entries: u32,
    /// Acknowledgements (of PING and SETTINGS) waiting to be written; beyond it reading stops.
    pub max_pending_acks: u32,
    /// Pings from the peer: how often is too often.
    pub pings: PingPolicy,
    /// Bytes a stream buffers for sending before it is no longer writable.
    pub send_buffer_per_stream: usize,
    /// Bytes all streams together may have ready for the transport, with credit of their own to be
    /// sent, before none of them is writable.
    pub send_buffer: usize,
    /// Bytes all streams together may hold for sending, most of them because the peer gives no
    /// credit: beyond it streams without credit are not writable, new requests wait to be started,
    /// and streams may be reset, see [`stream_stall`](Self::stream_stall).
    pub send_memory: usize,
    /// Bytes by which the windows of streams may exceed their initial size, all of them together:
    /// a window that grows with the bandwidth takes its growth from here while it is used.
    pub window_loans: u32,
    /// Time for the preface and the first SETTINGS, and for a whole header block.
    pub handshake_timeout: Duration,
    /// Time for our SETTINGS to be acknowledged (RFC 9113, 6.5.3): until then the peer need not
    /// keep to them.
    pub settings_timeout: Duration,
    /// While more than [`send_memory`](Self::send_memory) waits: how long the oldest byte of a
    /// stream may have waited before the stream is reset. Below that a stream may wait for ever.
    pub stream_stall: Duration,
    /// How long the transport may accept no byte, with output waiting, before the connection
    /// ends.
    pub write_stall: Duration,
    /// Informational (1xx) responses on a stream.
    pub max_informational: u32,
}

/// When pings from the peer count as abuse (gRFC A8). Servers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingPolicy {
    /// A ping that comes sooner than this after the last good one is a strike.
    pub min_interval: Duration,
    /// Whether pings are permitted while no stream is open; if not, they may come every two hours.
    pub without_streams: bool,
    /// Strikes beyond which the connection ends with `too_many_pings`; 0: never.
    pub max_strikes: u32,
}

/// Bytes, of which a half and three quarters are some, too.
pub(crate) const LEAST_ROOM: usize = 4;

impl Limits {
    /// Payload of a DATA frame from which on it is worth its head: what a message is framed with
    /// in gRPC is as long.
    pub const SMALL_PAYLOAD: usize = 5;

    /// Streams that may end early for each one that is served: of requests that race each other,
    /// the first answer ends the others.
    pub const EARLY_RESETS_PER_ANSWER: u32 = 4;

    /// Bytes of a header block that allow for another CONTINUATION frame: half of what peers fill
    /// theirs with.
    pub const CONTINUATION_BYTES: usize = 8 << 10;

    /// WINDOW_UPDATE frames that each frame sent pays for: its stream's and the connection's, cut
    /// in halves.
    pub(crate) const WINDOW_UPDATES_PER_FRAME: u32 = 4;

    /// What is sent needs some room, however little: who waits for it goes on once a part of it is
    /// free, and of nothing there is no part.
    pub(crate) fn make_room(&mut self) {
        for limit in
            [&mut self.send_buffer_per_stream, &mut self.send_buffer, &mut self.send_memory]
        {
            *limit = (*limit).max(LEAST_ROOM);
        }
    }

    /// The size up to which a header list is never refused.
    pub(crate) fn soft_header_list(&self) -> usize {
        let hard = self.max_header_list_size;
        self.soft_header_list_size.unwrap_or(hard).min(hard) as usize
    }

    /// The most bytes of a header block.
    pub(crate) fn header_block(&self) -> usize {
        let lists = 2 * self.max_header_list_size as usize;
        lists.max(self.max_header_block as usize)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1000,
            max_header_list_size: 16 << 10,
            soft_header_list_size: None,
            max_header_fields: u32::MAX,
            max_header_block: 1 << 20,
            max_continuations: 8,
            max_held_headers: 4 << 20,
            early_resets: Budget { burst: 10_000, per_second: 2_000 },
            starts: Budget { burst: 5_000, per_second: 5_000 },
            induced_resets: Budget { burst: 100, per_second: 10 },
            empty_frames: Budget { burst: 100, per_second: 10 },
            idle_frames: Budget { burst: 1000, per_second: 100 },
            small_frames: Budget { burst: 10_000, per_second: 1000 },
            window_updates: Budget { burst: 10_000, per_second: 1000 },
            refused_streams: Budget { burst: 1000, per_second: 100 },
            settings: Budget { burst: 100, per_second: 10 },
            max_settings_entries: 32,
            max_pending_acks: 1000,
            pings: PingPolicy {
                min_interval: Duration::from_secs(300),
                without_streams: false,
                max_strikes: 2,
            },
            send_buffer_per_stream: 64 << 10,
            send_buffer: 1 << 20,
            send_memory: 256 << 20,
            window_loans: 64 << 20,
            handshake_timeout: Duration::from_secs(10),
            settings_timeout: Duration::from_secs(60),
            stream_stall: Duration::from_secs(60),
            write_stall: Duration::from_secs(120),
            max_informational: 8,
        }
    }
}
