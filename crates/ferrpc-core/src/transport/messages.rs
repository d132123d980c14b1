//! Messages that travel together.
//!
//! What a message costs beside its bytes (memory of its own, an entry in a queue, a lock, a wake)
//! is more than the bytes of a small one. Small messages of a stream that are there at the same
//! time are therefore moved as one [`Run`]: framed, one behind the other, in one piece of memory.
//!
//! ```text
//!   sender:    RunBuilder --push--> ... --finish--> Run --> Transport::send
//!   receiver:  DATA --> Run (Event::Messages) --next--> Message, a slice of the run's memory
//! ```
//!
//! Invariant: a run is a whole number of messages; each has a sound prefix, and at most `largest`
//! bytes.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::Message;
use crate::framing::{PREFIX, prefix, read_prefix};

/// Messages in a row, framed, in one piece of memory. An iterator of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    framed: Bytes,
    count: usize,
    largest: usize,
}

/// One message, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Messages {
    /// One, whose payload may be large.
    One(Message),
    /// Several small ones.
    Run(Run),
}

/// Gathers messages as they are encoded.
#[derive(Debug, Default)]
pub struct RunBuilder {
    buffer: BytesMut,
    count: usize,
    largest: usize,
}

/// Why a message is not in the run. The others are.
#[derive(Debug, PartialEq, Eq)]
pub enum PushError<E> {
    /// It could not be encoded.
    Encode(E),
    /// It has so many bytes, which is more than may be sent.
    TooLarge(usize),
}

impl Run {
    /// `framed` is `count` messages of up to `largest` bytes each, as they were framed or checked.
    pub(crate) const fn new(framed: Bytes, count: usize, largest: usize) -> Self {
        Self { framed, count, largest }
    }

    /// How many messages are left.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether no message is left.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the messages that are left, with a prefix for each.
    pub const fn framed_bytes(&self) -> usize {
        self.framed.len()
    }

    /// Reads the next message where it lies, if it is not compressed: `read` is given its payload.
    /// Cheaper than [`next`](Iterator::next), which makes another share of the run.
    #[inline]
    pub fn read_plain<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (&[0, a, b, c, d], rest) = self.framed.split_first_chunk::<PREFIX>()? else {
            return None;
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let result = read(rest.get(..length)?);
        self.count -= 1;
        self.framed.advance(PREFIX + length);
        if self.count == 0 {
            self.framed = Bytes::new();
        }
        Some(result)
    }

    /// No message has more bytes than this.
    pub(crate) const fn largest(&self) -> usize {
        self.largest
    }

    pub(crate) fn into_framed(self) -> Bytes {
        self.framed
    }
}

impl Iterator for Run {
    type Item = Message;

    #[inline]
    fn next(&mut self) -> Option<Message> {
        let prefix = *self.framed.first_chunk::<PREFIX>()?;
        let (compressed, length) = read_prefix(&prefix, self.largest).ok()?;
        self.framed.advance(PREFIX);
        self.count -= 1;
        // The last one takes the share of the run along.
        let payload = self.framed.split_to(length);
        Some(Message { payload, compressed })
    }
}

impl Messages {
    /// How many.
    pub const fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Run(run) => run.len(),
        }
    }

    /// Their bytes, with a prefix for each.
    pub const fn framed_bytes(&self) -> usize {
        match self {
            Self::One(message) => PREFIX + message.payload.len(),
            Self::Run(run) => run.framed_bytes(),
        }
    }

    /// Their bytes, without prefixes.
    pub const fn payload_bytes(&self) -> usize {
        match self {
            Self::One(message) => message.payload.len(),
            Self::Run(run) => run.framed_bytes() - PREFIX * run.len(),
        }
    }
}

impl From<Message> for Messages {
    fn from(message: Message) -> Self {
        Self::One(message)
    }
}

impl From<Run> for Messages {
    fn from(run: Run) -> Self {
        Self::Run(run)
    }
}

