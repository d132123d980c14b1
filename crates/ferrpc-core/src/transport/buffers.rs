//! Where the memory of messages comes from: the transport has none of its own to keep.

use std::fmt;

use bytes::Bytes;

/// Memory for messages that arrive. Whoever drives transports may keep some for all of them.
pub trait Buffers: fmt::Debug + Send + Sync {
    /// An empty buffer for a message of `length` bytes. Nothing need be reserved: `length` is what
    /// the peer claims.
    fn take(&self, length: usize) -> Vec<u8>;

    /// What such a buffer holds, shared.
    fn share(&self, buffer: Vec<u8>) -> Bytes;

    /// Large messages, of `length` bytes, are exchanged: memory for several should be kept.
    fn expect(&self, length: usize);
}

/// All memory from the allocator, and back to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreshBuffers;

impl Buffers for FreshBuffers {
    fn take(&self, _length: usize) -> Vec<u8> {
        Vec::new()
    }

    fn share(&self, buffer: Vec<u8>) -> Bytes {
        buffer.into()
    }

    fn expect(&self, _length: usize) {}
}

/// Of smaller messages nobody is told.
pub(crate) const LARGE: usize = 32 << 10;
