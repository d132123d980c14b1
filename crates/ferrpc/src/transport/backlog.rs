//! Messages that wait for whoever reads them.
//!
//! A place in a queue, and memory of its own, cost many times what a message of a few bytes took on
//! the wire: a peer that floods a slow reader with such messages would have all of that held. Small
//! messages behind others are therefore moved together, so that what waits takes about the memory
//! of its bytes.

use std::collections::VecDeque;
use std::mem;

use ferrpc_core::transport::{Message, Messages, RunBuilder};

/// A queue of messages. What is small is gathered at its end.
#[derive(Debug, Default)]
pub struct Backlog {
    queue: VecDeque<Messages>,
    /// What came behind the queue.
    gathered: RunBuilder,
}

impl Backlog {
    /// Adds messages at the end.
    pub fn push(&mut self, messages: Messages) {
        // With nobody behind there is nothing to save: messages that are read as they come are
        // not moved.
        if self.is_empty() || messages.framed_bytes() >= SMALL {
            self.seal();
            self.queue.push_back(messages);
        } else {
            self.gathered.append(&messages);
            if self.gathered.framed_bytes() >= GATHERED {
                self.seal();
            }
        }
    }

    /// The next messages, as many as are together.
    pub fn pop(&mut self) -> Option<Messages> {
        if self.queue.is_empty() {
            self.seal();
        }
        self.queue.pop_front()
    }

    /// The next message.
    #[inline]
    pub fn pop_one(&mut self) -> Option<Message> {
        if self.queue.is_empty() {
            self.seal();
        }
        if let Messages::Run(run) = self.queue.front_mut()?
            && run.len() > 1
        {
            return run.next();
        }
        match self.queue.pop_front()? {
            Messages::One(message) => Some(message),
            Messages::Run(mut run) => run.next(),
        }
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.gathered.is_empty()
    }

    /// Makes what was gathered the end of the queue. The builder goes along: kept, it would keep
    /// the run's memory.
    fn seal(&mut self) {
        if !self.gathered.is_empty() {
            self.queue.push_back(mem::take(&mut self.gathered).finish().into());
        }
    }
}

/// What is larger costs little beside its bytes.
const SMALL: usize = 512;

/// Whoever keeps one message of a run keeps all of it, so there is an end to what is gathered.
const GATHERED: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize, mark: u8) -> Message {
        Message { payload: vec![mark; size].into(), compressed: mark % 2 == 1 }
    }

    /// Sizes from empty to large in all neighbourhoods, in and out in turns.
    #[test]
    fn order_and_content_are_kept() {
        let sizes = [0, 1, 600, 3, 0, 0, 511 - 5, 512 - 5, 20_000, 2, 0, 300, 300, 5];
        for (pushed, popped) in [(1, 1), (3, 1), (7, 5), (sizes.len(), 2)] {
            let mut backlog = Backlog::default();
            let mut sent = sizes.iter().cycle().zip(0..200_u8).map(|(size, n)| message(*size, n));
            let mut seen = Vec::new();
            loop {
                let batch: Vec<_> = sent.by_ref().take(pushed).collect();
                if batch.is_empty() && backlog.is_empty() {
                    break;
                }
                batch.into_iter().for_each(|message| backlog.push(message.into()));
                for _ in 0..popped {
                    seen.extend(backlog.pop_one());
                }
                match backlog.pop() {
                    Some(Messages::One(message)) => seen.push(message),
                    Some(Messages::Run(run)) => seen.extend(run),
                    None => {}
                }
            }
            let expect = sizes.iter().cycle().zip(0..200_u8).map(|(size, n)| message(*size, n));
            assert!(seen.into_iter().eq(expect), "{pushed} in, {popped} out");
        }
    }

    #[test]
    fn small_messages_take_no_places_of_their_own() {
        let mut backlog = Backlog::default();
        for _ in 0..100_000 {
            backlog.push(message(0, 0).into());
        }
        assert_eq!(backlog.queue.len(), 1 + 500_000 / GATHERED);
        let mut count = 0;
        while let Some(messages) = backlog.pop() {
            assert!(messages.framed_bytes() < GATHERED + SMALL);
            count += messages.count();
        }
        assert_eq!(count, 100_000);
    }
}
