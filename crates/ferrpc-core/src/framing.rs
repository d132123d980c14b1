//! The framing of messages: a flag, four bytes of length, the message.

use std::fmt;
use std::mem;

use bytes::Bytes;

use crate::transport::{Buffers, FreshBuffers, LARGE_MESSAGE, Message, Run};

/// Bytes before each message.
pub(crate) const PREFIX: usize = 5;

/// Cuts the bytes of a stream into messages, however they arrive.
///
/// Memory grows with the bytes that arrive, never with the length that a prefix claims.
#[derive(Debug)]
pub(crate) struct Deframer {
    max_receive: usize,
    buffers: &'static dyn Buffers,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first `have` bytes of a prefix.
    Prefix { bytes: [u8; PREFIX], have: usize },
    /// A message of `length` bytes, begun.
    Body { compressed: bool, length: usize, body: Vec<u8> },
}

/// Why bytes are no message. The stream is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The prefix claims more than is taken: RESOURCE_EXHAUSTED.
    TooLarge { claimed: usize, limit: usize },
    /// The flag is neither 0 nor 1: INTERNAL.
    BadFlag(u8),
}

/// The bytes that go before a message of `length` bytes.
pub(crate) const fn prefix(compressed: bool, length: u32) -> [u8; PREFIX] {
    let [a, b, c, d] = length.to_be_bytes();
    [compressed as u8, a, b, c, d]
}

impl Deframer {
    /// At the start of a stream whose messages have at most `max_receive` bytes.
    pub(crate) fn new(max_receive: usize) -> Self {
        Self::with(max_receive, &FreshBuffers)
    }

    /// The same, with memory for messages from `buffers`.
    pub(crate) fn with(max_receive: usize, buffers: &'static dyn Buffers) -> Self {
        Self { max_receive, buffers, state: State::EMPTY }
    }

    /// Takes bytes off the front of `input` and returns a message once it is whole. To be called
    /// again until `None`: then all of `input` was taken.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, FrameError> {
        if let State::Prefix { bytes, have } = &mut self.state {
            let (compressed, length) = if *have == 0
                && let Some((prefix, rest)) = input.split_first_chunk()
            {
                *input = rest;
                read_prefix(prefix, self.max_receive)?
            } else {
                let taken = take(input, PREFIX - *have);
                bytes[*have..*have + taken.len()].copy_from_slice(taken);
                *have += taken.len();
                if *have < PREFIX {
                    return Ok(None);
                }
                read_prefix(bytes, self.max_receive)?
            };
            if let Some((payload, rest)) = input.split_at_checked(length) {
                *input = rest;
                self.state = State::EMPTY;
                // An empty slice allocates nothing.
                let payload = Bytes::copy_from_slice(payload);
                return Ok(Some(Message { payload, compressed }));
            }
            self.state = State::Body { compressed, length, body: self.buffers.take(length) };
        }
        let State::Body { compressed, length, body } = &mut self.state else {
            unreachable!("the prefix is complete");
        };
        let missing = *length - body.len();
        let taken = take(input, missing);
        if body.capacity() - body.len() < taken.len() {
            let more = taken.len().max(body.len()).min(missing);
            body.reserve_exact(more);
        }
        body.extend_from_slice(taken);
        if body.len() < *length {
            return Ok(None);
        }
        if *length >= LARGE_MESSAGE {
            self.buffers.expect(*length);
        }
        let payload = self.buffers.share(mem::take(body));
        let message = Message { payload, compressed: *compressed };
        self.state = State::EMPTY;
        Ok(Some(message))
    }

    /// Takes small messages off the front of `input` as one run, if at least two are there whole
    /// and nothing is begun. `compressed` says whether messages may be. What the run leaves,
    /// broken prefixes among it, is for [`next`](Self::next).
    pub(crate) fn next_run(&self, input: &mut &[u8], compressed: bool) -> Option<Run> {
        if !self.is_clean() {
            return None;
        }
        let limit = self.max_receive.min(RUN_MESSAGE);
        let (mut end, mut count, mut largest) = (0, 0, 0);
        while end < RUN_BYTES
            && let Some((head, rest)) = input[end..].split_first_chunk()
            && let Ok((flag, length)) = read_prefix(head, limit)
            && length <= rest.len()
            && (compressed || !flag)
        {
            end += PREFIX + length;
            count += 1;
            largest = largest.max(length);
        }
        if count < 2 {
            return None;
        }
        let (run, rest) = input.split_at(end);
        *input = rest;
        Some(Run::new(Bytes::copy_from_slice(run), count, largest))
    }

    /// Whether all that came is whole messages.
    pub(crate) const fn is_clean(&self) -> bool {
        matches!(self.state, State::Prefix { have: 0, .. })
    }

    /// Bytes of memory held for a message that is not whole yet.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Prefix { .. } => 0,
            State::Body { body, .. } => body.capacity(),
        }
    }
}

