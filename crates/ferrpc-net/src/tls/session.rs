//! A client's TLS over a socket that never blocks, for the blocking channel.
//!
//! The same as [`TlsIo`](super::io::TlsIo) where the caller waits for the socket: `WouldBlock` says
//! that it is to be waited for.

use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::ALPN_HTTP2;
use super::explain::{Hello, Side};
use crate::streams::{Fault, Refusal};

/// TLS over a socket of the caller's.
#[derive(Debug)]
pub(crate) struct Session {
    tls: ClientConnection,
    /// Decrypted bytes that did not fit.
    decrypted: usize,
    ended: bool,
    /// What was read from the socket, of which `left` was not decrypted yet.
    buffer: Box<[u8]>,
    left: Range<usize>,
    hello: Hello,
    fault: Arc<Fault>,
}

/// What a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Nothing,
    Read,
    Write,
}

impl Session {
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Refusal> {
        let hello = Hello::new(Side::Client, Some(&name));
        let tls = ClientConnection::new(config, name).map_err(|error| hello.explain(&error))?;
        Ok(Self {
            tls,
            decrypted: 0,
            ended: false,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            left: 0..0,
            hello,
            fault: Arc::default(),
        })
    }

    /// Where to find out why the connection broke, if it was TLS that failed.
    pub(crate) fn fault(&self) -> Arc<Fault> {
        Arc::clone(&self.fault)
    }

    /// Goes on with the handshake as far as the socket allows.
    pub(crate) fn shake_hands(
        &mut self,
        socket: &mut (impl Read + Write),
    ) -> Result<Want, Refusal> {
        loop {
            match self.flush(socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Want::Write),
                Err(error) => return Err(self.hello.broken(&error)),
            }
            if !self.tls.is_handshaking() {
                if self.tls.alpn_protocol() != Some(ALPN_HTTP2) {
                    return Err(self.hello.no_alpn());
                }
                return Ok(Want::Nothing);
            }
            match self.fill(socket) {
                Ok(()) if self.ended => {
                    return Err(self.hello.broken(&io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Want::Read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.hello.broken(&error)),
            }
            if let Err(error) = self.decrypt() {
                // The alert that tells the peer; whether it arrives is the peer's luck.
                let _ = self.flush(socket);
                return Err(self.fault.take().unwrap_or_else(|| self.hello.broken(&error)));
            }
        }
    }

    /// Reads; 0 at the end, `WouldBlock` if there is nothing whole yet.
    pub(crate) fn read(
        &mut self,
        socket: &mut (impl Read + Write),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if !self.holds_input() {
            if self.ended {
                return Ok(0);
            }
            self.fill(socket)?;
        }
        let mut count = 0;
        let result = loop {
            count += self.drain(&mut buffer[count..]);
            if self.left.is_empty() || self.decrypted > 0 || self.ended {
                break Ok(());
            }
            if let Err(error) = self.decrypt() {
                break Err(error);
            }
        };
        // Answers of TLS itself (an alert, say) go out, as far as they can.
        let flushed = self.flush(socket);
        result?;
        match (count, flushed) {
            (0, Err(error)) => Err(error),
            (0, Ok(())) if self.ended => Ok(0),
            (0, Ok(())) => Err(io::ErrorKind::WouldBlock.into()),
            (count, _) => Ok(count),
        }
    }

    /// Encrypts and writes. What the socket did not take is [owed](Self::owes).
    pub(crate) fn write(
        &mut self,
        socket: &mut impl Write,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        // One load of records at a time: what is encrypted must go out.
        self.flush(socket)?;
        let count = self.tls.writer().write_vectored(slices)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Writes records that are left.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether records wait for the socket to take them.
    pub(crate) fn owes(&self) -> bool {
        self.tls.wants_write()
    }

    /// Whether there is something to read without the socket.
    pub(crate) fn holds_input(&self) -> bool {
        self.decrypted > 0 || !self.left.is_empty()
    }

    /// Says that no more follows, if the socket takes it.
    pub(crate) fn close(&mut self, socket: &mut impl Write) {
        self.tls.send_close_notify();
        let _ = self.flush(socket);
    }

    /// Reads ciphertext, of which none is left.
    fn fill(&mut self, socket: &mut impl Read) -> io::Result<()> {
        let count = socket.read(&mut self.buffer)?;
        self.ended = count == 0;
        self.hello.saw(&self.buffer[..count]);
        self.left = 0..count;
        Ok(())
    }

    /// Decrypts what is left, until there is something to take out.
    fn decrypt(&mut self) -> io::Result<()> {
        while !self.left.is_empty() && self.decrypted == 0 && !self.ended {
            let mut bytes = &self.buffer[self.left.clone()];
            let before = bytes.len();
            self.tls.read_tls(&mut bytes)?;
            self.left.start += before - bytes.len();
            match self.tls.process_new_packets() {
                Ok(state) => {
                    self.decrypted = state.plaintext_bytes_to_read();
                    self.ended = state.peer_has_closed();
                }
                Err(error) => {
                    self.fault.set(self.hello.explain(&error));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while self.decrypted > 0 && count < buffer.len() {
            match self.tls.reader().read(&mut buffer[count..]) {
                Ok(more) if more > 0 => {
                    count += more;
                    self.decrypted -= more.min(self.decrypted);
                }
                _ => self.decrypted = 0,
            }
        }
        count
    }
}

/// Read at once. With a record that was begun before, it decrypts to less than what the blocking
/// channel reads into at once.
const BUFFER_BYTES: usize = 40 << 10;
