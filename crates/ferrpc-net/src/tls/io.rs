//! A byte stream inside TLS.
//!
//! ```text
//!   poll_read:   Io --ciphertext--> scratch --> rustls --plaintext--> the driver's buffer
//!   poll_write:  the driver's slices --> rustls (records of up to 16 KiB) --writev--> Io
//! ```
//!
//! Between calls a connection keeps what rustls keeps: part of a record, at most. Ciphertext is read
//! into a buffer that all connections of a thread share.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::io::ReadBuf;

use super::explain::Hello;
use crate::streams::{AuthContext, Io};
use crate::streams::{Fault, Refusal};

/// A TLS connection over another byte stream.
pub(crate) struct TlsIo {
    io: Box<dyn Io>,
    tls: Connection,
    /// Decrypted bytes that rustls holds.
    decrypted: usize,
    /// Ciphertext that was read and did not fit yet. Empty but for small read buffers.
    rest: Vec<u8>,
    /// The peer says no more.
    ended: bool,
    /// Records are left that the stream beneath did not take.
    blocked: bool,
    /// The handshake's last records go out with what is written first.
    first: bool,
    /// What the peer's first bytes were, while the handshake runs.
    pub(super) hello: Hello,
    pub(super) auth_context: Option<AuthContext>,
    /// Where the reason is left when TLS fails after the handshake.
    fault: Arc<Fault>,
}

impl TlsIo {
    pub(super) fn new(io: Box<dyn Io>, tls: Connection, hello: Hello, rest: Vec<u8>) -> Self {
        Self {
            io,
            tls,
            decrypted: 0,
            rest,
            ended: false,
            blocked: false,
            first: true,
            hello,
            auth_context: None,
            fault: Arc::default(),
        }
    }

    pub(super) const fn tls(&self) -> &Connection {
        &self.tls
    }

    /// Where to find out why the connection broke, if it was TLS that failed.
    pub(crate) fn fault(&self) -> Arc<Fault> {
        Arc::clone(&self.fault)
    }

