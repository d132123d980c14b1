//! The task that owns one connection.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use ferrpc_core::http2::{CloseCause, Transmit};
use ferrpc_core::transport::{CallId, Event};
use ferrpc_core::{Time, Transport};
use ferrpc_net::clock;
use ferrpc_net::streams::Io;
use tokio::io::ReadBuf;

use super::lookout::Lookout;
use super::mailbox::{Mail, Mailbox};
use super::scratch::Scratch;
use super::timer::Timer;

/// What a connection is for: the server's or the client's half above the [`Transport`].
///
/// All methods are called by the connection's task, one at a time, and must not block.
pub(crate) trait Role: Send + 'static {
    /// What other tasks may ask of the connection.
    type Command: Send + 'static;

    /// Something happened on the connection ([`Event::Closed`] goes to
    /// [`on_closed`](Self::on_closed) instead).
    fn on_event(&mut self, ctx: &mut Context<'_>, event: Event);

    /// A command came through the mailbox.
    fn on_command(&mut self, ctx: &mut Context<'_>, command: Self::Command);

    /// [`Mailbox::touch`] was called for this call. It may have ended meanwhile.
    fn on_touched(&mut self, ctx: &mut Context<'_>, call: CallId) {
        let _ = (ctx, call);
    }

    /// [`Mailbox::wake_slot`] was called. The slot may be empty or somebody else's by now.
    fn on_woken(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let _ = (ctx, slot);
    }

    /// A batch of the above ended (one chunk of bytes with its events, or one load of mail).
    fn end_batch(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called.
    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }

    /// The connection has been idle for a while: memory that busy times took is to be given back.
    fn trim(&mut self) {}

    /// Whether a reply that came by mail is likely to be followed by others: the driver then
    /// yields once before it writes, so that one write carries them all.
    fn expects_more(&self) -> bool {
        true
    }

    /// Whether the peer's next bytes may be looked out for a moment before the task sleeps, where
    /// so many calls are `open`.
    fn looks_out(&self, open: usize) -> bool {
        let _ = open;
        false
    }

    /// The connection is over: no more events. Called exactly once, unless the driver is dropped.
    fn on_closed(&mut self, ctx: &mut Context<'_>, cause: &CloseCause);
}

/// What a [`Role`] may use while it is called.
pub(crate) struct Context<'a> {
    /// The connection.
    pub(crate) transport: &'a mut Transport,
    /// The time of this pass.
    pub(crate) now: Time,
    /// Bytes of messages handed to the transport in this pass, as far as roles say so: when there
    /// are many, the driver writes before it reads on.
    pub(crate) queued: &'a mut usize,
}

impl Context<'_> {
    /// Much time has gone into this batch: what it made is to be written before more is read.
    pub(crate) const fn hurry(&mut self) {
        *self.queued = usize::MAX;
    }

    /// `bytes` of messages were handed to the transport.
    pub(crate) const fn queue(&mut self, bytes: usize) {
        *self.queued = self.queued.saturating_add(bytes);
    }
}

/// A connection: its bytes, its state and its role. The future ends when the connection has ended.
pub(crate) struct Driver<R: Role> {
    pub(super) io: Box<dyn Io>,
    pub(super) transport: Transport,
    role: R,
    pub(super) mailbox: Arc<Mailbox<R::Command>>,
    /// Taken from the mailbox, being worked on.
    mail: Mail<R::Command>,
    pub(super) transmit: Transmit,
    /// Input that the transport did not take yet. Empty but for brief moments.
    pub(super) rest: Vec<u8>,
    pub(super) timer: Timer,
    lookout: Lookout,
    pub(super) phase: Phase,
    /// When the last output must have been written, whatever the peer does.
    pub(super) flushed_by: Time,
    /// Whether the role knows that the connection is over.
    told_closed: bool,
    /// Whether this pass was put off once to gather more mail.
    yielded: bool,
    /// Whether writing was put off once, for the runtime to look at its sockets.
    held_back: bool,
    /// The stream holds output that it could not pass on yet.
    unflushed: bool,
    /// When to give memory back, should no stream have been opened since there were so many.
    trim_at: Option<(Time, u64)>,
    /// Streams opened when memory was last given back.
    trimmed: u64,
}

