//! Buffers for messages of middling size, used again.
//!
//! Memory that is freed after each message goes back to the kernel and comes again page by page,
//! which costs more than the copy of the message. A thread keeps a few buffers of a size that is
//! common; the others come from the allocator.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back where it came from.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty buffer for `length` bytes: one that was kept, if there is one. Nothing is reserved
    /// for `length`.
    pub(crate) fn for_length(length: usize) -> Self {
        if !(MIN_KEPT..=MAX_KEPT).contains(&length) {
            return Self::default();
        }
        Self(KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten().unwrap_or_default())
    }

    /// The content, shared; the buffer is kept by the thread that drops the last share.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        if (MIN_KEPT..=MAX_KEPT).contains(&self.0.capacity()) {
            return Bytes::from_owner(self);
        }
        std::mem::take(&mut self.0).into()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !(MIN_KEPT..=MAX_KEPT).contains(&self.0.capacity()) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_BUFFERS {
                kept.push(buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Capacities worth keeping. Smaller ones are cheap to get, larger ones too much to hold.
const MIN_KEPT: usize = 16 << 10;
const MAX_KEPT: usize = 256 << 10;

/// Buffers that a thread keeps: 4 MiB at the most.
const KEPT_BUFFERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_a_common_size_come_back_empty() {
        let mut buffer = Buffer::for_length(MIN_KEPT);
        buffer.extend_from_slice(&[7; MIN_KEPT]);
        let place = buffer.as_ptr();
        let bytes = buffer.into_bytes();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(part, [7; MIN_KEPT - 1][..]);
        drop(part);
        let buffer = Buffer::for_length(MAX_KEPT);
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 0));
        assert_eq!(Buffer::for_length(MIN_KEPT - 1).capacity(), 0);
        assert_eq!(Buffer::for_length(MAX_KEPT + 1).capacity(), 0);
    }
}
