//! Bytes on their way out.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Output of a connection: one buffer for frames and small payloads, with large payloads spliced
/// in where they belong, uncopied.
///
/// A caller writes [`chunks`](Self::chunks) to its socket and calls [`advance`](Self::advance) with
/// the number of bytes that were taken.
#[derive(Debug, Default)]
pub struct Transmit {
    buffer: Vec<u8>,
    /// Bytes of `buffer` already written.
    written: usize,
    /// Payloads and the offset in `buffer` before which each goes out, in order.
    splices: VecDeque<(usize, Bytes)>,
    len: usize,
}

impl Transmit {
    /// Nothing to write; allocates nothing.
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), written: 0, splices: VecDeque::new(), len: 0 }
    }

    /// Bytes that wait to be written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `slices` with the next bytes in order, and returns how many slices were filled.
    pub fn chunks<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut at = self.written;
        let mut splices = self.splices.iter();
        while filled < slices.len() {
            let Some((offset, payload)) = splices.next() else {
                if at < self.buffer.len() {
                    slices[filled] = IoSlice::new(&self.buffer[at..]);
                    filled += 1;
                }
                break;
            };
            if at < *offset {
                slices[filled] = IoSlice::new(&self.buffer[at..*offset]);
                filled += 1;
                at = *offset;
                if filled == slices.len() {
                    break;
                }
            }
            slices[filled] = IoSlice::new(payload);
            filled += 1;
        }
        filled
    }

    /// Takes note that `count` bytes were written.
    ///
    /// # Panics
    /// If that is more than [`len`](Self::len).
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "more written than there was");
        self.len -= count;
        while count > 0 {
            match self.splices.front_mut() {
                Some((offset, payload)) if *offset == self.written => {
                    let part = count.min(payload.len());
                    payload.advance(part);
                    count -= part;
                    if payload.is_empty() {
                        self.splices.pop_front();
                    }
                }
                next => {
                    let end = next.map_or(self.buffer.len(), |(offset, _)| *offset);
                    let part = count.min(end - self.written);
                    self.written += part;
                    count -= part;
                }
            }
        }
        if self.len == 0 {
            self.clear();
        }
    }

    /// All bytes, in one piece; for tests and for transports that want it so.
    pub fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        let mut at = self.written;
        for (offset, payload) in &self.splices {
            all.extend_from_slice(&self.buffer[at..*offset]);
            all.extend_from_slice(payload);
            at = *offset;
        }
        all.extend_from_slice(&self.buffer[at..]);
        self.clear();
        all
    }

    /// Runs `write` on the buffer that frames are encoded into.
    pub(crate) fn encode<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.buffer.len();
        let result = write(&mut self.buffer);
        self.len += self.buffer.len() - before;
        result
    }

    /// Appends a payload: copied if it is small, spliced in if it is large.
    pub(crate) fn push_payload(&mut self, payload: Bytes) {
        self.len += payload.len();
        if payload.len() < SPLICE_THRESHOLD {
            self.buffer.extend_from_slice(&payload);
        } else {
            self.splices.push_back((self.buffer.len(), payload));
        }
    }

    /// Where the next frame begins: an offset for [`extend_frame`](Self::extend_frame).
    pub(crate) fn end(&self) -> usize {
        self.buffer.len()
    }

    /// Appends to the frame that begins at `start`, which must be the last one and wholly in the
    /// buffer, and makes its length right.
    pub(crate) fn extend_frame(&mut self, start: usize, length: usize, parts: [&[u8]; 2]) {
        let length = u32::try_from(length).expect("cut to the peer's frame size").to_be_bytes();
        self.buffer[start..start + 3].copy_from_slice(&length[1..]);
        for part in parts {
            self.buffer.extend_from_slice(part);
            self.len += part.len();
        }
    }

    /// Moves all of `other` to the end of this output.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            other.clear();
            return;
        }
        self.compact();
        let base = self.buffer.len();
        self.buffer.extend_from_slice(&other.buffer[other.written..]);
        for (offset, payload) in other.splices.drain(..) {
            self.splices.push_back((base + offset - other.written, payload));
        }
        self.len += other.len;
        other.clear();
    }

    /// Removes what was written from the buffer once that is half of it: each byte moves at most
    /// once on average, and a peer that never lets us fall idle cannot make the buffer grow.
    fn compact(&mut self) {
        if self.written < COMPACT_THRESHOLD || self.written < self.buffer.len() / 2 {
            return;
        }
        self.buffer.drain(..self.written);
        for (offset, _) in &mut self.splices {
            *offset -= self.written;
        }
        self.written = 0;
    }

    fn clear(&mut self) {
        if self.buffer.capacity() > RETAINED_CAPACITY {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
        self.written = 0;
        self.splices.clear();
        self.len = 0;
    }

    /// Gives memory back; for connections that fall idle.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.buffer = Vec::new();
            self.splices = VecDeque::new();
        }
    }
}

/// Below this, copying is cheaper than another slice in a vectored write.
const SPLICE_THRESHOLD: usize = 4096;

/// Written bytes below this are not worth moving the others.
const COMPACT_THRESHOLD: usize = 4096;

/// A buffer above this size is not kept once it is empty.
const RETAINED_CAPACITY: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes a little less than there is, for ever: the order holds, and the buffer
    /// does not grow.
    #[test]
    fn never_empty() {
        let (mut transmit, mut sent, mut written) = (Transmit::new(), Vec::new(), Vec::new());
        for round in 0..20_000_u32 {
            let mut out = Transmit::new();
            out.encode(|out| out.extend_from_slice(&round.to_be_bytes()));
            let size = if round % 100 == 0 { SPLICE_THRESHOLD } else { 20 };
            out.push_payload(Bytes::from(vec![round as u8; size]));
            out.encode(|out| out.push(round as u8));
            sent.extend(copy(&out));
            transmit.append(&mut out);
            let count = transmit.len().saturating_sub(100 + round as usize % 7);
            written.extend(&copy(&transmit)[..count]);
            transmit.advance(count);
            assert!(transmit.buffer.len() < 4 * COMPACT_THRESHOLD, "{}", transmit.buffer.len());
        }
        written.extend(transmit.take());
        assert!(sent == written);
    }

    fn copy(transmit: &Transmit) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = transmit.chunks(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }
}
