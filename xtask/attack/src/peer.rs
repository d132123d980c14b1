//! The hostile end of a connection: it writes what it is told to, and remembers what came back. No
//! rule of HTTP/2 holds it back.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ferrpc_testing::wire::{self, flag, kind};

use crate::frames::{Frames, Lists};

/// All that a peer has said on one connection.
#[derive(Default)]
pub(crate) struct Seen {
    /// GOAWAY frames with an error: code and text.
    pub(crate) go_away: Option<(u32, String)>,
    /// RST_STREAM frames by code.
    pub(crate) resets: BTreeMap<u32, usize>,
    /// The values of `grpc-status`.
    pub(crate) statuses: BTreeMap<String, usize>,
    /// The streams that were opened, by those who open them.
    pub(crate) opened: Vec<u32>,
    /// Acknowledgements of PING and of SETTINGS.
    pub(crate) pongs: usize,
    pub(crate) settings_acks: usize,
    /// The connection has ended.
    pub(crate) closed: bool,
    /// When one of the above was last different.
    pub(crate) changed: Option<Instant>,
    /// Credit for DATA: of the connection, of a new stream, and what streams got since.
    pub(crate) connection_credit: i64,
    pub(crate) initial_window: i64,
    pub(crate) stream_credit: HashMap<u32, i64>,
}

/// A connection to attack through. Dropping it closes it.
pub(crate) struct Hostile {
    socket: TcpStream,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    /// Bytes that the system took, and streams that they opened.
    pub(crate) sent: u64,
    pub(crate) streams: u32,
    /// Nothing more could be written for `WRITE_LIMIT`.
    pub(crate) stuck: bool,
}

impl Hostile {
    /// Connects and sends nothing. A reader takes all that comes.
    pub(crate) fn silent(address: &str) -> Result<Self> {
        let peer = Self::deaf(address)?;
        let reader = peer.socket.try_clone()?;
        let seen = Arc::clone(&peer.seen);
        thread::spawn(move || read(reader, &seen));
        Ok(peer)
    }

    /// The hostile server's end of a connection that a client has made.
    pub(crate) fn accepted(socket: TcpStream) -> Result<Self> {
        let peer = Self::over(socket)?;
        let reader = peer.socket.try_clone()?;
        let seen = Arc::clone(&peer.seen);
        thread::spawn(move || {
            let mut preface = vec![0; wire::PREFACE.len()];
            if (&reader).read_exact(&mut preface).is_ok() {
                read(reader, &seen);
            }
        });
        Ok(peer)
    }

    /// Connects, and never reads.
    pub(crate) fn deaf(address: &str) -> Result<Self> {
        Self::over(TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?)
    }

