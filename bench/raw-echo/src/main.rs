//! The floor: as many bytes over TCP as a unary call takes, in the same pattern, and no protocol.
//!
//! ```text
//! raw_echo server --listen HOST:PORT [--request BYTES] [--response BYTES]
//! raw_echo client --connect HOST:PORT [--shape CxS] [--calls N] [--request BYTES] [--response BYTES]
//! ```
//!
//! The server sends `response` bytes for every `request` bytes that came; all that one read
//! brought is answered by one write. The client keeps S requests in flight on each of C
//! connections, counts the bytes and their values, and prints a line of JSON. Both are one thread
//! and epoll.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raw_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let mut flags = Flags::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" | "--connect" => flags.address = value,
            "--shape" => {
                let (connections, streams) = value.split_once('x').ok_or("--shape CxS")?;
                (flags.connections, flags.streams) = (connections.parse()?, streams.parse()?);
            }
            "--calls" => flags.calls = value.parse()?,
            "--request" => flags.request = value.parse()?,
            "--response" => flags.response = value.parse()?,
            _ => return Err(format!("unknown argument: {flag}").into()),
        }
    }
    if flags.address.is_empty() || [flags.request, flags.response, flags.streams].contains(&0) {
        return Err("an address is needed, and sizes above 0".into());
    }
    match role.as_str() {
        "server" => serve(&flags)?,
        "client" => load(&flags)?,
        _ => return Err("server or client?".into()),
    }
    Ok(())
}

struct Flags {
    address: String,
    connections: usize,
    streams: usize,
    calls: usize,
    request: usize,
    response: usize,
}

impl Default for Flags {
    fn default() -> Self {
        // What h2load and a server of example.TestService exchange for a call, headers compressed.
        let (request, response) = (64, 96);
        Self {
            address: String::new(),
            connections: 1,
            streams: 1,
            calls: 10_000,
            request,
            response,
        }
    }
}

/// A socket, and what waits to be sent on it.
struct Peer {
    stream: TcpStream,
    /// Bytes received that are not a whole message yet.
    partial: usize,
    /// Bytes still to be sent.
    unsent: usize,
    watched: EventFlags,
}

impl Peer {
    fn new(epoll: &OwnedFd, stream: TcpStream, index: usize) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(epoll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
        Ok(Self { stream, partial: 0, unsent: 0, watched: EventFlags::IN })
    }

    /// Level-triggered, so that one read for each wake is enough.
    fn watch(&mut self, epoll: &OwnedFd, wanted: EventFlags, index: u64) -> io::Result<()> {
        if wanted != self.watched {
            epoll::modify(epoll, &self.stream, EventData::new_u64(index), wanted)?;
            self.watched = wanted;
        }
        Ok(())
    }

    /// Sends what is owed, as far as the socket takes it.
    fn flush(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&bytes[..self.unsent.min(bytes.len())]) {
                Ok(sent) => self.unsent -= sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends as far as the socket takes it, and watches it for answers and for room.
    fn send(&mut self, epoll: &OwnedFd, bytes: &[u8], index: u64) -> io::Result<()> {
        self.flush(bytes)?;
        let more = if self.unsent == 0 { EventFlags::empty() } else { EventFlags::OUT };
        self.watch(epoll, EventFlags::IN | more, index)
    }

    /// Reads once: how many whole messages of `size` bytes there are now, `None` at the end.
    fn receive(&mut self, buffer: &mut [u8], size: usize) -> io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => Ok(None),
            Ok(read) => {
                if buffer[..read].iter().any(|byte| *byte != FILLING) {
                    return Err(io::Error::other("other bytes than were sent"));
                }
                let bytes = self.partial + read;
                self.partial = bytes % size;
                Ok(Some(bytes / size))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }
}

fn serve(flags: &Flags) -> io::Result<()> {
    let listener = TcpListener::bind(&flags.address)?;
    println!("listening on {}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; BUFFER];
    let filling = vec![FILLING; BUFFER];
    loop {
        wait(&epoll, &mut events)?;
        for event in events.drain(..) {
            let index = event.data.u64();
            if index == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    let peer = Peer::new(&epoll, stream, peers.len())?;
                    peers.push(Some(peer));
                }
                continue;
            }
            let slot = &mut peers[index as usize];
            let Some(peer) = slot else { continue };
            let open = answer(peer, flags, &mut buffer, &filling);
            if open.unwrap_or(false) {
                let wanted = if peer.unsent == 0 { EventFlags::IN } else { EventFlags::OUT };
                peer.watch(&epoll, wanted, index)?;
            } else {
                *slot = None; // closing the socket takes it out of the epoll set
            }
        }
    }
}

/// Answers what came; `false` when the caller is gone.
fn answer(peer: &mut Peer, flags: &Flags, buffer: &mut [u8], filling: &[u8]) -> io::Result<bool> {
    // Nothing is read from a caller that does not read.
    if peer.unsent == 0 {
        let Some(messages) = peer.receive(buffer, flags.request)? else { return Ok(false) };
        peer.unsent = messages * flags.response;
    }
    peer.flush(filling)?;
    Ok(true)
}

fn load(flags: &Flags) -> io::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut buffer = vec![0; BUFFER];
    let filling = vec![FILLING; BUFFER];
    let (mut unsent, mut unanswered) = (flags.calls, flags.calls);
    let cpu = cpu_time();
    let start = Instant::now();
    let mut peers = Vec::new();
    for index in 0..flags.connections {
        let mut peer = Peer::new(&epoll, TcpStream::connect(&flags.address)?, index)?;
        let calls = flags.streams.min(unsent);
        unsent -= calls;
        peer.unsent = calls * flags.request;
        peer.send(&epoll, &filling, index as u64)?;
        peers.push(peer);
    }
    let mut events = Vec::with_capacity(1024);
    while unanswered > 0 {
        wait(&epoll, &mut events)?;
        for event in events.drain(..) {
            let peer = &mut peers[event.data.u64() as usize];
            let answers = peer.receive(&mut buffer, flags.response)?;
            let answers = answers.ok_or_else(|| io::Error::other("the server closed"))?;
            unanswered = unanswered
                .checked_sub(answers)
                .ok_or_else(|| io::Error::other("more answers than calls"))?;
            let calls = answers.min(unsent);
            unsent -= calls;
            peer.unsent += calls * flags.request;
            peer.send(&epoll, &filling, event.data.u64())?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e6 / flags.calls as f64;
    println!(
        "{{\"calls\": {}, \"seconds\": {seconds:.4}, \"calls_per_s\": {:.1}, \
         \"cpu_us_per_call\": {cpu:.3}}}",
        flags.calls,
        flags.calls as f64 / seconds
    );
    Ok(())
}

fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> io::Result<()> {
    match epoll::wait(epoll, spare_capacity(events), None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// More than any socket's buffer has at a time.
const BUFFER: usize = 1 << 20;
const FILLING: u8 = b'x';
const LISTENER: u64 = u64::MAX;