    /// The handshake. Ready when it is complete. Its last records wait for the first write: HTTP/2
    /// begins with one on both sides, and each record alone is a system call.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        while self.tls.is_handshaking() {
            ready!(self.poll_exchange(cx))?;
            if let Err(refusal) = self.advance() {
                let _ = self.poll_alert(cx);
                return Poll::Ready(Err(refusal));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One half of a step of it: sends what there is to send and reads what there is to read.
    pub(super) fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        ready!(self.poll_send(cx)).map_err(|error| self.hello.broken(&error))?;
        if self.rest.is_empty() {
            let mut scratch = Scratch::take();
            let mut bytes = ReadBuf::new(&mut scratch.bytes);
            let read = self.io.poll_read(cx, &mut bytes);
            self.rest.extend_from_slice(bytes.filled());
            scratch.put_back();
            ready!(read).map_err(|error| self.hello.broken(&error))?;
            if self.rest.is_empty() {
                return Poll::Ready(Err(self.hello.broken(&io::ErrorKind::UnexpectedEof.into())));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The other half: what follows from what was read.
    pub(super) fn advance(&mut self) -> Result<(), Refusal> {
        self.hello.saw(&self.rest);
        let mut bytes = &self.rest[..];
        let mut result = Ok(());
        while !bytes.is_empty() && result.is_ok() && self.tls.is_handshaking() {
            self.tls.read_tls(&mut bytes).map_err(|error| self.hello.broken(&error))?;
            result = self.tls.process_new_packets().map(|state| {
                self.decrypted = state.plaintext_bytes_to_read();
            });
        }
        let used = self.rest.len() - bytes.len();
        self.rest.drain(..used);
        result.map_err(|error| self.hello.explain(&error))
    }

    /// Sends the alert that tells the peer. Ready at once: whether it arrives is the peer's luck.
    pub(super) fn poll_alert(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = self.poll_send(cx);
        Poll::Ready(())
    }

    /// Hands records to the stream beneath until none is left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.blocked = false;
        while self.tls.wants_write() {
            let mut records = Records { io: &mut *self.io, cx };
            match self.tls.write_tls(&mut records) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.io.poll_flush(cx)
    }

    /// Moves plaintext that rustls holds to `out`, as far as it fits.
    fn drain(&mut self, out: &mut ReadBuf<'_>) {
        while self.decrypted > 0 && out.remaining() > 0 {
            match self.tls.reader().read(out.initialize_unfilled()) {
                Ok(count) if count > 0 => {
                    out.advance(count);
                    self.decrypted -= count.min(self.decrypted);
                }
                _ => self.decrypted = 0,
            }
        }
    }

    /// Decrypts `cipher` into `out`; what does not fit is kept.
    fn take_in(&mut self, mut cipher: &[u8], out: &mut ReadBuf<'_>) -> io::Result<()> {
        while !cipher.is_empty() && !self.ended {
            if self.decrypted > 0 {
                self.rest.extend_from_slice(cipher);
                return Ok(());
            }
            self.tls.read_tls(&mut cipher)?;
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
            self.drain(out);
        }
        Ok(())
    }
}

impl Io for TlsIo {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            self.drain(buf);
            if !self.rest.is_empty() && self.decrypted == 0 {
                let rest = std::mem::take(&mut self.rest);
                self.take_in(&rest, buf)?;
            }
            if buf.filled().len() > before || self.ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // Answers of TLS itself (to a key update, say) need no write of ours to go out.
            if !self.first
                && self.tls.wants_write()
                && let Poll::Ready(Err(error)) = self.poll_send(cx)
            {
                return Poll::Ready(Err(error));
            }
            let mut scratch = Scratch::take();
            let mut cipher = ReadBuf::new(&mut scratch.bytes);
            let result = match self.io.poll_read(cx, &mut cipher) {
                Poll::Pending => None,
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Ready(Ok(())) if cipher.filled().is_empty() => {
                    // Without a close_notify, too: HTTP/2 knows what is complete.
                    self.ended = true;
                    Some(Ok(()))
                }
                Poll::Ready(Ok(())) => Some(self.take_in(cipher.filled(), buf)),
            };
            scratch.put_back();
            match result {
                None => return Poll::Pending,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    let _ = self.poll_send(cx);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One load of records at a time: what is encrypted must go out.
        if self.blocked {
            ready!(self.poll_send(cx))?;
        }
        self.first = false;
        let count = self.tls.writer().write_vectored(slices)?;
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is left goes out with `poll_flush` or the next write.
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn has_input(&self) -> bool {
        self.io.has_input()
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Said once, however often this is polled.
        self.tls.send_close_notify();
        ready!(self.poll_send(cx))?;
        self.io.poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        self.io.peer()
    }

    fn local(&self) -> String {
        self.io.local()
    }

    fn auth_context(&self) -> Option<AuthContext> {
        self.auth_context.clone()
    }
}

/// The stream beneath as rustls writes to it.
struct Records<'a, 'b> {
    io: &'a mut dyn Io,
    cx: &'a mut Context<'b>,
}

impl Write for Records<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.io.poll_write_vectored(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The buffer that all connections of a thread read ciphertext into, one at a time.
pub(super) struct Scratch {
    pub(super) bytes: Box<[u8]>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

impl Scratch {
    pub(super) fn take() -> Self {
        let bytes = SCRATCH.try_with(Cell::take).ok().flatten();
        Self { bytes: bytes.unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice()) }
    }

    pub(super) fn put_back(self) {
        let _ = SCRATCH.try_with(|scratch| scratch.set(Some(self.bytes)));
    }
}

/// Read at once. With a record that was begun before, it decrypts to less than the 64 KiB that the
/// driver reads into, so that nothing has to be kept.
const SCRATCH_BYTES: usize = 40 << 10;
