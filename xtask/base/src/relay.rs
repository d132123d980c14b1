//! A relay that counts: how many connections a client opens, and what each side sends for a
//! connection's first call and for those after it.
//!
//! Frames are told apart by their heads alone. Frames of a stream count for its call; those of the
//! connection (settings, pings, window updates) count for the first call until a second one
//! begins, and for the repeated ones from then on.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Result, ensure};

/// Relays each connection made to `address` to a server, for as long as the process lives.
pub struct Relay {
    pub address: String,
    counted: Arc<Counted>,
}

/// Bytes of a direction, frame heads included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    pub first: u64,
    pub repeated: u64,
}

/// What one side sent.
#[derive(Clone, Copy, Debug)]
pub enum Sender {
    Client = 0,
    Server = 1,
}

#[derive(Default)]
struct Counted {
    connections: AtomicUsize,
    sent: Mutex<[Bytes; 2]>,
}

impl Relay {
    pub fn start(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let counted = Arc::new(Counted::default());
        let (server, counts) = (server.to_owned(), Arc::clone(&counted));
        thread::spawn(move || {
            for client in listener.incoming() {
                // A client that is gone, or a server that is: whoever is left sees the end.
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(&server) else { continue };
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let _ = relay(client, server, &counts);
            }
        });
        Ok(Self { address, counted })
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.counted.connections.load(Ordering::Relaxed)
    }

    /// What one side sent so far: bytes of the first call, and bytes of each later one.
    pub fn sent(&self, sender: Sender, calls: usize) -> Result<[f64; 2]> {
        ensure!(calls > 1, "there is no repeated call");
        ensure!(self.connections() == 1, "{} connections, not one", self.connections());
        let sent = self.counted.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let Bytes { first, repeated } = sent[sender as usize];
        ensure!(first > 0 && repeated > 0, "nothing came through the relay");
        Ok([first as f64, repeated as f64 / (calls - 1) as f64])
    }
}

/// Pumps both ways, each in a thread of its own.
fn relay(client: TcpStream, server: TcpStream, counted: &Arc<Counted>) -> io::Result<()> {
    let repeating = Arc::new(AtomicBool::new(false));
    let pairs = [
        (client.try_clone()?, server.try_clone()?, Sender::Client),
        (server, client, Sender::Server),
    ];
    for (from, to, sender) in pairs {
        from.set_nodelay(true)?;
        let (counted, repeating) = (Arc::clone(counted), Arc::clone(&repeating));
        thread::spawn(move || {
            let skip = match sender {
                Sender::Client => PREFACE,
                Sender::Server => 0,
            };
            let _ = pump(&from, &to, &mut Frames::new(skip), &repeating, |bytes| {
                let mut sent = counted.sent.lock().unwrap_or_else(PoisonError::into_inner);
                let sent = &mut sent[sender as usize];
                sent.first += bytes.first;
                sent.repeated += bytes.repeated;
            });
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    frames: &mut Frames,
    repeating: &AtomicBool,
    mut count: impl FnMut(Bytes),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        // Counted before it is sent, so that whoever saw an answer sees its bytes counted.
        count(frames.count(&buffer[..read], repeating));
        to.write_all(&buffer[..read])?;
    }
}

/// Where frames begin in a stream of bytes.
struct Frames {
    /// Bytes until the next head.
    skip: usize,
    head: Vec<u8>,
    /// The stream of the first call.
    first: Option<u32>,
}

impl Frames {
    fn new(skip: usize) -> Self {
        Self { skip, head: Vec::new(), first: None }
    }

    fn count(&mut self, mut bytes: &[u8], repeating: &AtomicBool) -> Bytes {
        let mut counted = Bytes::default();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD - self.head.len()).min(bytes.len());
            if self.skip > 0 || taken == 0 {
                continue;
            }
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.head.len() < HEAD {
                continue;
            }
            let number = |at: usize| {
                self.head[at..at + 4].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
            };
            let (length, stream) = ((number(0) >> 8) as usize, number(5) & (u32::MAX >> 1));
            self.head.clear();
            self.skip = length;
            let again = match stream {
                0 => repeating.load(Ordering::Relaxed),
                _ => *self.first.get_or_insert(stream) != stream,
            };
            if again {
                repeating.store(true, Ordering::Relaxed);
                counted.repeated += (HEAD + length) as u64;
            } else {
                counted.first += (HEAD + length) as u64;
            }
        }
        counted
    }
}

const HEAD: usize = 9;
/// `PRI * HTTP/2.0` and so on.
const PREFACE: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, 0, 0, 0, 0, 0, stream];
        frame.resize(HEAD + usize::from(length), 0xff);
        frame
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (stream, length) in [(0, 6), (1, 20), (1, 0), (3, 7), (0, 4), (5, 1)] {
            all.extend(frame(stream, length));
        }
        for piece in [1, 2, 7, 64, 1000] {
            let (mut frames, repeating) = (Frames::new(PREFACE), AtomicBool::new(false));
            let mut sum = Bytes::default();
            for bytes in all.chunks(piece) {
                let Bytes { first, repeated } = frames.count(bytes, &repeating);
                sum.first += first;
                sum.repeated += repeated;
            }
            assert_eq!(sum, Bytes { first: 15 + 29 + 9, repeated: 16 + 13 + 10 }, "{piece}");
        }
    }
}
