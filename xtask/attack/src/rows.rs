//! The rows: what is sent, and what has to come of it. The numbers are those of SECURITY.md.

mod frames;
mod headers;
mod messages;
pub(crate) mod servers;
mod slow;
mod streams;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use ferrpc_testing::wire;

use crate::frames::{call, nth};
use crate::peer::Hostile;

/// One way to attack a server.
pub(crate) struct Row {
    pub(crate) number: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Attack) -> Result<()>,
    pub(crate) expected: Expected,
    /// How long the reaction may take once all is sent.
    pub(crate) patience: Duration,
    /// What the server may hold in all, where that is not about what it received.
    pub(crate) most: Option<u64>,
}

impl Row {
    const fn new(
        number: &'static str,
        what: &'static str,
        expected: Expected,
        run: fn(&mut Attack) -> Result<()>,
    ) -> Self {
        Self { number, what, run, expected, patience: AT_ONCE, most: None }
    }

    /// What happens by time alone: it is not waited for when things have to be quick.
    const fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether it waits for most of its time.
    pub(crate) fn by_time(&self) -> bool {
        self.patience > AT_ONCE
    }

    const fn at_most(mut self, bytes: u64) -> Self {
        self.most = Some(bytes);
        self
    }
}

/// What a server has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// GOAWAY with this code, and this in its text.
    GoAway(u32, &'static str),
    /// RST_STREAM with this code; the connection goes on.
    Reset(u32),
    /// This `grpc-status`; the connection goes on.
    Status(&'static str),
    /// GOAWAY, or this status for each call: calls older than ten milliseconds are not counted as
    /// given up, and a machine that is busy may find all of them to be.
    Either(u32, &'static str, &'static str),
    /// Nothing: the connection goes on.
    Lives,
    /// The connection ends, by whatever words.
    Closes,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoAway(code, text) => write!(f, "GOAWAY {} {text}", code_name(*code)),
            Self::Either(code, text, status) => {
                write!(f, "GOAWAY {} {text} or {}", code_name(*code), status_name(status))
            }
            Self::Reset(code) => write!(f, "RST_STREAM {}", code_name(*code)),
            Self::Status(status) => write!(f, "{}", status_name(status)),
            Self::Lives => write!(f, "goes on"),
            Self::Closes => write!(f, "closes"),
        }
    }
}

/// An attack that is under way.
pub(crate) struct Attack {
    address: String,
    pub(crate) quick: bool,
    peers: Vec<Hostile>,
}

/// What was seen of the server's reaction on the last connection.
pub(crate) struct Reaction {
    pub(crate) as_expected: bool,
    pub(crate) reaction: String,
}

impl Attack {
    pub(crate) fn new(address: &str, quick: bool) -> Self {
        Self { address: address.to_owned(), quick, peers: Vec::new() }
    }

    /// So many, or fewer when things have to be quick.
    fn count(&self, whole: u32, quick: u32) -> u32 {
        if self.quick { quick } else { whole }
    }

    /// A connection that has said hello.
    fn greeted(&mut self) -> Result<&mut Hostile> {
        self.greeted_with(&[])
    }

    fn greeted_with(&mut self, settings: &[(u16, u32)]) -> Result<&mut Hostile> {
        let peer = Hostile::greeted_with(&self.address, settings)?;
        Ok(self.keep(peer))
    }

    /// A connection on which nothing was said.
    fn silent(&mut self) -> Result<&mut Hostile> {
        let peer = Hostile::silent(&self.address)?;
        Ok(self.keep(peer))
    }

    /// A connection that nobody reads.
    fn deaf(&mut self) -> Result<&mut Hostile> {
        let peer = Hostile::deaf(&self.address)?;
        Ok(self.keep(peer))
    }

    fn keep(&mut self, peer: Hostile) -> &mut Hostile {
        self.peers.push(peer);
        let last = self.peers.len() - 1;
        &mut self.peers[last]
    }

