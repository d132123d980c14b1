//! The receiving half of a streaming call, of servers and of clients.
//!
//! ```text
//!   connection's task                  under the cell's lock          consumer, on its own
//!
//!   Event::Message(s) --push--> Inbox: messages and runs --pop--> Reader: the run being read
//!   Transport::release <--take_credit-- credit consumed <--give-- credit of what was read
//! ```
//!
//! Messages that arrived together stay together: the consumer takes a whole run with one lock, and
//! cuts messages from it without. Credit is given back as messages are read, a batch at a time,
//! and all of it before the consumer waits: what it waits for may be what the peer cannot send
//! without that credit.

use std::task::{Context, Poll, Waker};

use ferrpc_core::transport::{Message, Messages, Run};

use super::backlog::Backlog;

/// Messages that were received, and what is known of their consumption.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    received: Backlog,
    credit: Credit,
    receiver: Option<Waker>,
    demand: Demand,
}

/// Whether the connection wants to know that the consumer waits: then that is a reason to complete
/// a message although too much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Demand {
    #[default]
    Unasked,
    Asked,
    /// It does; the connection does not know yet.
    Waits,
}

/// Consumed messages whose credit the peer does not have back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) messages: usize,
    /// Their bytes, without prefixes.
    pub(crate) payload: usize,
}

/// The consumer's end: what it took out of the inbox and has not read.
#[derive(Debug)]
pub(crate) struct Reader {
    run: Run,
    read: Credit,
    /// So much is given back together.
    batch: usize,
}

/// A cell with an inbox.
pub(crate) trait Receive {
    /// What comes after the last message.
    type End;

    /// The next messages. `read` is what the consumer read since it last said so.
    fn poll_messages(&self, cx: &Context<'_>, read: Credit) -> Poll<Result<Messages, Self::End>>;

    /// Gives credit back without taking messages.
    fn give(&self, read: Credit);
}

impl Credit {
    /// One message of `payload` bytes.
    pub(crate) const fn one(payload: usize) -> Self {
        Self { messages: 1, payload }
    }

    fn of(messages: &Messages) -> Self {
        Self { messages: messages.count(), payload: messages.payload_bytes() }
    }

    /// Whether there is none.
    pub(crate) const fn is_none(self) -> bool {
        self.messages == 0
    }

    const fn weight(self) -> usize {
        self.payload + self.messages * PREFIX
    }

    const fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.payload += other.payload;
    }
}

impl Inbox {
    /// Messages came: whom to wake.
    #[must_use]
    pub(crate) fn push(&mut self, messages: impl Into<Messages>) -> Option<Waker> {
        self.received.push(messages.into());
        self.receiver.take()
    }

    /// The same where only the end is of interest.
    pub(crate) fn push_quietly(&mut self, messages: impl Into<Messages>) {
        self.received.push(messages.into());
    }

    /// The next messages. A message alone counts as read with this, those of a run do not.
    pub(crate) fn pop(&mut self) -> Option<Messages> {
        let messages = self.received.pop()?;
        if let Messages::One(message) = &messages {
            self.credit.add(Credit::one(message.payload.len()));
        }
        Some(messages)
    }

    /// The only message of a response.
    pub(crate) fn pop_one(&mut self) -> Option<Message> {
        self.received.pop_one()
    }

    /// Messages were read.
    pub(crate) const fn give(&mut self, read: Credit) {
        self.credit.add(read);
    }

    /// Whether there is credit to give back that is worth a look: at least `batch`.
    pub(crate) const fn is_credit_due(&self, batch: usize) -> bool {
        self.credit.weight() >= batch
    }

    /// Whether there is credit to give back at all.
    pub(crate) const fn has_credit(&self) -> bool {
        !self.credit.is_none()
    }

    /// Takes the credit, to give it to the transport.
    pub(crate) fn take_credit(&mut self) -> Option<Credit> {
        let credit = std::mem::take(&mut self.credit);
        (!credit.is_none()).then_some(credit)
    }

