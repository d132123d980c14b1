//! One connection of a scripted peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use std::{io, thread};

use super::host::Meetings;
use super::line::Line;
use super::script::{Action, Last, Script};
use crate::wire::{self, Frame, flag, kind};

/// What a peer saw of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) requests: usize,
    /// Bytes of requests.
    pub(super) received: usize,
    /// The codes of RST_STREAM, in order.
    pub(super) resets: Vec<String>,
    /// Why the script was not played to its end.
    pub(super) fault: Option<String>,
}

/// A peer's end of a connection.
pub(super) struct Connection {
    line: Box<dyn Line>,
    log: Log,
    /// Calls, in the order in which they came.
    calls: Vec<u32>,
    /// Of these, how many the script knows of.
    known: usize,
    /// The call that steps are about.
    current: u32,
    /// Calls whose requests are all there.
    complete: BTreeSet<u32>,
    /// Calls that were answered, if only by a reset.
    begun: BTreeSet<u32>,
    cancelled: BTreeMap<u32, u32>,
    /// Frames of requests that it is slow to read.
    slow: usize,
    /// Answers no PING.
    mute: bool,
    /// Whether what was read is credited to the client.
    credit: bool,
    /// What may be sent, in bytes: on the connection (0) and on streams.
    windows: BTreeMap<u32, i64>,
    /// What a stream begins with.
    initial_window: i64,
    /// Frames are read: the preface came.
    speaks: bool,
    over: bool,
}

impl Connection {
    /// Plays the script, then waits for the client to close the connection.
    pub(super) fn play(line: Box<dyn Line>, script: &Script, meetings: &Meetings) -> Log {
        let mut connection = Self {
            line,
            log: Log::default(),
            calls: Vec::new(),
            known: 0,
            current: 0,
            complete: BTreeSet::new(),
            begun: BTreeSet::new(),
            cancelled: BTreeMap::new(),
            slow: 0,
            mute: false,
            credit: true,
            windows: BTreeMap::from([(0, INITIAL_WINDOW)]),
            initial_window: INITIAL_WINDOW,
            speaks: false,
            over: false,
        };
        let mut actions: VecDeque<_> = script.0.iter().collect();
        while let Some(action) = actions.pop_front() {
            match connection.act(action, meetings) {
                Ok(true) => {}
                // Reset by this side: nothing follows.
                Ok(false) => return connection.log,
                Err(error) => {
                    connection.log.fault = Some(format!("at {action:?}: {error}"));
                    return connection.log;
                }
            }
        }
        if let Err(error) = connection.line.set_patience(FAREWELL).and_then(|()| connection.drain())
        {
            connection.log.fault = Some(format!("behind the script: {error}"));
        }
        connection.log
    }