impl RunBuilder {
    /// Nothing yet; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message of at most `max` bytes, which `encode` appends to the buffer it is given.
    ///
    /// # Errors
    /// If it cannot be encoded or is too large. It is then left out.
    ///
    /// # Panics
    /// If `encode` removes what was in the buffer.
    #[inline]
    pub fn push<E>(
        &mut self,
        compressed: bool,
        max: usize,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), PushError<E>> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; PREFIX]);
        let encoded = encode(&mut self.buffer);
        let length = self.buffer.len().checked_sub(start + PREFIX);
        let length = length.expect("a codec appends to the buffer and removes nothing");
        if let Err(error) = encoded {
            self.buffer.truncate(start);
            return Err(PushError::Encode(error));
        }
        match u32::try_from(length) {
            Ok(size) if length <= max => {
                let head = prefix(compressed, size);
                self.buffer[start..start + PREFIX].copy_from_slice(&head);
            }
            _ => {
                self.buffer.truncate(start);
                return Err(PushError::TooLarge(length));
            }
        }
        self.count += 1;
        self.largest = self.largest.max(length);
        Ok(())
    }

    /// Adds messages that were made elsewhere.
    pub fn append(&mut self, messages: &Messages) {
        match messages {
            Messages::One(Message { payload, compressed }) => {
                let length = u32::try_from(payload.len());
                let length = length.expect("the length of a message is sent as four bytes");
                self.buffer.extend_from_slice(&prefix(*compressed, length));
                self.buffer.extend_from_slice(payload);
                self.largest = self.largest.max(payload.len());
            }
            Messages::Run(run) => {
                self.buffer.extend_from_slice(&run.framed);
                self.largest = self.largest.max(run.largest);
            }
        }
        self.count += messages.count();
    }

    /// Bytes gathered.
    pub fn framed_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was gathered.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes what was gathered.
    pub fn finish(&mut self) -> Run {
        let framed = self.buffer.split().freeze();
        Run {
            framed,
            count: std::mem::take(&mut self.count),
            largest: std::mem::take(&mut self.largest),
        }
    }
}

impl<E: fmt::Display> fmt::Display for PushError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::TooLarge(size) => write!(f, "a message of {size} bytes is too large"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for PushError<E> {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use super::*;

    fn push(builder: &mut RunBuilder, payload: &[u8]) -> Result<(), PushError<&'static str>> {
        builder.push(payload.first() == Some(&b'c'), 10, |buffer| {
            buffer.extend_from_slice(payload);
            if payload == b"bad" { Err("bad") } else { Ok(()) }
        })
    }

    #[test]
    fn what_is_pushed_comes_out_in_order() {
        let mut builder = RunBuilder::new();
        for payload in [&b"one"[..], b"", b"compressed", b"four"] {
            push(&mut builder, payload).unwrap();
        }
        assert_eq!(push(&mut builder, b"bad"), Err(PushError::Encode("bad")));
        assert_eq!(push(&mut builder, b"eleven byte"), Err(PushError::TooLarge(11)));
        push(&mut builder, b"six").unwrap();
        assert_eq!(builder.framed_bytes(), 5 * PREFIX + 20);
        let mut run = builder.finish();
        assert!(builder.is_empty() && builder.framed_bytes() == 0);
        assert_eq!((run.len(), run.framed_bytes(), run.largest()), (5, 5 * PREFIX + 20, 10));
        let first = run.next().unwrap();
        assert_eq!((first, run.len()), (Message::plain("one"), 4));
        assert_eq!(Messages::from(run.clone()).payload_bytes(), 17);
        let mut plain = run.clone();
        assert_eq!(plain.read_plain(<[u8]>::len), Some(0));
        let none = plain.read_plain(<[u8]>::len);
        assert_eq!((none, plain.len()), (None, 3), "the next one is compressed");
        assert_eq!(plain.nth(1).unwrap().payload, "four");
        assert_eq!(plain.read_plain(<[u8]>::to_vec).unwrap(), b"six");
        assert!(plain.is_empty() && plain.read_plain(<[u8]>::len).is_none());
        let rest: Vec<_> = run.by_ref().map(|m| (m.compressed, m.payload)).collect();
        let expect = [(false, ""), (true, "compressed"), (false, "four"), (false, "six")];
        assert_eq!(rest, expect.map(|(flag, text)| (flag, Bytes::from_static(text.as_bytes()))));
        assert!(run.is_empty());
    }

    #[test]
    fn what_is_appended_is_the_same() {
        let mut builder = RunBuilder::new();
        push(&mut builder, b"one").unwrap();
        let run = builder.finish();
        push(&mut builder, b"two").unwrap();
        builder.append(&run.into());
        builder.append(&Message { payload: Bytes::from_static(b"three"), compressed: true }.into());
        builder.append(&Message::plain("").into());
        let run = builder.finish();
        assert_eq!((run.len(), run.framed_bytes(), run.largest()), (4, 4 * PREFIX + 11, 5));
        let expect = [(false, "two"), (false, "one"), (true, "three"), (false, "")];
        let texts = run.map(|m| (m.compressed, m.payload)).collect::<Vec<_>>();
        assert_eq!(texts, expect.map(|(flag, text)| (flag, Bytes::from_static(text.as_bytes()))));
    }

    #[test]
    fn the_builder_is_used_again() {
        let mut builder = RunBuilder::new();
        for round in 0..3_u8 {
            push(&mut builder, &[round]).unwrap();
            assert_eq!(builder.finish().into_framed()[PREFIX..], [round]);
        }
    }
}