    /// The consumer waits. Whether its connection is to look, for credit or because it asked.
    #[must_use]
    pub(crate) fn wait(&mut self, cx: &Context<'_>) -> bool {
        keep_waker(&mut self.receiver, cx);
        if self.demand == Demand::Asked {
            self.demand = Demand::Waits;
        }
        self.has_credit() || self.demand == Demand::Waits
    }

    /// The connection asks whether the consumer waits. If not, it is told when it does.
    pub(crate) fn ask_demand(&mut self) -> bool {
        let waits = self.receiver.is_some();
        self.demand = if waits { Demand::Unasked } else { Demand::Asked };
        waits
    }

    /// Whether the consumer waits, after the connection has asked; said once.
    pub(crate) fn take_demand(&mut self) -> bool {
        let waits = self.demand == Demand::Waits;
        if waits {
            self.demand = Demand::Unasked;
        }
        waits
    }

    /// Whoever waits, to be woken.
    pub(crate) const fn take_receiver(&mut self) -> Option<Waker> {
        self.receiver.take()
    }

    /// Takes what nobody will read; it is for the caller to drop, not under the lock.
    pub(crate) fn take_unread(&mut self) -> Backlog {
        std::mem::take(&mut self.received)
    }
}

impl Reader {
    /// A reader that gives back `batch` bytes of credit together.
    pub(crate) fn new(batch: usize) -> Self {
        Self { run: Run::default(), read: Credit::default(), batch }
    }

    /// The next message of the run at hand. Credit that is due is to be given back: see
    /// [`take_due`](Self::take_due).
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Message> {
        let message = self.run.next()?;
        self.read.add(Credit::one(message.payload.len()));
        Some(message)
    }