    fn act(&mut self, action: &Action, meetings: &Meetings) -> io::Result<bool> {
        match action {
            Action::Settings { entries, credit } => {
                let mut preface = [0; wire::PREFACE.len()];
                self.line.read_exact(&mut preface)?;
                if preface != *wire::PREFACE {
                    return Err(io::Error::other("it is no preface"));
                }
                (self.speaks, self.credit) = (true, *credit);
                let entries: Vec<_> = entries.iter().map(|(id, value)| (*id, *value)).collect();
                self.send(&wire::settings(&entries))?;
            }
            Action::Request => self.request()?,
            Action::Requested => self.requested()?,
            Action::On(number) => {
                self.until("a request", |peer| peer.calls.len() >= *number)?;
                self.current = self.calls[number - 1];
                self.known = self.known.max(*number);
            }
            Action::Headers => self.headers()?,
            Action::Messages { size, count } => {
                let message = wire::message(&vec![7; *size]);
                for _ in 0..*count {
                    self.data(&message)?;
                }
            }
            Action::Trailers { code, text } => self.trailers(code, text)?,
            Action::Answer(count) => {
                for _ in 0..*count {
                    self.requested()?;
                    self.answer_call()?;
                }
            }
            Action::Serve => {
                while self.next_request()? {
                    self.answer_call()?;
                }
            }
            Action::Fields { list, end } => {
                let list: Vec<_> =
                    list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                self.begun.insert(self.current);
                self.send(&wire::headers(self.current, *end, &list))?;
            }
            Action::Reset(code) => {
                self.begun.insert(self.current);
                self.send(&wire::reset(self.current, *code))?;
            }
            Action::Goaway { last, code, text } => {
                let last = self.stream(*last);
                self.send(&wire::go_away(last, *code, text))?;
            }
            Action::Part(size) => {
                let message = wire::message(&vec![7; *size]);
                self.data(&message[..5 + size / 2])?;
            }
            Action::Frame { kind, flags, stream, payload } => {
                let stream = self.stream(*stream);
                self.send(&wire::frame(*kind, *flags, stream, payload))?;
            }
            Action::Pause(millis) => thread::sleep(Duration::from_millis(*millis)),
            Action::Slowly => self.slow = SLOW_FRAMES,
            Action::Mute => self.mute = true,
            // It may be gone already.
            Action::Close => self.line.close().or_else(unless_late)?,
            Action::Abort => {
                self.line.abort()?;
                return Ok(false);
            }
            Action::Meet(name) => meetings.meet(name)?,
            Action::Cancelled => {
                self.until("a reset", |peer| peer.cancelled.contains_key(&peer.current))?;
            }
            Action::Gone => self.drain()?,
            Action::Say(text) => self.send(text.as_bytes())?,
        }
        Ok(true)
    }

    const fn stream(&self, stream: Last) -> u32 {
        match stream {
            Last::This => self.current,
            Last::Number(number) => number,
        }
    }

    fn request(&mut self) -> io::Result<()> {
        let number = self.known;
        self.until("a request", |peer| peer.calls.len() > number)?;
        self.current = self.calls[number];
        self.known += 1;
        Ok(())
    }

    fn requested(&mut self) -> io::Result<()> {
        // Behind an answered call it is about the next one.
        if self.current == 0 || self.begun.contains(&self.current) {
            self.request()?;
        }
        self.until("the end of the requests", |peer| peer.complete.contains(&peer.current))
    }

    /// Waits for the next call and the end of its requests; false once the client has gone.
    fn next_request(&mut self) -> io::Result<bool> {
        loop {
            if let Some(call) = self.calls.get(self.known).copied()
                && self.complete.contains(&call)
            {
                self.current = call;
                self.known += 1;
                return Ok(true);
            }
            if !self.read()? {
                return Ok(false);
            }
        }
    }

    fn answer_call(&mut self) -> io::Result<()> {
        self.headers()?;
        self.data(&wire::message(&[7; 5]))?;
        self.trailers("0", "")
    }

    fn headers(&mut self) -> io::Result<()> {
        self.begun.insert(self.current);
        let fields = [(":status", "200"), ("content-type", "application/grpc")];
        self.send(&wire::headers(self.current, false, &fields))
    }

    fn trailers(&mut self, code: &str, text: &str) -> io::Result<()> {
        let mut fields = vec![("grpc-status", code)];
        if !text.is_empty() {
            fields.push(("grpc-message", text));
        }
        if self.begun.insert(self.current) {
            fields.splice(0..0, [(":status", "200"), ("content-type", "application/grpc")]);
        }
        self.send(&wire::headers(self.current, true, &fields))
    }

