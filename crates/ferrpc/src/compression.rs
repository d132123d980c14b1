//! Where messages are compressed and decompressed.
//!
//! In the call's own future, never in the task that owns the connection; a large message goes to
//! the blocking pool, so that the call's thread stays free for others.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferrpc_core::transport::Message;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::{Code, Encoding, Status};

/// The message as it travels: compressed, unless that makes it larger.
pub(crate) async fn compress(encoding: Encoding, payload: Bytes) -> Message {
    if encoding == Encoding::Identity {
        return Message { payload, compressed: false };
    }
    if payload.len() <= INLINE_SIZE {
        return compress_now(encoding, payload);
    }
    let task = {
        let payload = payload.clone();
        tokio::task::spawn_blocking(move || compress_now(encoding, payload))
    };
    // The task ends without a result only when the runtime is shutting down.
    task.await.unwrap_or(Message { payload, compressed: false })
}

/// The same on the caller's thread.
#[inline]
pub fn compress_now(encoding: Encoding, payload: Bytes) -> Message {
    if encoding == Encoding::Identity || payload.is_empty() {
        return Message { payload, compressed: false };
    }
    let smaller = encoding.compress(&payload);
    if smaller.len() < payload.len() {
        Message { payload: smaller, compressed: true }
    } else {
        Message { payload, compressed: false }
    }
}

/// The message's bytes, of which there may be at most `limit`, on the caller's thread.
#[inline]
pub fn decompress_now(encoding: Encoding, message: Message, limit: usize) -> Result<Bytes, Status> {
    if message.compressed {
        encoding.decompress(&message.payload, limit)
    } else {
        Ok(message.payload)
    }
}

/// A message being decompressed; a future.
#[derive(Debug)]
pub(crate) enum Decompress {
    Ready(Option<Result<Bytes, Status>>),
    Task(JoinHandle<Result<Bytes, Status>>),
}

/// The message's bytes, of which there may be at most `limit`.
pub(crate) fn decompress(encoding: Encoding, message: Message, limit: usize) -> Decompress {
    if !message.compressed {
        return Decompress::Ready(Some(Ok(message.payload)));
    }
    if message.payload.len() > INLINE_SIZE
        && let Ok(runtime) = Handle::try_current()
    {
        return Decompress::Task(
            runtime.spawn_blocking(move || encoding.decompress(&message.payload, limit)),
        );
    }
    Decompress::Ready(Some(encoding.decompress(&message.payload, limit)))
}

impl Future for Decompress {
    type Output = Result<Bytes, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(result) => Poll::Ready(result.take().expect("polled again after its end")),
            Self::Task(task) => Pin::new(task).poll(cx).map(|result| {
                result.unwrap_or_else(|_| {
                    Err(Status::new(Code::Cancelled, "the runtime is shutting down"))
                })
            }),
        }
    }
}

/// Up to this size compressing takes less than some 300 us (at 67 MB/s), less than a hop to
/// another thread is worth.
const INLINE_SIZE: usize = 16 << 10;