    /// Reads the next message of the run where it lies, if it is not compressed.
    #[inline]
    pub(crate) fn read_plain<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let credit = &mut self.read;
        self.run.read_plain(|payload| {
            credit.add(Credit::one(payload.len()));
            read(payload)
        })
    }

    /// The credit that is to be given back now, in the middle of a run.
    #[inline]
    pub(crate) fn take_due(&mut self) -> Option<Credit> {
        (self.read.weight() >= self.batch).then(|| self.take_read())
    }

    /// What was read and not given back: to be said before more is asked for.
    pub(crate) const fn take_read(&mut self) -> Credit {
        std::mem::replace(&mut self.read, Credit { messages: 0, payload: 0 })
    }

    /// Another run, once the last is at its end.
    pub(crate) fn begin(&mut self, run: Run) {
        debug_assert!(self.run.is_empty());
        self.run = run;
    }

    /// The next message out of `cell`.
    pub(crate) fn poll_next<C: Receive>(
        &mut self,
        cell: &C,
        cx: &Context<'_>,
    ) -> Poll<Result<Message, C::End>> {
        loop {
            if let Some(message) = self.next() {
                if let Some(due) = self.take_due() {
                    cell.give(due);
                }
                return Poll::Ready(Ok(message));
            }
            match cell.poll_messages(cx, self.take_read()) {
                Poll::Ready(Ok(Messages::One(message))) => return Poll::Ready(Ok(message)),
                Poll::Ready(Ok(Messages::Run(run))) => self.begin(run),
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Nobody reads any more: what was read and what is left.
    pub(crate) fn close(&mut self) -> Credit {
        let mut credit = self.take_read();
        let run = std::mem::take(&mut self.run);
        credit.add(Credit::of(&Messages::Run(run)));
        credit
    }
}

/// Keeps the waker of whoever waits.
pub(crate) fn keep_waker(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Consumed bytes that are given back together: few enough that a quarter of the smallest window
/// is never held back, many enough that small messages do not each cost a look.
pub(crate) const CREDIT_BATCH: usize = 16 << 10;

/// What travels before the payload of each message.
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ferrpc_core::transport::RunBuilder;

    use super::*;

    /// A cell without a connection; what it would ring for is noted.
    #[derive(Default)]
    struct Alone {
        inbox: RefCell<Inbox>,
        given: RefCell<Vec<Credit>>,
    }

    impl Receive for Alone {
        type End = ();

        fn poll_messages(&self, cx: &Context<'_>, read: Credit) -> Poll<Result<Messages, ()>> {
            let mut inbox = self.inbox.borrow_mut();
            inbox.give(read);
            if let Some(messages) = inbox.pop() {
                return Poll::Ready(Ok(messages));
            }
            let _ = inbox.wait(cx);
            Poll::Pending
        }

        fn give(&self, read: Credit) {
            self.given.borrow_mut().push(read);
        }
    }

    fn run(sizes: &[usize]) -> Run {
        let mut builder = RunBuilder::new();
        for size in sizes {
            let pushed = builder.push(false, usize::MAX, |buffer| {
                buffer.resize(buffer.len() + size, 7);
                Ok::<_, ()>(())
            });
            pushed.expect("no limit");
        }
        builder.finish()
    }

    fn read(reader: &mut Reader, cell: &Alone) -> Option<usize> {
        match reader.poll_next(cell, &Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(message)) => Some(message.payload.len()),
            Poll::Ready(Err(())) => panic!("it has no end"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn messages_come_in_order_and_all_credit_goes_back_before_a_wait() {
        let cell = Alone::default();
        let mut reader = Reader::new(5000);
        for messages in [
            run(&[601, 602]).into(),
            Message::plain(vec![0; 603]).into(),
            run(&[604, 605, 606]).into(),
        ] {
            let messages: Messages = messages;
            assert!(cell.inbox.borrow_mut().push(messages).is_none());
        }
        for size in 601..=606 {
            assert_eq!(read(&mut reader, &cell), Some(size));
        }
        // What was taken whole, and what was read of runs that were left behind.
        assert!(!cell.inbox.borrow().is_credit_due(1822));
        assert!(cell.inbox.borrow().is_credit_due(1821));
        assert_eq!(read(&mut reader, &cell), None);
        let credit = cell.inbox.borrow_mut().take_credit();
        assert_eq!(credit, Some(Credit { messages: 6, payload: 3621 }));
        assert_eq!(cell.inbox.borrow_mut().take_credit(), None);
        assert!(cell.inbox.borrow_mut().push(run(&[1, 1])).is_some(), "the reader waits");
        assert!(cell.given.borrow().is_empty());
    }

    #[test]
    fn a_connection_that_asks_is_told_once_that_the_consumer_waits() {
        let cx = Context::from_waker(Waker::noop());
        let mut inbox = Inbox::default();
        assert!(!inbox.ask_demand(), "nobody waits yet");
        assert!(!inbox.take_demand());
        assert!(inbox.wait(&cx), "the connection is to look");
        assert!(inbox.take_demand() && !inbox.take_demand());
        assert!(!inbox.wait(&cx), "nobody asked again");
        assert!(inbox.ask_demand(), "it is known at once");
        assert!(!inbox.take_demand());
        inbox.push_quietly(Message::default());
        assert!(inbox.pop().is_some() && inbox.wait(&cx), "there is credit");
    }

    #[test]
    fn credit_goes_back_in_the_middle_of_a_run() {
        let cell = Alone::default();
        let mut reader = Reader::new(200);
        cell.inbox.borrow_mut().push_quietly(run(&[95; 5]));
        for _ in 0..4 {
            assert_eq!(read(&mut reader, &cell), Some(95));
        }
        assert_eq!(*cell.given.borrow(), [Credit { messages: 2, payload: 190 }; 2]);
        assert_eq!(reader.close(), Credit::one(95), "the one that nobody read");
        assert_eq!(reader.close(), Credit::default());
    }
}