/// How far a connection is; see `parting.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The last output is being written.
    Flushing,
    /// The writing side is being closed.
    Shutdown,
    /// Input is read and dropped until the peer closes too: closing a socket with input unread
    /// would make the kernel send a reset, which may overtake and destroy our last words.
    Lingering,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// There is no more now.
    Drained,
    /// There may be more: come back after writing.
    More,
    /// The peer must be slowed down; the socket was not asked whether there is more.
    Paused,
    /// There may be some, which is left to become more: the task must not sleep.
    Gathering,
}

impl<R: Role> Driver<R> {
    /// A connection over `io`. `mailbox` is the one whose senders `role` handed out; it is closed
    /// when the driver ends or is dropped.
    pub(crate) fn new(
        io: Box<dyn Io>,
        transport: Transport,
        role: R,
        mailbox: Arc<Mailbox<R::Command>>,
    ) -> Self {
        Self {
            io,
            transport,
            role,
            mailbox,
            mail: Mail::new(),
            transmit: Transmit::new(),
            rest: Vec::new(),
            timer: Timer::new(),
            lookout: Lookout::new(),
            phase: Phase::Open,
            flushed_by: Time::MAX,
            told_closed: false,
            yielded: false,
            held_back: false,
            unflushed: false,
            trim_at: None,
            trimmed: 0,
        }
    }

