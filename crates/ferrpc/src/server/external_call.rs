//! One call that a thread outside the runtime handles.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferrpc_core::transport::{CallId, Cardinality, Message};
use ferrpc_net::clock;
use tokio::time::Instant;

use super::call::{Replies, Reply, ServerCall};
use super::call_limit::Admission;
use super::command::Command;
use super::load::Running;
use crate::transport::ConnectionInfo;
use crate::transport::cell::{Cell, Outgoing, Room};
use crate::transport::inbox::{CREDIT_BATCH, Reader};
use crate::transport::mailbox::Mailbox;
use crate::{Code, Encoding, Metadata, Status, compression};

/// A call out of an [`ExternalQueue`](super::ExternalQueue). Dropped without a reply, it ends with
/// status UNKNOWN.
pub struct ExternalCall {
    call: ServerCall,
    id: CallId,
    cell: Arc<Cell>,
    reader: Reader,
    /// Its one request is in the cell.
    in_cell: bool,
    mailbox: Arc<Mailbox<Command>>,
    replies: Replies,
    encoding: Encoding,
    replied: bool,
    pub(super) admission: Option<Admission>,
    /// It counts among the handlers until it is replied to.
    running: Option<Running>,
}

/// A reply that its connection has not been told of yet: see [`ExternalCall::reply_later`].
#[derive(Debug)]
pub struct DeferredReply {
    pub(super) command: Command,
    pub(super) mailbox: Arc<Mailbox<Command>>,
}

impl DeferredReply {
    /// Bytes of its message.
    pub fn bytes(&self) -> usize {
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
        in_cell: bool,
    ) -> Self {
        let cell = call.cell.take().expect("external calls have a cell");
        let replies = call.replies();
        let reader = Reader::new(CREDIT_BATCH);
        Self {
            call,
            id,
            cell,
            reader,
            in_cell,
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
        let body = if std::mem::take(&mut self.in_cell) {
            self.cell.take_one()?
        } else {
            std::mem::take(&mut self.call.body)
        };
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
    pub(super) fn is_paused(&self) -> bool {
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
    /// [`ExternalQueue::send_replies`](super::ExternalQueue::send_replies), alone or with others.
    /// Nothing is, if the reply has found its own way, or was one too many.
    pub fn reply_later(&mut self, reply: ExternalReply) -> Option<DeferredReply> {
        let command = self.done(reply)?;
        Some(DeferredReply { command, mailbox: Arc::clone(&self.mailbox) })
    }

    /// Replies, and ends the call. See also
    /// [`ExternalQueue::reply_all`](super::ExternalQueue::reply_all).
    pub fn reply(mut self, reply: ExternalReply) {
        self.finish(reply);
    }

    /// Drops a call that is over: nobody waits for a reply.
    pub(super) fn forget(mut self) {
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

impl fmt::Debug for ExternalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalCall").field("call", &self.call).finish_non_exhaustive()
    }
}