    /// DATA, as much at a time as the client takes.
    fn data(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.until("there is room for a message", |peer| peer.room() > 0)?;
            let room = usize::try_from(self.room()).expect("there is some");
            let (piece, rest) = bytes.split_at(bytes.len().min(room).min(MAX_FRAME));
            for stream in [0, self.current] {
                *self.window(stream) -= i64::try_from(piece.len()).expect("a frame");
            }
            self.send(&wire::data(self.current, false, piece))?;
            bytes = rest;
        }
        Ok(())
    }

    fn room(&self) -> i64 {
        let of = |stream| self.windows.get(&stream).copied().unwrap_or(self.initial_window);
        of(0).min(of(self.current))
    }

    fn window(&mut self, stream: u32) -> &mut i64 {
        let initial = self.initial_window;
        self.windows.entry(stream).or_insert(initial)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.write_all(bytes)?;
        self.line.flush()
    }

    /// Reads until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> io::Result<()> {
        while !holds(self) {
            if !self.read()? {
                return Err(io::Error::other(format!("the client went before {what}")));
            }
        }
        Ok(())
    }

    /// Reads until the client has gone.
    fn drain(&mut self) -> io::Result<()> {
        if !self.speaks {
            // What is no HTTP/2 yet is not looked at.
            let result = io::copy(&mut self.line, &mut io::sink()).map(drop);
            return result.or_else(unless_late);
        }
        loop {
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                // Answers to what it said last find nobody.
                Err(error) => return unless_late(error),
            }
        }
    }

    /// Reads a frame and answers it; false at the end.
    fn read(&mut self) -> io::Result<bool> {
        if self.over {
            return Ok(false);
        }
        let Some(frame) = self.frame()? else {
            self.over = true;
            return Ok(false);
        };
        let ends = frame.flags & flag::END_STREAM != 0;
        match frame.kind {
            kind::HEADERS => {
                self.calls.push(frame.stream);
                self.log.requests += 1;
                if ends {
                    self.complete.insert(frame.stream);
                }
            }
            kind::DATA => {
                if ends {
                    self.complete.insert(frame.stream);
                }
                self.log.received += frame.payload.len();
                if self.slow > 0 {
                    self.slow -= 1;
                    thread::sleep(Duration::from_millis(1));
                }
                let size = u32::try_from(frame.payload.len()).expect("24 bits");
                if self.credit && size > 0 {
                    let credit =
                        [wire::window_update(0, size), wire::window_update(frame.stream, size)];
                    self.answer(&credit.concat());
                }
            }
            kind::RST_STREAM => {
                let code = frame.payload.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
                self.cancelled.insert(frame.stream, code);
                self.log.resets.push(ferrpc_http2::Reason(code).to_string());
            }
            kind::WINDOW_UPDATE => {
                let more = frame.payload.first_chunk().map_or(0, |more| u32::from_be_bytes(*more));
                *self.window(frame.stream) += i64::from(more);
            }
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                let (entries, _) = frame.payload.as_chunks::<6>();
                for [id @ .., a, b, c, d] in entries {
                    if *id == WINDOW_SETTING {
                        let initial = i64::from(u32::from_be_bytes([*a, *b, *c, *d]));
                        let change = initial - self.initial_window;
                        self.initial_window = initial;
                        self.windows.iter_mut().skip(1).for_each(|(_, window)| *window += change);
                    }
                }
                self.answer(&wire::frame(kind::SETTINGS, flag::ACK, 0, &[]));
            }
            kind::PING if frame.flags & flag::ACK == 0 && !self.mute => {
                self.answer(&wire::frame(kind::PING, flag::ACK, 0, &frame.payload));
            }
            _ => {}
        }
        Ok(true)
    }

    /// Sends what only a client that is still there wants.
    fn answer(&mut self, bytes: &[u8]) {
        let _ = self.send(bytes);
    }

    fn frame(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.line.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.line.read_exact(&mut payload)?;
        Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
    }
}

/// Whether the client ended the connection, in whatever way.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Behind a script the only fault is a client that never goes.
fn unless_late(error: io::Error) -> io::Result<()> {
    use io::ErrorKind::{TimedOut, WouldBlock};
    if matches!(error.kind(), TimedOut | WouldBlock) {
        return Err(io::Error::other("the client does not close the connection"));
    }
    Ok(())
}

/// How soon a client that is done has closed its connections; half of what it may wait for SETTINGS.
const FAREWELL: Duration = Duration::from_secs(5);

/// SETTINGS_INITIAL_WINDOW_SIZE, and what it is by default.
const WINDOW_SETTING: [u8; 2] = [0, 4];
const INITIAL_WINDOW: i64 = 65_535;

/// How long a slow peer is slow.
const SLOW_FRAMES: usize = 20;

/// What a frame may hold by default.
const MAX_FRAME: usize = 16_384;