    /// One pass: mail, input, timers; then output. Ready when the connection is over.
    fn poll_open(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let now = clock::now();
        let mut queued = 0;
        let new_task = self.mailbox.begin(cx.waker(), &mut self.mail);
        let idle = self.transport.open_calls() == 0;
        let mailed = self.take_mail(now, &mut queued);
        if self.timer.take_due(now) {
            if self.transport.poll_timeout().is_some_and(|at| at <= now) {
                self.transport.handle_timeout(now);
                self.events(now, &mut queued);
                self.end_batch(now, &mut queued);
            }
            if self.role.poll_timeout().is_some_and(|at| at <= now) {
                let queued = &mut queued;
                let mut ctx = Context { transport: &mut self.transport, now, queued };
                self.role.on_timeout(&mut ctx);
                self.role.end_batch(&mut ctx);
            }
            self.trim(now);
        }
        let (mut input, received) = self.read(cx, now, &mut queued);
        let mut written = 0;
        // Calls have begun on a connection that had none. They do not go to a peer that has closed
        // it, or said goodbye, while the runtime did not look at its sockets.
        self.held_back = idle
            && mailed
            && received == 0
            && self.transport.open_calls() > 0
            && self.io.has_input();

        if self.held_back {
            input = Input::More;
        } else if mailed && received == 0 && !self.yielded && self.role.expects_more() {
            self.yielded = true;
            input = Input::More;
        } else {
            self.yielded = false;
            // What is written makes room, and room makes more output.
            while written < WRITTEN_PER_PASS {
                for _ in 0..ROUNDS_PER_WRITE {
                    if queued >= QUEUED_PER_PASS || !self.mailbox.refill(&mut self.mail) {
                        break;
                    }
                    self.take_mail(now, &mut queued);
                }
                queued = 0;
                let (count, output) = self.write(cx, now);
                written += count;
                let happened = self.events(now, &mut queued);
                if happened {
                    self.end_batch(now, &mut queued);
                }
                if output == Output::Blocked || (!happened && count == 0) {
                    break;
                }
            }
        }

        if self.told_closed {
            self.finish(now);
            return Poll::Ready(());
        }
        self.note_idleness(now);
        let trim_at = self.trim_at.map(|(at, _)| at);
        let wanted = [self.transport.poll_timeout(), self.role.poll_timeout(), trim_at];
        let wanted = wanted.into_iter().flatten().min();
        self.timer.arm(wanted, cx, new_task);
        let resumed = input == Input::Paused && self.transport.wants_read();
        let busy = input == Input::More || resumed || written >= WRITTEN_PER_PASS;
        // While a pass is due anyway the mailbox stays in the state in which nobody wakes us.
        if received > 0 {
            self.lookout.received(now, written);
        }
        let gathers = input == Input::Gathering;
        if self.held_back {
            give_way(cx);
        } else if busy {
            cx.waker().wake_by_ref();
        } else if (input == Input::Drained || gathers)
            && self.looks_out()
            && self.lookout.another(now)
        {
            give_way(cx);
        } else if gathers || !self.mailbox.end() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn looks_out(&self) -> bool {
        self.role.looks_out(self.transport.open_calls())
    }

    /// Notes that the connection may be idle from now on.
    fn note_idleness(&mut self, now: Time) {
        if self.trim_at.is_none() && self.transport.open_calls() == 0 {
            let opened = self.transport.counters().http2.streams_opened;
            if opened != self.trimmed {
                self.trim_at = Some((now + IDLE_TIME, opened));
            }
        }
    }

    /// Gives memory back, if the connection was idle since that was noted.
    fn trim(&mut self, now: Time) {
        let Some((_, opened)) = self.trim_at.take_if(|(at, _)| *at <= now) else { return };
        let idle = self.transport.open_calls() == 0;
        if idle && opened == self.transport.counters().http2.streams_opened {
            self.trimmed = opened;
            self.transport.trim();
            self.role.trim();
            self.mail.trim();
            self.mailbox.trim();
        }
    }

    /// Works off `self.mail`; whether there was any.
    fn take_mail(&mut self, now: Time, queued: &mut usize) -> bool {
        if self.mail.is_empty() {
            return false;
        }
        let mut ctx = Context { transport: &mut self.transport, now, queued };
        for command in self.mail.commands.drain(..) {
            self.role.on_command(&mut ctx, command);
        }
        for call in self.mail.touched.drain(..) {
            self.role.on_touched(&mut ctx, call);
        }
        for slot in self.mail.woken.drain(..) {
            self.role.on_woken(&mut ctx, slot);
        }
        self.events(now, queued);
        self.end_batch(now, queued);
        true
    }

    /// Reads until there is no more, or enough for one pass. Also returns how much was read.
    fn read(
        &mut self,
        cx: &mut task::Context<'_>,
        now: Time,
        queued: &mut usize,
    ) -> (Input, usize) {
        let mut received = 0;
        if !self.rest.is_empty() && self.transport.wants_read() {
            let rest = std::mem::take(&mut self.rest);
            self.input(&rest, now, queued);
            received += rest.len() - self.rest.len();
        }
        if !self.rest.is_empty() {
            let resumes = self.transport.wants_read();
            return (if resumes { Input::More } else { Input::Paused }, received);
        }
        // A lone message is taken while it comes, so that its end finds the rest done.
        if self.lookout.gathers(now) && self.looks_out() && self.transport.open_calls() > 1 {
            return (Input::Gathering, received);
        }
        let mut scratch = Scratch::take();
        let input = loop {
            if !self.transport.wants_read() {
                break Input::Paused;
            }
            let enough = received >= RECEIVED_PER_PASS || *queued >= QUEUED_PER_PASS;
            if enough || !self.rest.is_empty() {
                break Input::More;
            }
            let mut buffer = ReadBuf::new(&mut scratch.bytes);
            match self.io.poll_read(cx, &mut buffer) {
                Poll::Pending => break Input::Drained,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    received += buffer.filled().len();
                    self.lookout.took_piece(buffer.filled().len());
                    self.input(buffer.filled(), now, queued);
                }
                Poll::Ready(_) => {
                    self.transport.handle_close(now);
                    self.events(now, queued);
                    self.end_batch(now, queued);
                    break Input::Drained;
                }
            }
        };
        scratch.put_back();
        (input, received)
    }