impl State {
    const EMPTY: Self = Self::Prefix { bytes: [0; PREFIX], have: 0 };
}

/// Takes up to `most` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// Reads the flag and the length of a message of at most `limit` bytes.
#[inline]
pub(crate) fn read_prefix(
    prefix: &[u8; PREFIX],
    limit: usize,
) -> Result<(bool, usize), FrameError> {
    let [flag, a, b, c, d] = *prefix;
    if flag > 1 {
        return Err(FrameError::BadFlag(flag));
    }
    let claimed = u32::from_be_bytes([a, b, c, d]) as usize;
    if claimed > limit {
        return Err(FrameError::TooLarge { claimed, limit });
    }
    Ok((flag == 1, claimed))
}

/// Larger messages have memory of their own: whoever keeps one of a run keeps all of it.
const RUN_MESSAGE: usize = 4 << 10;

/// A run that has so many bytes takes no more messages.
const RUN_BYTES: usize = 64 << 10;

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { claimed, limit } => {
                write!(f, "received message larger than max ({claimed} vs. {limit})")
            }
            Self::BadFlag(flag) => {
                write!(f, "received message has the flag {flag:#04x}, which is neither 0 nor 1")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (compressed, payload) in messages {
            out.extend_from_slice(&prefix(*compressed, payload.len() as u32));
            out.extend_from_slice(payload);
        }
        out
    }

    fn read_all(deframer: &mut Deframer, mut input: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some(message) = deframer.next(&mut input).unwrap() {
            out.push((message.compressed, message.payload.to_vec()));
        }
        assert!(input.is_empty());
        out
    }

    /// The same, with runs where there are any.
    fn read_runs(deframer: &mut Deframer, mut input: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let mut out = Vec::new();
        loop {
            if let Some(run) = deframer.next_run(&mut input, true) {
                assert!(run.len() > 1);
                out.extend(run.map(|message| (message.compressed, message.payload.to_vec())));
            } else if let Some(message) = deframer.next(&mut input).unwrap() {
                out.push((message.compressed, message.payload.to_vec()));
            } else {
                assert!(input.is_empty());
                return out;
            }
        }
    }

    proptest! {
        #[test]
        fn messages_survive_any_split(
            messages in vec((any::<bool>(), vec(any::<u8>(), 0..300)), 0..8),
            cuts in vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let wire = framed(&messages);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.push(wire.len());
            cuts.sort_unstable();
            for read in [read_all, read_runs] {
                let mut deframer = Deframer::new(300);
                let mut out = Vec::new();
                let mut start = 0;
                for &cut in &cuts {
                    out.extend(read(&mut deframer, &wire[start..cut]));
                    start = cut;
                }
                prop_assert!(deframer.is_clean());
                prop_assert_eq!(deframer.held_bytes(), 0);
                prop_assert_eq!(&out, &messages);
            }
        }
    }

    #[test]
    fn a_run_ends_before_what_is_no_part_of_it() {
        let small = (false, vec![1; 10]);
        let check = |last: Vec<u8>, compressed: bool| {
            let mut wire = framed(&[small.clone(), small.clone()]);
            wire.extend_from_slice(&last);
            let mut input = &wire[..];
            let run = Deframer::new(5000).next_run(&mut input, compressed).unwrap();
            assert_eq!((run.len(), run.framed_bytes(), run.largest()), (2, 30, 10));
            assert_eq!(input, last);
        };
        check(framed(&[(false, vec![2; RUN_MESSAGE + 1])]), true);
        check(framed(&[(true, vec![2; 3])]), false);
        check(prefix(false, 5001).to_vec(), true);
        check(prefix(false, 9).to_vec(), true);
        check(vec![2, 0, 0, 0, 0], true);
        check(vec![0, 0, 0], true);
        let many = framed(&vec![small.clone(); RUN_BYTES / 10]);
        let mut input = &many[..];
        let run = Deframer::new(10).next_run(&mut input, false).unwrap();
        assert!((RUN_BYTES..RUN_BYTES + 15).contains(&run.framed_bytes()));
        assert_eq!(Deframer::new(10).next_run(&mut &framed(&[small])[..], true), None);
        let mut begun = Deframer::new(10);
        assert_eq!(begun.next(&mut &many[..3]), Ok(None));
        assert_eq!(begun.next_run(&mut &many[..], true), None);
    }

    #[test]
    fn byte_by_byte() {
        let messages = [(false, vec![]), (true, vec![7; 20]), (false, vec![1])];
        let mut deframer = Deframer::new(20);
        let out: Vec<_> = framed(&messages)
            .iter()
            .flat_map(|byte| read_all(&mut deframer, std::slice::from_ref(byte)))
            .collect();
        assert_eq!(out, messages);
    }

    #[test]
    fn a_claim_reserves_nothing() {
        let mut deframer = Deframer::new(usize::MAX);
        assert_eq!(read_all(&mut deframer, &prefix(false, u32::MAX)), []);
        assert_eq!(deframer.held_bytes(), 0);
        assert!(!deframer.is_clean());
        assert_eq!(read_all(&mut deframer, &[0; 1000]), []);
        assert_eq!(deframer.held_bytes(), 1000);
        assert_eq!(read_all(&mut deframer, &[0; 1]), []);
        assert_eq!(deframer.held_bytes(), 2000);
    }

    #[test]
    fn the_last_growth_is_exact() {
        let mut deframer = Deframer::new(1500);
        let wire = framed(&[(false, vec![3; 1500])]);
        read_all(&mut deframer, &wire[..1005]);
        read_all(&mut deframer, &wire[1005..1006]);
        assert_eq!(deframer.held_bytes(), 1500);
        assert_eq!(read_all(&mut deframer, &wire[1006..]), [(false, vec![3; 1500])]);
    }

    #[test]
    fn limit_and_flag() {
        let check = |wire: &[u8], error| {
            let whole = Deframer::new(10).next(&mut &*wire);
            assert_eq!(whole, Err(error));
            let mut split = Deframer::new(10);
            assert_eq!(split.next(&mut &wire[..3]), Ok(None));
            assert_eq!(split.next(&mut &wire[3..]), Err(error));
        };
        check(&prefix(false, 11), FrameError::TooLarge { claimed: 11, limit: 10 });
        check(
            &prefix(true, u32::MAX),
            FrameError::TooLarge { claimed: u32::MAX as usize, limit: 10 },
        );
        check(&[2, 0, 0, 0, 0], FrameError::BadFlag(2));
        check(&[255, 255, 255, 255, 255], FrameError::BadFlag(255));
        assert_eq!(read_all(&mut Deframer::new(10), &framed(&[(false, vec![0; 10])])).len(), 1);
        assert!(FrameError::BadFlag(2).to_string().contains("0x02"));
        assert!(FrameError::TooLarge { claimed: 11, limit: 10 }.to_string().contains("11 vs. 10"));
    }
}
