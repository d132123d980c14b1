//! Buffers for messages of middling size, used again.
//!
//! Memory that is freed after each message goes back to the kernel and comes again page by page,
//! which costs more than the copy of the message. A thread keeps a few buffers of a size that is
//! common; the others come from the allocator.

use std::cell::RefCell;

use bytes::Bytes;
use ferrpc_core::transport::Buffers;

use super::allocator;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The buffers that the threads of this process keep.
#[derive(Debug)]
pub(crate) struct KeptBuffers;

/// Content whose memory goes back where it came from, to the thread that drops the last share.
#[derive(Debug)]
struct Kept(Vec<u8>);

impl Buffers for KeptBuffers {
    fn take(&self, length: usize) -> Vec<u8> {
        if !is_kept(length) {
            return Vec::new();
        }
        KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten().unwrap_or_default()
    }

    fn share(&self, buffer: Vec<u8>) -> Bytes {
        if is_kept(buffer.capacity()) { Bytes::from_owner(Kept(buffer)) } else { buffer.into() }
    }

    fn expect(&self, length: usize) {
        allocator::expect_messages(length);
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
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

fn is_kept(capacity: usize) -> bool {
    (MIN_KEPT..=MAX_KEPT).contains(&capacity)
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
        let mut buffer = KeptBuffers.take(MIN_KEPT);
        buffer.extend_from_slice(&[7; MIN_KEPT]);
        let place = buffer.as_ptr();
        let bytes = KeptBuffers.share(buffer);
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(part, [7; MIN_KEPT - 1][..]);
        drop(part);
        let buffer = KeptBuffers.take(MAX_KEPT);
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 0));
        assert_eq!(KeptBuffers.take(MIN_KEPT - 1).capacity(), 0);
        assert_eq!(KeptBuffers.take(MAX_KEPT + 1).capacity(), 0);
    }
}
