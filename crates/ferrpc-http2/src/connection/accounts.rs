//! What a connection holds: for metrics, and for tests of the claim that nothing grows.

use super::Connection;

/// Sizes of all that a peer could try to make grow, and the credit of the connection's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Open streams.
    pub streams: usize,
    /// Bytes of header lists held for open streams.
    pub held_headers: usize,
    /// Bytes of data in the queues of streams.
    pub queued: usize,
    /// Those of them that their streams have credit for.
    pub sendable: usize,
    /// Bytes of output not yet handed out.
    pub output: usize,
    /// Events not yet received.
    pub events: usize,
    /// Places in the ring of streams that take turns, those of closed streams included.
    pub ready: usize,
    /// Places in the lines of streams that wait for room, those of closed streams included.
    pub blocked: usize,
    /// Streams remembered because they were reset here.
    pub recent_resets: usize,
    /// Bytes of a frame that is not complete.
    pub partial_frame: usize,
    /// Bytes the peer may send on the connection now.
    pub credit: i64,
    /// Bytes consumed whose credit waits to be worth a WINDOW_UPDATE or is held back, and bytes of
    /// the DATA frame now arriving that are still to come.
    pub credit_due: i64,
    /// The connection's window: always the sum of the two above.
    pub window: i64,
}

impl Connection {
    /// What the connection holds now.
    pub fn accounts(&self) -> Accounts {
        let (credit, pending, window) = self.receive_window.parts();
        Accounts {
            streams: self.streams.len(),
            held_headers: self.held_headers,
            queued: self.queued,
            sendable: self.sendable,
            output: self.out.len(),
            events: self.events.len(),
            ready: self.ready.len(),
            blocked: self.crowd.len() + self.short.len(),
            recent_resets: self.recent_resets.ids.len(),
            partial_frame: self.reader.partial.len(),
            credit,
            credit_due: pending + (self.reader.data_left() + self.held_credit.unwrap_or(0)) as i64,
            window,
        }
    }

    /// Gives back the memory that busy times took and idle ones do not need; for drivers of
    /// connections that have been idle for a while.
    pub fn trim(&mut self) {
        self.streams.trim();
        self.out.shrink();
    }

    /// Compares every account with what it is the sum of; for tests.
    ///
    /// # Panics
    /// If one is wrong.
    #[doc(hidden)]
    pub fn assert_accounts(&mut self) {
        let accounts = self.accounts();
        if self.closed.is_none() {
            assert_eq!(accounts.credit + accounts.credit_due, accounts.window, "{accounts:?}");
        }
        let (role, mut queued, mut sendable, mut held, mut peers) = (self.role, 0, 0, 0, 0);
        for (key, stream) in self.streams.iter_mut() {
            queued += stream.queue.bytes;
            sendable += stream.sendable();
            held += stream.held_headers;
            peers += usize::from((key.id % 2 == 1) == (role == crate::Role::Server));
            assert_eq!(
                stream.queue.bytes,
                stream.queue.chunks.iter().map(crate::stream::Chunk::len).sum::<usize>()
            );
        }
        assert_eq!((queued, sendable), (self.queued, self.sendable));
        assert_eq!((held, peers), (self.held_headers, self.peer_streams));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Connection, Fields, Reason, Role, Time};

    /// The memory of a burst of streams is kept while one is open, and given back when none is.
    #[test]
    fn a_burst_is_forgotten() {
        let mut client = Connection::new(Role::Client, Config::default(), Time::ZERO);
        let mut keys: Vec<_> = (0..100)
            .map(|_| client.open(Time::ZERO, Fields::new().iter(), false).expect("a stream"))
            .collect();
        let last = keys.pop().expect("there are 100");
        for key in keys {
            client.reset(key, Reason::CANCEL);
        }
        client.trim();
        assert_eq!(client.streams.slots(), 100, "one is open");
        client.reset(last, Reason::CANCEL);
        assert_eq!(client.streams.slots(), 100, "kept for the next burst");
        client.trim();
        assert_eq!(client.streams.slots(), 0);
    }
}