    fn over(socket: TcpStream) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_LIMIT))?;
        let first = Seen {
            connection_credit: FIRST_WINDOW,
            initial_window: FIRST_WINDOW,
            ..Seen::default()
        };
        let seen = Arc::new((Mutex::new(first), Condvar::new()));
        Ok(Self { socket, seen, sent: 0, streams: 0, stuck: false })
    }

    /// Connects, says hello as every client does, with these SETTINGS, and waits for the server's.
    pub(crate) fn greeted_with(address: &str, settings: &[(u16, u32)]) -> Result<Self> {
        let mut peer = Self::silent(address)?;
        peer.send(&[wire::PREFACE, &wire::settings(settings)].concat());
        peer.wait(PATIENCE, |seen| seen.settings_acks > 0 || seen.closed);
        peer.send(&wire::frame(kind::SETTINGS, flag::ACK, 0, &[]));
        Ok(peer)
    }

    /// Writes; whether there is any sense in more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(count) => {
                    self.sent += count as u64;
                    rest = &rest[count..];
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.stuck = true;
                    return false;
                }
                Err(_) => return false,
            }
        }
        !self.ended()
    }

    /// Writes what `one` makes of 0, 1, 2 ... in batches, until the server has had enough.
    pub(crate) fn flood(&mut self, count: u32, mut one: impl FnMut(u32) -> Vec<u8>) {
        let mut batch = Vec::new();
        for number in 0..count {
            batch.extend(one(number));
            if batch.len() >= BATCH || number + 1 == count {
                if !self.send(&batch) {
                    return;
                }
                batch.clear();
            }
        }
    }

    /// As much of `bytes` on a stream as there is credit for, from `*offset` on; whether all is sent.
    pub(crate) fn send_with_credit(
        &mut self,
        stream: u32,
        bytes: &[u8],
        offset: &mut usize,
        end: bool,
    ) -> bool {
        loop {
            let left = bytes.len() - *offset;
            if left == 0 {
                return true;
            }
            let size = {
                let mut seen = self.lock();
                let initial = seen.initial_window;
                let own = *seen.stream_credit.entry(stream).or_insert(initial);
                let size = (left as i64).min(own).min(seen.connection_credit).min(MAX_FRAME);
                if size > 0 {
                    seen.connection_credit -= size;
                    seen.stream_credit.insert(stream, own - size);
                }
                usize::try_from(size).unwrap_or_default()
            };
            if size == 0 {
                return false;
            }
            let piece = &bytes[*offset..*offset + size];
            *offset += size;
            if !self.send(&wire::data(stream, end && size == left, piece)) {
                return false;
            }
        }
    }

    /// Waits until what was seen is as wanted; whether it is.
    pub(crate) fn wait(&self, limit: Duration, wanted: impl Fn(&Seen) -> bool) -> bool {
        let (lock, changed) = &*self.seen;
        let seen = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let result = changed.wait_timeout_while(seen, limit, |seen| !wanted(seen));
        !result.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ended(&self) -> bool {
        let seen = self.lock();
        seen.closed || seen.go_away.is_some()
    }

    /// Whether a PING comes back.
    pub(crate) fn answers(&mut self) -> bool {
        let before = self.lock().pongs;
        self.send(&wire::ping(*b"are you?"))
            && self.wait(PATIENCE, |seen| seen.pongs > before || seen.closed)
            && !self.ended()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Fails only if the other side was first.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Reads to the end and remembers.
fn read(mut socket: TcpStream, seen: &(Mutex<Seen>, Condvar)) {
    let (mut frames, mut lists) = (Frames::default(), Lists::default());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = socket.read(&mut buffer).unwrap_or(0);
        let mut known = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            known.closed = true;
            known.changed.get_or_insert_with(Instant::now);
            seen.1.notify_all();
            return;
        }
        frames.push(&buffer[..count]);
        while let Some(frame) = frames.next() {
            note(&mut known, &mut lists, &frame);
        }
        seen.1.notify_all();
    }
}

fn note(seen: &mut Seen, lists: &mut Lists, frame: &wire::Frame) {
    let word = |at: usize| {
        let bytes = frame.payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    let ack = frame.flags & flag::ACK != 0;
    match frame.kind {
        kind::GOAWAY if word(4) != 0 => {
            let text = frame.payload.get(8..).unwrap_or_default();
            seen.go_away = Some((word(4), String::from_utf8_lossy(text).into_owned()));
            seen.changed = Some(Instant::now());
        }
        kind::RST_STREAM => {
            *seen.resets.entry(word(0)).or_default() += 1;
            seen.changed.get_or_insert_with(Instant::now);
        }
        kind::HEADERS | kind::CONTINUATION => {
            if frame.kind == kind::HEADERS && seen.opened.last() != Some(&frame.stream) {
                seen.opened.push(frame.stream);
            }
            if let Some(status) = lists.status(frame) {
                *seen.statuses.entry(status).or_default() += 1;
                seen.changed.get_or_insert_with(Instant::now);
            }
        }
        kind::PING if ack => seen.pongs += 1,
        kind::SETTINGS if ack => seen.settings_acks += 1,
        kind::SETTINGS => {
            for entry in frame.payload.chunks_exact(6).filter(|entry| entry[..2] == [0, 4]) {
                let bytes = [entry[2], entry[3], entry[4], entry[5]];
                seen.initial_window = i64::from(u32::from_be_bytes(bytes));
            }
        }
        kind::WINDOW_UPDATE if frame.stream == 0 => seen.connection_credit += i64::from(word(0)),
        kind::WINDOW_UPDATE => {
            let initial = seen.initial_window;
            *seen.stream_credit.entry(frame.stream).or_insert(initial) += i64::from(word(0));
        }
        _ => {}
    }
}

/// What windows are before anybody says otherwise (RFC 9113, 6.9.2).
const FIRST_WINDOW: i64 = 65_535;
const MAX_FRAME: i64 = 16_384;
/// Bytes written at once.
const BATCH: usize = 64 << 10;
/// A server that does not read for so long has stopped.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
/// For what happens at once, with room for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);
