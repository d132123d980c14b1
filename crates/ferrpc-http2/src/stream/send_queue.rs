//! What a stream still has to send.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Fields, Time};

/// Data in order, then perhaps the end.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    pub(crate) chunks: VecDeque<Chunk>,
    /// Bytes in `chunks`.
    pub(crate) bytes: usize,
    pub(crate) end: End,
    /// A point in time, and how many of the bytes queued then are left: the oldest byte has waited
    /// since then at least, however slowly others were taken.
    mark: (Time, usize),
}

/// A payload with a few bytes of its own before it.
#[derive(Debug)]
pub(crate) struct Chunk {
    head: [u8; Self::MAX_HEAD],
    head_start: u8,
    head_end: u8,
    pub(crate) payload: Bytes,
}

/// How the sending half ends.
#[derive(Debug, Default)]
pub(crate) enum End {
    /// Not yet.
    #[default]
    Open,
    /// With the last DATA frame.
    Data,
    /// With a trailer section.
    Trailers(Box<Fields>),
}

impl SendQueue {
    /// Whether nothing is left to send, the end included.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && matches!(self.end, End::Open)
    }

    pub(crate) fn push(&mut self, now: Time, chunk: Chunk) {
        if self.is_empty() {
            self.mark = (now, chunk.len());
        }
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// `bytes` of it leave; their chunks are for the caller to take.
    pub(crate) fn take(&mut self, now: Time, bytes: usize) {
        self.bytes -= bytes;
        let (_, left) = &mut self.mark;
        *left = left.saturating_sub(bytes);
        if *left == 0 {
            self.mark = (now, self.bytes);
        }
    }

    /// Since when its oldest byte has waited at least.
    pub(crate) fn waits_since(&self) -> Time {
        self.mark.0
    }
}

impl Chunk {
    /// The most bytes of its own.
    pub(crate) const MAX_HEAD: usize = 8;

    pub(crate) fn new(head: &[u8], payload: Bytes) -> Self {
        let mut bytes = [0; Self::MAX_HEAD];
        bytes[..head.len()].copy_from_slice(head);
        Self { head: bytes, head_start: 0, head_end: head.len() as u8, payload }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.head_end - self.head_start) + self.payload.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes up to `limit` bytes off the front: own bytes first, then payload.
    pub(crate) fn split(&mut self, limit: usize) -> Self {
        let mut piece = Self {
            head: self.head,
            head_start: self.head_start,
            head_end: self.head_end,
            payload: Bytes::new(),
        };
        let own = usize::from(self.head_end - self.head_start).min(limit);
        piece.head_end = piece.head_start + own as u8;
        self.head_start = piece.head_end;
        let rest = (limit - own).min(self.payload.len());
        piece.payload = self.payload.split_to(rest);
        piece
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head[usize::from(self.head_start)..usize::from(self.head_end)]
    }
}