    /// Feeds `bytes` to the transport; what it does not take now is kept. One batch for the role.
    fn input(&mut self, mut bytes: &[u8], now: Time, queued: &mut usize) {
        debug_assert!(self.rest.is_empty(), "kept input goes first");
        while !bytes.is_empty() {
            // A pass may have ended before the role saw them all. A call that it did not take yet
            // has no place for its messages.
            self.events(now, queued);
            if !self.transport.wants_read() || *queued >= QUEUED_PER_PASS {
                self.rest.extend_from_slice(bytes);
                break;
            }
            // It stops behind the headers of a call, for the role to take it.
            let taken = self.transport.handle_bytes(now, bytes);
            bytes = &bytes[taken..];
            let happened = self.events(now, queued);
            if taken == 0 && !happened {
                // A closed connection takes nothing.
                break;
            }
        }
        self.end_batch(now, queued);
    }

    /// Hands events to the role, until it is in a hurry to write; whether there were any.
    fn events(&mut self, now: Time, queued: &mut usize) -> bool {
        let mut ctx = Context { transport: &mut self.transport, now, queued };
        let mut any = false;
        while *ctx.queued < QUEUED_PER_PASS
            && let Some(event) = ctx.transport.poll_event()
        {
            any = true;
            match event {
                Event::Closed { cause } => {
                    self.told_closed = true;
                    self.role.on_closed(&mut ctx, &cause);
                }
                event => self.role.on_event(&mut ctx, event),
            }
        }
        any
    }

    fn end_batch(&mut self, now: Time, queued: &mut usize) {
        self.role.end_batch(&mut Context { transport: &mut self.transport, now, queued });
    }

    /// Writes what there is until the socket takes no more; how many bytes went out.
    fn write(&mut self, cx: &mut task::Context<'_>, now: Time) -> (usize, Output) {
        let mut written = 0;
        loop {
            // Also with output left from the last write: that it became less is what the
            // transport judges a stalling peer by.
            if !self.transport.poll_transmit(now, &mut self.transmit, TRANSMIT_BYTES) {
                // Nothing is flushed that was not written.
                if written > 0 || self.unflushed {
                    self.unflushed = self.io.poll_flush(cx).is_pending();
                }
                return (written, if self.unflushed { Output::Blocked } else { Output::Done });
            }
            match self.write_some(cx) {
                Poll::Ready(Ok(count)) => {
                    written += count;
                    // Also if the pass ends before it is flushed.
                    self.unflushed = true;
                    if written >= WRITTEN_PER_PASS {
                        return (written, Output::Done);
                    }
                }
                Poll::Ready(Err(_)) => {
                    self.transport.handle_close(now);
                    self.transmit = Transmit::new();
                    return (written, Output::Blocked);
                }
                Poll::Pending => return (written, Output::Blocked),
            }
        }
    }

    pub(super) fn write_some(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let filled = self.transmit.chunks(&mut slices);
        let count = ready!(self.io.poll_write_vectored(cx, &slices[..filled]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.transmit.advance(count);
        Poll::Ready(Ok(count))
    }
}

impl<R: Role> Future for Driver<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.phase == Phase::Open {
            ready!(this.poll_open(cx));
        }
        this.poll_parting(cx)
    }
}

// Nothing in it is pinned in place.
impl<R: Role> Unpin for Driver<R> {}

impl<R: Role> Drop for Driver<R> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// How writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// All there was is written, or as much as one pass may write.
    Done,
    /// The socket takes no more now.
    Blocked,
}

/// Wakes the task once all others of the runtime had their turn and its sockets were looked at.
fn give_way(cx: &mut task::Context<'_>) {
    // It leaves the waker with the runtime. Outside of one it wakes at once.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// Read before output is written: enough for hundreds of small calls to share a write, and so little
/// that the answer to one large message does not wait for the next to arrive.
const RECEIVED_PER_PASS: usize = 64 << 10;

/// Messages queued for output before it is written.
const QUEUED_PER_PASS: usize = 128 << 10;

/// Taken from the transport at once.
const TRANSMIT_BYTES: usize = 256 << 10;

/// Loads of mail worked off before output is written.
const ROUNDS_PER_WRITE: usize = 8;

/// Written before other tasks of the runtime get their turn.
const WRITTEN_PER_PASS: usize = 1 << 20;

/// Without calls for so long a connection gives back what memory it can.
const IDLE_TIME: Duration = Duration::from_secs(1);

/// Slices of one vectored write.
const SLICES_PER_WRITE: usize = 32;
