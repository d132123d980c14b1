//! Calls that are handled by threads outside the runtime.
//!
//! A connection puts the calls of one pass into the queue at once; whoever handles them takes
//! them in batches and replies in batches. This is how the Python servers work: see
//! [`Drains`](super::Drains) for who takes them when.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferrpc_core::transport::{CallId, Cardinality, HELD_REQUEST, Message};
use tokio::time::Instant;

use super::call::{Replies, Reply, ServerCall};
use super::call_limit::{Admission, CallLimit};
use super::connection::Command;
use super::load::Running;
use crate::transport::cell::{Cell, Outgoing, Room};
use crate::transport::inbox::{CREDIT_BATCH, Credit, Reader, Receive};
use crate::transport::mailbox::Mailbox;
use crate::transport::{ConnectionInfo, clock};
use crate::{Code, Encoding, Metadata, Status, compression};

/// A queue of calls for threads of your own.
pub struct ExternalQueue {
    state: Mutex<State>,
    limit: Option<Arc<CallLimit>>,
    notify: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct State {
    calls: VecDeque<ExternalCall>,
    /// Calls whose connections are paused: they are not handed out, and count as if they had been.
    parked: VecDeque<ExternalCall>,
    /// Calls cancelled since those in the queue were last looked for.
    cancelled: usize,
    /// Calls that were put in, ever.
    pushed: u64,
    /// Calls that went out again, ever: taken or dead.
    popped: u64,
    closed: bool,
}

/// A call out of an [`ExternalQueue`]. Dropped without a reply, it ends with status UNKNOWN.
pub struct ExternalCall {
    call: ServerCall,
    id: CallId,
    cell: Arc<Cell>,
    reader: Reader,
    mailbox: Arc<Mailbox<Command>>,
    replies: Replies,
    encoding: Encoding,
    replied: bool,
    admission: Option<Admission>,
    /// It counts among the handlers until it is replied to.
    running: Option<Running>,
}

/// A reply that its connection has not been told of yet: see [`ExternalCall::reply_later`].
#[derive(Debug)]
pub struct DeferredReply {
    command: Command,
    mailbox: Arc<Mailbox<Command>>,
}

impl DeferredReply {
    /// Bytes of its message.
    pub(super) fn bytes(&self) -> usize {
        match &self.command {
            Command::Done { outcome: Ok(Reply { message: Some(message), .. }), .. } => {
                message.payload.len()
            }
            _ => 0,
        }
    }
}

/// What became of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It goes out, and more may be sent.
    Ready,
    /// It goes out; wait for [`ExternalCall::poll_send_ready`] before the next.
    Full,
    /// The call is over; it was dropped.
    Gone,
}

