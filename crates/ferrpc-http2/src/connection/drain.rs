//! The graceful end of a connection (RFC 9113, 6.8).
//!
//! ```text
//! server:  GOAWAY(2^31-1), PING --- its ack, or 5 s ---> GOAWAY(last accepted) --- streams end --> closed
//! client:  GOAWAY(0) ---------------------------------------------- streams end --> closed
//! peer:    its GOAWAY: streams above the last id end unprocessed; the rest end --> closed
//! ```

use std::time::Duration;

use crate::frame;
use crate::ping::PingKind;
use crate::{CloseCause, Reason, Role, Time};

use super::{Connection, Event, ResetBy};

/// How far the end has come.
#[derive(Debug)]
pub(super) enum Drain {
    No,
    /// Server: the first GOAWAY is out; new streams are still taken.
    Announced {
        until: Time,
        grace: Option<Time>,
    },
    /// Our last word is out.
    Final {
        grace: Option<Time>,
    },
    /// The peer's GOAWAY came.
    Peer {
        cause: Option<CloseCause>,
        grace: Option<Time>,
    },
}

impl Drain {
    /// When something happens by itself.
    pub(super) fn due(&self) -> Option<Time> {
        match *self {
            Self::No => None,
            Self::Announced { until, grace } => Some(grace.map_or(until, |grace| grace.min(until))),
            Self::Final { grace } | Self::Peer { grace, .. } => grace,
        }
    }

    fn grace(&self) -> Option<Time> {
        match *self {
            Self::No => None,
            Self::Announced { grace, .. } | Self::Final { grace } | Self::Peer { grace, .. } => {
                grace
            }
        }
    }
}

impl Connection {
    /// Begins a graceful end: streams that are open may finish until `grace` has passed.
    pub fn shutdown(&mut self, now: Time, grace: Option<Duration>) {
        let mut until = grace.map(|grace| now + grace);
        if self.closed.is_some() {
            return;
        }
        let first = !self.is_draining();
        match &mut self.drain {
            Drain::No => {}
            // A client's GOAWAY promises nothing: it may go on opening streams. So a server's own
            // end comes all the same.
            Drain::Peer { grace, .. } if self.role == Role::Server => {
                until = earlier(*grace, until);
            }
            Drain::Announced { grace, .. } | Drain::Final { grace } | Drain::Peer { grace, .. } => {
                // A second call can only shorten the time.
                *grace = earlier(*grace, until);
                return;
            }
        }
        match self.role {
            Role::Server if self.remote.received => {
                self.out.encode(|out| {
                    frame::go_away::encode(MAX_STREAM, Reason::NO_ERROR, "", out);
                    frame::ping::encode(PingKind::Drain.payload(), false, out);
                });
                self.drain = Drain::Announced { until: now + DRAIN_PING_TIMEOUT, grace: until };
            }
            _ => {
                let last = self.last_peer_stream;
                self.out.encode(|out| frame::go_away::encode(last, Reason::NO_ERROR, "", out));
                self.drain = Drain::Final { grace: until };
            }
        }
        if first {
            self.events.push_back(Event::Draining);
        }
        self.close_if_drained();
    }

    /// The peer has seen the first GOAWAY, or has had its time.
    pub(super) fn finish_announcement(&mut self) {
        if let Drain::Announced { grace, .. } = self.drain {
            let last = self.last_peer_stream;
            self.out.encode(|out| frame::go_away::encode(last, Reason::NO_ERROR, "", out));
            self.drain = Drain::Final { grace };
            self.close_if_drained();
        }
    }

    pub(super) fn handle_drain_timeout(&mut self, now: Time) {
        if self.drain.grace().is_some_and(|grace| grace <= now) {
            self.abort();
            return;
        }
        if let Drain::Announced { until, .. } = self.drain
            && until <= now
        {
            self.finish_announcement();
        }
    }

    /// GOAWAY came.
    pub(super) fn handle_go_away(&mut self, go_away: &frame::go_away::GoAway<'_>) {
        let failed = go_away.reason != Reason::NO_ERROR;
        let cause = failed.then(|| CloseCause::PeerGoAway {
            reason: go_away.reason,
            debug: String::from_utf8_lossy(&go_away.debug[..go_away.debug.len().min(MAX_DEBUG)])
                .into(),
        });
        if self.role == Role::Client {
            for key in self.streams.keys(|stream| stream.id > go_away.last_stream) {
                self.drop_stream(key, Reason::REFUSED_STREAM, ResetBy::Unprocessed);
            }
        }
        let first = !self.is_draining();
        match &mut self.drain {
            // A server in its own graceful end goes on with it.
            Drain::Announced { .. } | Drain::Final { .. } if self.role == Role::Server => {}
            Drain::Peer { cause: Some(_), .. } => {}
            drain => *drain = Drain::Peer { cause, grace: drain.grace() },
        }
        if first {
            self.events.push_back(Event::Draining);
        }
        self.close_if_drained();
    }

    pub(super) fn close_if_drained(&mut self) {
        if !self.streams.is_empty() {
            return;
        }
        match &mut self.drain {
            Drain::Final { .. } => self.close(CloseCause::Graceful),
            Drain::Peer { cause, .. } => {
                let cause = cause.take().unwrap_or(CloseCause::Graceful);
                self.close(cause);
            }
            Drain::No | Drain::Announced { .. } => {}
        }
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

/// "All streams": the last id of a GOAWAY that only announces.
const MAX_STREAM: u32 = 0x7fff_ffff;

/// How long the acknowledgement of the ping may take after which the final GOAWAY goes out.
const DRAIN_PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes kept of the peer's debug text.
const MAX_DEBUG: usize = 512;
