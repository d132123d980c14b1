//! How an attempt of a call ended, and the one place that says it in words.

use ferrpc_http2::{CloseCause, Time};

use crate::transport::{StartError, TransparentRetry};
use crate::{Code, Status};

/// How an attempt of a call ended.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// What the call ends with, unless it is attempted again.
    pub status: Status,
    /// Whether it may be attempted again without the application knowing.
    pub retry: TransparentRetry,
    /// Who ended it.
    pub by: EndedBy,
    /// When the call is attempted again; `None`: it ends with this. Decided by
    /// [`ClientCall::handle_end`](crate::call::ClientCall::handle_end).
    pub next: Option<Time>,
}

/// Who ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndedBy {
    /// The server: its status came in trailers.
    Server,
    /// The deadline passed here.
    Deadline,
    /// The stream ended without the server's status: it was reset, or its connection was lost.
    Stream,
    /// The connection was lost, or took the call no more.
    Connection,
    /// The channel was closed.
    Channel,
    /// This side, for another reason.
    Client,
}

impl AttemptEnd {
    /// This side ended it with a status of its own.
    pub const fn local(status: Status) -> Self {
        Self::new(status, TransparentRetry::No, EndedBy::Client)
    }

    /// Whether the call ends with it: there is no other attempt.
    pub const fn is_final(&self) -> bool {
        self.next.is_none()
    }

    /// The transport reported the end of a call that had a stream.
    pub fn finished(status: Status, retry: TransparentRetry, from_peer: bool) -> Self {
        let by = match status.code() {
            _ if from_peer => EndedBy::Server,
            Code::DeadlineExceeded => EndedBy::Deadline,
            _ => EndedBy::Stream,
        };
        Self::new(status, retry, by)
    }

    /// The connection ended under a call that had a stream, and no event said how the call ended.
    pub fn lost(cause: &CloseCause) -> Self {
        Self::connection(format!("the connection was lost: {cause}"), TransparentRetry::No)
    }

    /// The same, where nobody drives the connection any more.
    pub fn dropped(why: &str) -> Self {
        Self::connection(why.to_owned(), TransparentRetry::No)
    }

    /// The connection took no more calls before this one had a stream: it may go elsewhere.
    pub fn not_sent() -> Self {
        Self::connection(
            "the connection ended before the call could be sent".to_owned(),
            TransparentRetry::NeverSent,
        )
    }

    /// The deadline passed while the call waited for a stream.
    pub fn late_for_stream() -> Self {
        Self::late(
            "the deadline passed while waiting for a stream: the server has as many calls on this \
             connection as it takes"
                .to_owned(),
        )
    }

    /// The deadline passed while the call waited for a connection, of which `place` names the other
    /// end; `failure` says why there is none, if that is known.
    pub fn late_for_connection(place: &str, failure: Option<&str>) -> Self {
        let why = failure.map(|failure| format!(" ({failure})")).unwrap_or_default();
        Self::late(format!("the deadline passed while waiting for a connection to {place}{why}"))
    }

    /// The deadline passed while the call's credentials were asked.
    pub fn late_for_credentials() -> Self {
        Self::late("the deadline passed while waiting for the call's credentials".to_owned())
    }

    /// The deadline passed between two attempts, of which the first ended with `failure`.
    pub(crate) fn late_for_attempt(failure: &Status) -> Self {
        let (code, text) = (failure.code(), failure.message());
        Self::late(format!(
            "the deadline passed before another attempt; the last one ended with {code}: {text}"
        ))
    }

    /// The channel was closed.
    pub fn closed() -> Self {
        let status = Status::new(Code::Cancelled, "the channel was closed");
        Self::new(status, TransparentRetry::No, EndedBy::Channel)
    }

    /// There is no connection to be had, for this reason.
    pub fn unreachable(status: Status) -> Self {
        Self::new(status, TransparentRetry::No, EndedBy::Connection)
    }

    /// The transport did not start the call. `None`: it has to wait for a stream.
    pub fn refused(error: &StartError) -> Option<Self> {
        match error {
            StartError::StreamLimit => None,
            StartError::MetadataTooLarge { .. } => {
                let status = Status::new(Code::ResourceExhausted, error.to_string());
                Some(Self::local(status))
            }
            StartError::DeadlineExceeded => Some(Self::late(error.to_string())),
            StartError::Draining => Some(Self::not_sent()),
        }
    }

    fn late(text: String) -> Self {
        let status = Status::new(Code::DeadlineExceeded, text);
        Self::new(status, TransparentRetry::No, EndedBy::Deadline)
    }

    fn connection(text: String, retry: TransparentRetry) -> Self {
        Self::new(Status::new(Code::Unavailable, text), retry, EndedBy::Connection)
    }

    const fn new(status: Status, retry: TransparentRetry, by: EndedBy) -> Self {
        Self { status, retry, by, next: None }
    }
}