impl ExternalQueue {
    /// An empty queue. `notify` is called, by the task of some connection, each time that calls
    /// arrived; it must not block.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::limited(None, notify)
    }

    /// The same for queues that refuse the calls beyond a limit.
    pub fn limited(
        limit: Option<Arc<CallLimit>>,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            calls: VecDeque::new(),
            parked: VecDeque::new(),
            cancelled: 0,
            pushed: 0,
            popped: 0,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), limit, notify: Box::new(notify) })
    }

    /// Takes up to `max` calls, appends them to `into` and returns how many. Calls that were
    /// cancelled while they waited are left out. Never blocks.
    pub fn pop(&self, max: usize, into: &mut Vec<ExternalCall>) -> usize {
        let mut dead = Vec::new();
        let mut taken = 0;
        let mut state = self.lock();
        while taken < max {
            let Some(call) = state.calls.pop_front() else { break };
            state.popped += 1;
            if call.is_cancelled() {
                dead.push(call);
            } else if call.is_paused() {
                state.parked.push_back(call);
            } else {
                into.push(call);
                taken += 1;
            }
        }
        drop(state);
        forget(dead);
        taken
    }

    /// Takes one call, if one waits that was not cancelled. Never blocks.
    pub fn pop_one(&self) -> Option<ExternalCall> {
        loop {
            let mut state = self.lock();
            let call = state.calls.pop_front()?;
            state.popped += 1;
            if call.is_paused() {
                state.parked.push_back(call);
                continue;
            }
            drop(state);
            if !call.is_cancelled() {
                return Some(call);
            }
            call.forget();
        }
    }

    /// A call that came by here was cancelled: if it still waits it goes, with its message.
    pub(crate) fn call_cancelled(&self) {
        let mut state = self.lock();
        state.cancelled += 1;
        // Not each time: so it costs little for each, and half of the queue at most is dead.
        if 2 * state.cancelled < state.calls.len() {
            return;
        }
        state.cancelled = 0;
        let (dead, calls): (VecDeque<_>, _) =
            std::mem::take(&mut state.calls).into_iter().partition(ExternalCall::is_cancelled);
        state.calls = calls;
        state.popped += dead.len() as u64;
        let (parked_dead, parked): (VecDeque<_>, _) =
            std::mem::take(&mut state.parked).into_iter().partition(ExternalCall::is_cancelled);
        state.parked = parked;
        drop(state);
        forget(dead.into_iter().chain(parked_dead));
    }

    /// A connection is not paused any more: its calls have their turn, before those that came later.
    pub(crate) fn unpark(&self) {
        let mut state = self.lock();
        let parked = std::mem::take(&mut state.parked);
        let before = state.pushed;
        for call in parked.into_iter().rev() {
            if call.is_paused() {
                state.parked.push_front(call);
            } else {
                state.pushed += 1;
                state.calls.push_front(call);
            }
        }
        let notify = state.pushed > before;
        drop(state);
        if notify {
            (self.notify)();
        }
    }

    /// How many calls were put in and how many went out, ever.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.pushed, state.popped)
    }

    /// Calls that wait.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }

    /// Whether no call waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends what waits, and whatever comes, with UNAVAILABLE.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let calls = state.take_all();
        drop(state);
        refuse(calls);
    }

    /// Ends what waits with `status`; what comes later is welcome.
    pub fn refuse_waiting(&self, status: &Status) {
        let calls = self.lock().take_all();
        for call in calls {
            call.reply(ExternalReply::Status(status.clone()));
        }
    }

    /// Puts all of `calls` in, and leaves `calls` empty.
    pub(crate) fn push_all(&self, calls: &mut Vec<ExternalCall>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            refuse(calls.drain(..));
            return;
        }
        let (mut dead, mut excess) = (Vec::new(), Vec::new());
        let before = state.pushed;
        for mut call in calls.drain(..) {
            if call.is_cancelled() {
                dead.push(call);
                continue;
            }
            if let Some(limit) = &self.limit {
                call.admission = limit.admit();
                if call.admission.is_none() {
                    excess.push(call);
                    continue;
                }
            }
            state.pushed += 1;
            state.calls.push_back(call);
        }
        let notify = state.pushed > before;
        drop(state);
        forget(dead);
        for call in excess {
            let refusal = self.limit.as_ref().map(|limit| limit.refusal.clone());
            call.reply(ExternalReply::Status(refusal.unwrap_or_else(Status::ok)));
        }
        if notify {
            (self.notify)();
        }
    }

    /// Replies to many calls; replies to calls of one connection wake it once. Each reply is the
    /// response message, or an error.
    pub fn reply_all(replies: impl IntoIterator<Item = (ExternalCall, ExternalReply)>) {
        Self::send_replies(
            replies.into_iter().filter_map(|(mut call, reply)| call.reply_later(reply)),
        );
    }

    /// Tells the connections of replies that were made before; each is woken once.
    pub fn send_replies(replies: impl IntoIterator<Item = DeferredReply>) {
        let mut batch: Vec<Command> = Vec::new();
        let mut mailbox: Option<Arc<Mailbox<Command>>> = None;
        for reply in replies {
            if !mailbox.as_ref().is_some_and(|known| Arc::ptr_eq(known, &reply.mailbox)) {
                if let Some(mailbox) = mailbox.replace(reply.mailbox) {
                    mailbox.send_all(&mut batch);
                }
                batch.clear();
            }
            batch.push(reply.command);
        }
        if let Some(mailbox) = mailbox {
            mailbox.send_all(&mut batch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_all(&mut self) -> impl Iterator<Item = ExternalCall> + use<> {
        let calls = std::mem::take(&mut self.calls);
        self.popped += calls.len() as u64;
        std::mem::take(&mut self.parked).into_iter().chain(calls)
    }
}

/// Drops calls that are over.
fn forget(calls: impl IntoIterator<Item = ExternalCall>) {
    calls.into_iter().for_each(ExternalCall::forget);
}

fn refuse(calls: impl IntoIterator<Item = ExternalCall>) {
    for call in calls {
        let status = Status::new(Code::Unavailable, "the server is shutting down");
        call.reply(ExternalReply::Status(status));
    }
}

/// How a call outside the runtime ends.
#[derive(Debug)]
pub enum ExternalReply {
    /// With one message, status OK and trailing metadata.
    Message {
        /// Initial metadata, unless it was sent before.
        initial: Metadata,
        /// The encoded response.
        message: Bytes,
        /// How the message is compressed, if the caller takes it; `None`: as the server has it.
        compression: Option<Encoding>,
        /// Trailing metadata.
        trailing: Metadata,
    },
    /// With this status, after the messages sent before.
    Status(Status),
}

impl ExternalCall {
    pub(crate) fn new(
        mut call: ServerCall,
        id: CallId,
        mailbox: Arc<Mailbox<Command>>,
        running: Running,
    ) -> Self {
        let cell = call.cell.take().expect("external calls have a cell");
        let replies = call.replies();
        let reader = Reader::new(CREDIT_BATCH);
        Self {
            call,
            id,
            cell,
            reader,
            mailbox,
            replies,
            encoding: Encoding::Identity,
            replied: false,
            admission: None,
            running: Some(running),
        }
    }

    /// "/service/method".
    pub fn path(&self) -> &str {
        self.call.path()
    }

    /// The `:authority` that the caller asked for.
    pub fn authority(&self) -> Option<&str> {
        self.call.authority()
    }

    /// How many messages go each way.
    pub const fn cardinality(&self) -> Cardinality {
        self.call.cardinality()
    }

    /// The metadata that the caller sent.
    pub const fn metadata(&self) -> &Metadata {
        self.call.metadata()
    }

    /// Who calls, over what.
    pub fn connection(&self) -> &ConnectionInfo {
        self.call.connection()
    }

    /// When the call must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.call.head.deadline.map(clock::to_instant)
    }

    /// The request, where there is just one. It is decompressed here, on the caller's thread.
    ///
    /// # Errors
    /// INTERNAL if it cannot be decompressed, RESOURCE_EXHAUSTED if it is too large then.
    pub fn take_message(&mut self) -> Result<Bytes, Status> {
        let body = std::mem::take(&mut self.call.body);
        if body.payload.len() >= HELD_REQUEST {
            // It counted as held while nobody took the call.
            self.cell.give(Credit::one(body.payload.len()));
        }
        self.decompressed(body)
    }

    /// The next request of a stream; `None` after the last. An error says that the call is over.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        self.reader.poll_next(&*self.cell, cx).map(|received| match received {
            Ok(message) => self.decompressed(message).map(Some),
            Err(Some(status)) => Err(status),
            Err(None) => Ok(None),
        })
    }

    /// Ready when a message may be sent; an error says that the call is over.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.cell.poll_send_ready(cx)
    }

    /// Ready, with the reason, when the call is over without having been replied to: cancelled,
    /// past its deadline, or its connection gone.
    pub fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<Status> {
        self.cell.poll_over(cx)
    }

    /// Whether [`poll_cancelled`](Self::poll_cancelled) would be ready.
    pub fn is_cancelled(&self) -> bool {
        self.cell.is_over()
    }

    /// Whether the caller takes so little of what it is sent that nothing more should be begun.
    fn is_paused(&self) -> bool {
        self.running.as_ref().is_some_and(Running::is_paused)
    }

    /// Sends the initial metadata now, and says how messages are compressed: `None` means as the
    /// server has it. Without it, empty metadata goes with the first message.
    pub fn send_metadata(&mut self, metadata: Metadata, compression: Option<Encoding>) -> Sent {
        self.encoding = self.replies.encoding(compression);
        sent(self.cell.send(Outgoing::Headers(metadata, self.encoding)))
    }

    /// Sends a response; compressed, if [`send_metadata`](Self::send_metadata) said so, on the
    /// caller's thread.
    pub fn send_message(&mut self, payload: Bytes) -> Sent {
        let message = compression::compress_now(self.encoding, payload);
        sent(self.cell.send(Outgoing::Messages(message.into())))
    }

    /// Sends a response that is not compressed, whatever the others are.
    pub fn send_uncompressed(&mut self, payload: Bytes) -> Sent {
        sent(self.cell.send(Outgoing::Messages(Message { payload, compressed: false }.into())))
    }

    /// Whether the call was replied to.
    pub const fn is_replied(&self) -> bool {
        self.replied
    }

    /// Replies, and ends the call for its handler; what is returned has to be given to
    /// [`ExternalQueue::send_replies`], alone or with others. Nothing is, if the reply has found
    /// its own way, or was one too many.
    pub fn reply_later(&mut self, reply: ExternalReply) -> Option<DeferredReply> {
        let command = self.done(reply)?;
        Some(DeferredReply { command, mailbox: Arc::clone(&self.mailbox) })
    }

    /// Replies, and ends the call. See also [`ExternalQueue::reply_all`].
    pub fn reply(mut self, reply: ExternalReply) {
        self.finish(reply);
    }

    /// Drops a call that is over: nobody waits for a reply.
    fn forget(mut self) {
        self.replied = true;
        self.admission = None;
        self.running = None;
    }

    fn finish(&mut self, reply: ExternalReply) {
        if let Some(command) = self.done(reply) {
            // Where the connection is gone, nobody waits for the reply.
            let _ = self.mailbox.send(command);
        }
    }

    /// What tells the connection that the call is done, unless its cell does.
    fn done(&mut self, reply: ExternalReply) -> Option<Command> {
        if std::mem::replace(&mut self.replied, true) {
            return None;
        }
        // Before the reply is seen: its receiver may call again at once.
        self.admission = None;
        self.running = None;
        match reply {
            ExternalReply::Message { initial, message, compression, trailing } => {
                let encoding = match compression {
                    None if self.encoding != Encoding::Identity => self.encoding,
                    wanted => self.replies.encoding(wanted),
                };
                let message = Some(compression::compress_now(encoding, message));
                let reply = Reply { initial, trailing, encoding, message };
                Some(Command::Done { call: self.id, outcome: Ok(reply) })
            }
            ExternalReply::Status(status) => {
                self.cell.send(Outgoing::Finish(status));
                None
            }
        }
    }

    fn decompressed(&self, message: Message) -> Result<Bytes, Status> {
        if !message.compressed {
            return Ok(message.payload);
        }
        let limit = self.call.settings.limits.max_receive;
        self.call.head.encoding.decompress(&message.payload, limit)
    }
}

impl Drop for ExternalCall {
    fn drop(&mut self) {
        if !self.replied {
            let status = Status::new(Code::Unknown, "the call was dropped without a reply");
            self.finish(ExternalReply::Status(status));
        }
    }
}

const fn sent(room: Room) -> Sent {
    match room {
        Room::Free => Sent::Ready,
        Room::Full => Sent::Full,
        Room::Over => Sent::Gone,
    }
}

impl fmt::Debug for ExternalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ExternalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalCall").field("call", &self.call).finish_non_exhaustive()
    }
}
