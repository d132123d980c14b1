//! What a transport tells its driver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrpc_http2::{CloseCause, Fields, Time};

use super::Run;
use crate::{Encoding, EncodingSet, Metadata, Status};

/// One call on one connection. Copied freely; a call that has ended is recognised as such, and
/// commands for it do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    pub(crate) slot: u32,
    pub(crate) stream: u32,
}

impl CallId {
    /// A small number, unique among the calls that are open on the connection at one time: calls
    /// can be kept in a vector.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// The HTTP/2 stream's id, for logs.
    pub const fn stream(self) -> u32 {
        self.stream
    }
}

/// What happened on the connection.
#[derive(Debug)]
pub enum Event {
    /// Server: a new call. Answer with [`accept`](super::Transport::accept) or
    /// [`reject`](super::Transport::reject) before anything else of it is reported.
    Call {
        /// The call.
        call: CallId,
        /// What its headers say.
        head: Box<RequestHead>,
    },
    /// Server: a plain HTTP request that is no gRPC call and has no content type. Answer with
    /// [`respond_http`](super::Transport::respond_http). Its body is discarded.
    Http {
        /// The request, as a call.
        call: CallId,
        /// All its header fields, pseudo-header fields first.
        fields: Fields,
    },
    /// Client: the response headers came.
    Headers {
        /// The call.
        call: CallId,
        /// The initial metadata.
        metadata: Metadata,
        /// How response messages are compressed, if they are.
        encoding: Encoding,
    },
    /// A whole message. It counts as held until it is consumed: say so with
    /// [`release`](super::Transport::release). (Where only one message comes it is consumed with
    /// this event, but for requests of at least [`HELD_REQUEST`](super::HELD_REQUEST) bytes.)
    Message {
        /// The call.
        call: CallId,
        /// The message.
        message: Message,
    },
    /// Small messages of a call that takes many. Give their credit back, as for
    /// [`Message`](Self::Message). Only with [`Config::message_runs`](super::Config::message_runs).
    Messages {
        /// The call.
        call: CallId,
        /// The messages.
        run: Run,
    },
    /// The peer will send no more messages (server: half-close).
    RemoteDone {
        /// The call.
        call: CallId,
    },
    /// Too much is held for the application: the message that arrives on this call, or (server)
    /// comes next, is completed only if its consumer waits for it. Say so with [`want`](super::Transport::want), at once or
    /// when it begins to wait. This is about one message: where the next one needs it, it is asked
    /// again.
    Withheld {
        /// The call.
        call: CallId,
    },
    /// After a send that reported [`SendState::Full`]: there is room again.
    Writable {
        /// The call.
        call: CallId,
    },
    /// Server: the call is over before it was finished here. No more events of it.
    Cancelled {
        /// The call.
        call: CallId,
        /// By what.
        by: CancelledBy,
    },
    /// Client: the call is over; all its messages were reported before. No more events of it.
    Finished {
        /// The call.
        call: CallId,
        /// How it ended, with the trailing metadata.
        status: Status,
        /// Whether it may be sent again without the application knowing.
        retry: TransparentRetry,
        /// Whether the status came from the peer's trailers rather than being made here.
        from_peer: bool,
    },
    /// Client: the peer's SETTINGS came: the connection is up.
    Ready,
    /// Client: the number of streams that may be open at once changed, or a stream closed: a call
    /// that got [`StartError::StreamLimit`](super::StartError::StreamLimit) may start now.
    StreamsAvailable,
    /// Server: after [`may_start`](super::Transport::may_start) was false: calls that wait may be
    /// tried again.
    MayStart,
    /// The peer (client: by GOAWAY) or the local side began a graceful end: no new calls here.
    Draining,
    /// The connection is over. No more events.
    Closed {
        /// Why.
        cause: CloseCause,
    },
}

/// The headers of a request, read. Its texts are shared between equal requests.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The path as received: "/service/method". Checked to have exactly that form.
    pub path: Arc<str>,
    /// `:authority`, or `host` where that is absent.
    pub authority: Option<Arc<str>>,
    /// The initial metadata.
    pub metadata: Metadata,
    /// When the call must have ended.
    pub deadline: Option<Time>,
    /// The time that the caller gave it.
    pub timeout: Option<Duration>,
    /// How request messages are compressed, if they are.
    pub encoding: Encoding,
    /// What the caller can decompress.
    pub accept: EncodingSet,
    /// What follows "application/grpc" in the content type ("+proto" for instance).
    pub content_subtype: Option<Arc<str>>,
    /// Whether the request ended with its headers (no message comes).
    pub end: bool,
}

/// A message as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The message's bytes, compressed if `compressed`.
    pub payload: Bytes,
    /// Whether the call's encoding was applied.
    pub compressed: bool,
}

/// What ended a call from outside its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledBy {
    /// The caller reset the stream.
    Peer,
    /// The deadline passed.
    Deadline,
    /// The connection ended.
    ConnectionLost,
    /// The request broke a rule or a limit; the caller was told.
    Refused,
}

/// Whether a failed client call may be sent again unseen (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransparentRetry {
    /// The server may have seen it.
    No,
    /// It never left this side.
    NeverSent,
    /// The server said that it did not process it (REFUSED_STREAM, or above GOAWAY's last id).
    Refused,
}

/// Whether another message may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    /// There is room.
    Ready,
    /// Buffers are full: wait for [`Event::Writable`].
    Full,
    /// The call is over; the message was dropped.
    Gone,
}
