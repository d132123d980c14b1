//! A caller who means no harm: one unary call after the other on one connection, each timed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ferrpc_testing::wire::{self, flag, kind};

use crate::frames::{Frames, Lists, call};

/// What became of the calls of an honest caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) times: Vec<Duration>,
    /// What was wrong with each that failed.
    pub(crate) lost: Vec<String>,
}

impl Calls {
    /// The time within which 99 of 100 were answered.
    pub(crate) fn p99(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times.get((times.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Calls without end on a thread of its own.
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    thread: JoinHandle<Calls>,
}

impl Honest {
    /// Connects and begins.
    pub(crate) fn start(address: &str) -> Result<Self> {
        let mut caller = Caller::connect(address)?;
        caller.call().context("the first honest call")?;
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = thread::spawn({
            let (stop, made) = (Arc::clone(&stop), Arc::clone(&made));
            move || {
                let mut calls = Calls::default();
                while !stop.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    match caller.call() {
                        Ok(()) => calls.times.push(begin.elapsed()),
                        Err(error) => {
                            calls.lost.push(format!("{error:#}"));
                            return calls;
                        }
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
                calls
            }
        });
        Ok(Self { stop, made, thread })
    }

    /// Waits until so many more calls were answered, or one was lost.
    pub(crate) fn make(&self, count: usize) {
        let until = self.made.load(Ordering::Relaxed) + count;
        while self.made.load(Ordering::Relaxed) < until && !self.thread.is_finished() {
            thread::sleep(PAUSE);
        }
    }

    /// Ends after the call that is under way.
    pub(crate) fn stop(self) -> Result<Calls> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the honest caller panicked"))
    }
}

/// One connection that obeys all rules.
struct Caller {
    socket: TcpStream,
    frames: Frames,
    lists: Lists,
    next: u32,
}

impl Caller {
    fn connect(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut caller =
            Self { socket, frames: Frames::default(), lists: Lists::default(), next: 1 };
        // All the credit that answers of five bytes will ever need.
        caller
            .socket
            .write_all(&[wire::client_hello(), wire::window_update(0, 1 << 30)].concat())?;
        Ok(caller)
    }

    /// EmptyCall; an error if it does not succeed.
    fn call(&mut self) -> Result<()> {
        let stream = self.next;
        self.next += 2;
        let request = [call(stream, "EmptyCall"), wire::data(stream, true, &wire::message(b""))];
        self.socket.write_all(&request.concat())?;
        loop {
            let frame = self.frame()?;
            let ack = frame.flags & flag::ACK != 0;
            match frame.kind {
                kind::SETTINGS if !ack => {
                    self.socket.write_all(&wire::frame(kind::SETTINGS, flag::ACK, 0, &[]))?;
                }
                kind::PING if !ack => {
                    let pong = wire::frame(kind::PING, flag::ACK, 0, &frame.payload);
                    self.socket.write_all(&pong)?;
                }
                kind::GOAWAY => bail!("GOAWAY: {:?}", wire::last_go_away(&[frame])),
                kind::RST_STREAM => bail!("RST_STREAM: {:?}", frame.payload),
                kind::HEADERS | kind::CONTINUATION => match self.lists.status(&frame).as_deref() {
                    None => {}
                    Some("0") => return Ok(()),
                    Some(status) => bail!("status {status}"),
                },
                _ => {}
            }
        }
    }

    fn frame(&mut self) -> Result<wire::Frame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.frames.next() {
                return Ok(frame);
            }
            let count = self.socket.read(&mut buffer).context("no answer")?;
            if count == 0 {
                bail!("the connection was closed");
            }
            self.frames.push(&buffer[..count]);
        }
    }
}

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(2);
/// A call that takes longer is lost.
const LIMIT: Duration = Duration::from_secs(20);
