//! The end of a connection's task: the last output leaves, and both sides close.

use std::task::{self, Poll, ready};
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::http2::{CloseCause, Transmit};
use ferrpc_net::clock;
use tokio::io::ReadBuf;

use super::driver::{Driver, Phase, Role};
use super::scratch::Scratch;

impl<R: Role> Driver<R> {
    /// The connection is over; what remains is to part politely.
    pub(super) fn finish(&mut self, now: Time) {
        self.mailbox.close();
        self.rest = Vec::new();
        self.phase = match self.transport.close_cause() {
            Some(CloseCause::TransportLost | CloseCause::WriteStall) | None => {
                self.transmit = Transmit::new();
                Phase::Shutdown
            }
            Some(_) => {
                self.transport.poll_transmit(now, &mut self.transmit, usize::MAX);
                Phase::Flushing
            }
        };
        self.flushed_by = now + LONGEST_FLUSH;
        self.timer.deadline(now + FLUSH_TIME);
    }

    pub(super) fn poll_parting(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.timer.poll_fired(cx) {
            return Poll::Ready(());
        }
        if self.phase == Phase::Flushing {
            while !self.transmit.is_empty() {
                match self.write_some(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.timer.deadline(self.flushed_by.min(clock::now() + FLUSH_TIME));
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {
                        // The limit was moved by what was written: it must be polled again.
                        let stalled = self.timer.poll_fired(cx);
                        return if stalled { Poll::Ready(()) } else { Poll::Pending };
                    }
                }
            }
            if ready!(self.io.poll_flush(cx)).is_err() {
                return Poll::Ready(());
            }
            self.phase = Phase::Shutdown;
        }
        if self.phase == Phase::Shutdown {
            if ready!(self.io.poll_shutdown(cx)).is_err()
                || self.transport.close_cause() == Some(&CloseCause::TransportLost)
            {
                return Poll::Ready(());
            }
            self.phase = Phase::Lingering;
            self.timer.deadline(clock::now() + LINGER_TIME);
            if self.timer.poll_fired(cx) {
                return Poll::Ready(());
            }
        }
        let mut scratch = Scratch::take();
        let result = loop {
            let mut buffer = ReadBuf::new(&mut scratch.bytes);
            match self.io.poll_read(cx, &mut buffer) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => break Poll::Ready(()),
            }
        };
        scratch.put_back();
        result
    }
}

/// Time for the next piece of the last output once the connection is over.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Time for all of the last output, some 256 KiB at most: a peer that takes a byte now and then
/// must not keep the connection, and with it the server's end.
const LONGEST_FLUSH: Duration = Duration::from_secs(60);

/// Time for the peer to close its side once we closed ours.
const LINGER_TIME: Duration = Duration::from_secs(1);