    /// Bytes, connections and streams so far.
    pub(crate) fn sent(&self) -> (u64, u32, u32) {
        let connections = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        let sent = self.peers.iter().map(|peer| peer.sent).sum();
        (sent, connections, self.peers.iter().map(|peer| peer.streams).sum())
    }

    /// When the last connection first saw a reaction.
    pub(crate) fn reacted(&self) -> Option<Instant> {
        self.peers.last().and_then(|peer| peer.lock().changed)
    }

    /// Waits for what is expected, or for `patience`.
    pub(crate) fn settle(&mut self, expected: &Expected, patience: Duration) -> Reaction {
        let Some(peer) = self.peers.last_mut() else {
            return Reaction { as_expected: false, reaction: "no connection".to_owned() };
        };
        meet(peer, expected, patience)
    }
}

/// Waits until a peer has done what is expected, or for `patience`.
pub(crate) fn meet(peer: &mut Hostile, expected: &Expected, patience: Duration) -> Reaction {
    let as_expected = match *expected {
        Expected::GoAway(code, text) => peer.wait(patience, |seen| {
            seen.go_away.as_ref().is_some_and(|(got, said)| *got == code && said.contains(text))
        }),
        Expected::Either(code, text, status) => {
            peer.wait(patience, |seen| {
                let said = seen.go_away.as_ref();
                said.is_some_and(|(got, said)| *got == code && said.contains(text))
                    || seen.statuses.contains_key(status)
            }) && !peer.lock().closed
                || peer.lock().go_away.is_some()
        }
        Expected::Reset(code) => {
            peer.wait(patience, |seen| seen.resets.contains_key(&code) || seen.closed)
                && peer.answers()
        }
        Expected::Status(status) => {
            peer.wait(patience, |seen| seen.statuses.contains_key(status) || seen.closed)
                && peer.answers()
        }
        Expected::Lives => peer.answers() && peer.lock().resets.is_empty(),
        Expected::Closes => peer.wait(patience, |seen| seen.closed),
    };
    Reaction { as_expected, reaction: describe(peer) }
}

/// Many calls at once, so that all threads of a server have worked.
pub(crate) fn warm_up(attack: &mut Attack) -> Result<()> {
    let peer = attack.greeted()?;
    peer.flood(64, |n| [call(nth(n), "EmptyCall"), wire::data(nth(n), true, &[0; 5])].concat());
    peer.wait(AT_ONCE, |seen| {
        seen.statuses.get("0").is_some_and(|count| *count >= 64) || seen.closed
    });
    Ok(())
}

/// What a server did, in a table's words.
fn describe(peer: &Hostile) -> String {
    let seen = peer.lock();
    let mut words = Vec::new();
    if let Some((code, text)) = &seen.go_away {
        words.push(format!("GOAWAY {} {text}", code_name(*code)).trim().to_owned());
    }
    for (code, count) in &seen.resets {
        words.push(format!("{count} RST_STREAM {}", code_name(*code)));
    }
    for (status, count) in &seen.statuses {
        words.push(format!("{count} {}", status_name(status)));
    }
    if seen.closed && seen.go_away.is_none() {
        words.push("closes".to_owned());
    }
    if peer.stuck {
        words.push("stops reading".to_owned());
    }
    if words.is_empty() { "goes on".to_owned() } else { words.join(", ") }
}

fn code_name(code: u32) -> String {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
    ];
    names.get(code as usize).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

fn status_name(status: &str) -> String {
    let name = match status {
        "0" => "OK",
        "3" => "INVALID_ARGUMENT",
        "4" => "DEADLINE_EXCEEDED",
        "8" => "RESOURCE_EXHAUSTED",
        "12" => "UNIMPLEMENTED",
        "13" => "INTERNAL",
        other => return format!("status {other}"),
    };
    name.to_owned()
}

/// All rows against servers.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for of in [frames::rows, headers::rows, streams::rows, messages::rows, slow::rows] {
        rows.extend(of());
    }
    rows
}

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;
const CALM: u32 = 11;

/// For what does not depend on time, with room for a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(20);
