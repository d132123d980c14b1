//! A client's call above its attempts.
//!
//! ```text
//!            start_attempt                handle_headers, or more sent than is kept
//!  Waiting ----------------> Attempting ------------------------------> Committed
//!     ^   request: wait, end     |                                          |
//!     |            begin         | handle_end                               | handle_end
//!     | AttemptEnd::next         |                                          |
//!     +--------------------------+--------------> Over <--------------------+
//! ```
//!
//! The call outlives the streams that try to carry it: while it waits for a name, a connection or
//! a place among the peer's streams it has none, and yet a deadline. Messages are kept until the
//! call is committed. Until then an attempt that the server surely did not process is repeated
//! without the application knowing, once if the server refused it; and one that failed is repeated
//! where a policy of the service config says so ([`Retry`]). Nothing else that the server may have
//! seen is sent again (gRFC A6).

use std::collections::VecDeque;
use std::time::Duration;

use ferrpc_http2::Time;

use super::retry::Retry;
use crate::channel::{AttemptEnd, ConnectionId, EndedBy, Pick};
use crate::transport::{Messages, TransparentRetry};

/// What a call is told when it begins.
#[derive(Debug, Default)]
pub struct CallConfig {
    /// When it must have ended.
    pub deadline: Option<Time>,
    /// Whether it waits while the server cannot be reached, rather than failing.
    pub wait_for_ready: bool,
    /// Bytes of messages kept for another attempt; a call that sent more is committed.
    pub max_kept: usize,
    /// How failures are judged. `None`: none of them has another attempt, and none counts.
    pub retry: Option<Box<Retry>>,
}

/// One call of a client: its deadline, its messages, and whether it may be tried again.
///
/// **Input**: messages ([`push`](Self::push), [`half_close`](Self::half_close)), and what became of
/// attempts and of the wait for them (`handle_*`).
/// **Output**: [`next_messages`](Self::next_messages) and [`wants_half_close`](Self::wants_half_close)
/// for the attempt that runs, [`AttemptEnd::next`] for what follows one, and
/// [`request`](Self::request) while there is none.
///
/// The default is a call without messages that was never attempted, to take the place of another.
#[derive(Debug, Default)]
pub struct ClientCall {
    config: CallConfig,
    /// While uncommitted: all messages, of which this attempt sent the first `sent`. Once
    /// committed: those not sent.
    messages: VecDeque<Messages>,
    sent: usize,
    /// Bytes of the first `sent` messages.
    kept: usize,
    /// Bytes of the others.
    unsent: usize,
    half_closed: bool,
    half_close_sent: bool,
    committed: bool,
    /// Whether the one transparent retry of a refused call was used.
    refused: bool,
    /// Attempts that never left this side.
    never_sent: u32,
    /// When the next attempt may start.
    not_before: Time,
}

/// A call without an attempt asks for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickRequest {
    deadline: Option<Time>,
    wait_for_ready: bool,
    not_before: Time,
}

impl PickRequest {
    /// Whether nothing but a connection is missing: the deadline lies ahead, and no pause runs.
    pub fn is_due(&self, now: Time) -> bool {
        self.not_before <= now && self.deadline.is_none_or(|deadline| now < deadline)
    }

    /// What the call does now. `pick` asks the channel, and is told whether the call waits for a
    /// connection.
    pub fn step<F, C>(&self, now: Time, pick: impl FnOnce(bool) -> Pick<F, C>) -> Step<F, C> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            // Without asking: nobody connects for a call that is over.
            return Step::Late;
        }
        let picked = pick(self.wait_for_ready);
        let due = self.not_before <= now;
        match picked {
            Pick::Shutdown => Step::Closed,
            _ if !due => Step::Wait(self.deadline.into_iter().chain([self.not_before]).min()),
            Pick::Ready(connection) => Step::Begin(connection),
            Pick::Fail(failure) => Step::Fail(failure),
            Pick::Wait => Step::Wait(self.deadline),
        }
    }
}

/// What a call without an attempt does.
#[derive(Debug)]
pub enum Step<F, C = ConnectionId> {
    /// It starts an attempt on this connection.
    Begin(C),
    /// It waits for a change of the channel's state, until this time at the latest.
    Wait(Option<Time>),
    /// It ends: there is no connection, for this reason, and it does not wait for one.
    Fail(F),
    /// It ends: the channel was closed.
    Closed,
    /// It ends: its deadline has passed.
    Late,
}

impl ClientCall {
    /// A call that was not attempted yet.
    pub fn new(config: CallConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// What it was told when it began, for another call in its place: failures stay counted.
    pub fn into_config(self) -> CallConfig {
        self.config
    }

    // -- what the application sends ----------------------------------------------------------------

    /// Takes a message, or several, to be sent. Whoever pushes waits while [`unsent`](Self::unsent)
    /// is above a watermark of its choice.
    pub fn push(&mut self, messages: impl Into<Messages>) {
        debug_assert!(!self.half_closed, "no messages follow a half-close");
        let messages = messages.into();
        self.unsent += messages.payload_bytes();
        self.messages.push_back(messages);
    }

    /// No more messages follow.
    pub const fn half_close(&mut self) {
        self.half_closed = true;
    }

    /// Bytes of messages that wait for the transport.
    pub const fn unsent(&self) -> usize {
        self.unsent
    }

    /// Whether messages, or the half-close, wait for the transport.
    pub fn has_output(&self) -> bool {
        self.sent < self.messages.len() || (self.half_closed && !self.half_close_sent)
    }

    // -- for the attempt that runs -------------------------------------------------------------------

    /// An attempt starts: messages come anew from the first.
    pub fn start_attempt(&mut self) {
        debug_assert!(!self.committed, "a committed call is not attempted again");
        self.unsent += self.kept;
        self.kept = 0;
        self.sent = 0;
        self.half_close_sent = false;
    }

    /// The next message, or run of them, to be handed to the transport.
    pub fn next_messages(&mut self) -> Option<Messages> {
        let size = self.messages.get(self.sent)?.payload_bytes();
        self.unsent -= size;
        if !self.committed && self.kept + size > self.config.max_kept {
            self.commit();
        }
        if self.committed {
            return self.messages.pop_front();
        }
        self.kept += size;
        self.sent += 1;
        Some(self.messages[self.sent - 1].clone())
    }

    /// After the last message: whether the half-close is to be sent now. True once per attempt.
    pub fn wants_half_close(&mut self) -> bool {
        let wants = self.half_closed && !self.half_close_sent && self.sent == self.messages.len();
        self.half_close_sent |= wants;
        wants
    }

    /// Response headers came: what was sent is forgotten, this attempt is the last.
    pub fn handle_headers(&mut self) {
        self.commit();
    }

    // -- what follows ----------------------------------------------------------------------------

    /// The attempt ended, or there is no connection for it: decides whether there is another one,
    /// and when. To be told once of each attempt, in order.
    pub fn handle_end(&mut self, now: Time, end: &mut AttemptEnd) {
        let over = self.committed || self.config.deadline.is_some_and(|deadline| deadline <= now);
        end.next = match end.retry {
            _ if over => None,
            TransparentRetry::NeverSent => {
                let wait = never_sent_wait(self.never_sent);
                self.never_sent = self.never_sent.saturating_add(1);
                Some(now + wait)
            }
            TransparentRetry::Refused if !self.refused => {
                self.refused = true;
                Some(now)
            }
            TransparentRetry::Refused | TransparentRetry::No => None,
        };
        if end.next.is_none()
            && let Some(retry) = &mut self.config.retry
            && !matches!(end.by, EndedBy::Client | EndedBy::Deadline | EndedBy::Channel)
        {
            end.next = retry.handle_end(now, &end.status, over);
        }
        self.not_before = end.next.unwrap_or(self.not_before);
    }

    /// The deadline passed while there was no attempt: what is to be said, where the call was
    /// attempted before.
    pub fn late(&self) -> Option<AttemptEnd> {
        let failure = self.config.retry.as_ref()?.last_failure()?;
        Some(AttemptEnd::late_for_attempt(failure))
    }

    /// Attempts before this one that the server may know of (`grpc-previous-rpc-attempts`).
    pub fn previous_attempts(&self) -> u32 {
        self.config.retry.as_ref().map_or(0, |retry| retry.previous_attempts())
    }

    /// What the call asks for while it has no attempt.
    pub const fn request(&self) -> PickRequest {
        let CallConfig { deadline, wait_for_ready, .. } = &self.config;
        PickRequest {
            deadline: *deadline,
            wait_for_ready: *wait_for_ready,
            not_before: self.not_before,
        }
    }

    /// When the call must have ended.
    pub const fn deadline(&self) -> Option<Time> {
        self.config.deadline
    }

    /// Whether the running attempt is the last, whatever becomes of it.
    pub const fn is_committed(&self) -> bool {
        self.committed
    }

    fn commit(&mut self) {
        if self.committed {
            return;
        }
        self.committed = true;
        self.messages.drain(..self.sent);
        self.sent = 0;
        self.kept = 0;
    }
}

/// The first repetition comes at once: a connection that ended just when the call started is
/// ordinary. A call that never gets away waits longer each time, so that a server that accepts
/// and closes does not make it spin.
fn never_sent_wait(times: u32) -> Duration {
    match times.checked_sub(1) {
        None => Duration::ZERO,
        Some(times) => FIRST_WAIT.saturating_mul(1 << times.min(16)).min(LONGEST_WAIT),
    }
}

/// Short against a round trip that a user would notice, long against a spin.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// As long as the first wait between connection attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::transport::Message;

    fn config() -> CallConfig {
        CallConfig { max_kept: 10, ..CallConfig::default() }
    }

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn message(size: usize) -> Message {
        Message::plain(vec![0; size])
    }

    fn call(sizes: &[usize]) -> ClientCall {
        let mut call = ClientCall::new(config());
        sizes.iter().for_each(|size| call.push(message(*size)));
        call
    }

    fn sent(call: &mut ClientCall) -> Vec<usize> {
        std::iter::from_fn(|| call.next_messages()).map(|message| message.payload_bytes()).collect()
    }

    /// When the call is attempted again behind an end that is told apart by `retry` alone.
    fn finished(call: &mut ClientCall, now: Time, retry: TransparentRetry) -> Option<Time> {
        let mut end = AttemptEnd::finished(Status::unavailable("x"), retry, false);
        call.handle_end(now, &mut end);
        end.next
    }

    #[test]
    fn a_refused_call_goes_again_once_with_all_its_messages() {
        let mut call = call(&[1, 2]);
        call.half_close();
        call.start_attempt();
        assert_eq!(sent(&mut call), [1, 2]);
        assert!(call.wants_half_close());
        assert!(!call.wants_half_close());
        assert_eq!(finished(&mut call, at(1), TransparentRetry::Refused), Some(at(1)));

        call.start_attempt();
        assert_eq!(call.unsent(), 3);
        assert_eq!(sent(&mut call), [1, 2]);
        assert!(call.wants_half_close());
        assert_eq!(finished(&mut call, at(2), TransparentRetry::Refused), None);
    }

    #[test]
    fn a_call_that_never_left_goes_again_until_its_deadline_and_does_not_spin() {
        let config = CallConfig { deadline: Some(at(100)), ..config() };
        let mut call = ClientCall::new(config);
        let mut waits = Vec::new();
        let mut now = at(0);
        loop {
            call.start_attempt();
            match finished(&mut call, now, TransparentRetry::NeverSent) {
                None => break,
                Some(next) => {
                    waits.push(next.since(now).as_millis());
                    now = next;
                }
            }
        }
        assert_eq!(waits, [0, 5, 10, 20, 40, 80]);
        assert!(matches!(call.request().step(now, |_| Pick::<()>::Wait), Step::Late));
    }

    #[test]
    fn a_call_without_an_attempt_waits_no_longer_than_it_has_to() {
        let config = CallConfig { deadline: Some(at(100)), wait_for_ready: true, ..config() };
        let mut call = ClientCall::new(config);
        let picked = |pick: Pick<&'static str>| {
            move |wait_for_ready: bool| {
                assert!(wait_for_ready);
                pick
            }
        };
        let step = |call: &ClientCall, now, pick| match call.request().step(now, picked(pick)) {
            Step::Wait(until) => until.map(|until| until.since(at(0)).as_millis()),
            other => panic!("{other:?}"),
        };
        assert_eq!(step(&call, at(0), Pick::Wait), Some(100));
        assert!(matches!(call.request().step(at(99), picked(Pick::Fail("no"))), Step::Fail("no")));
        assert!(matches!(call.request().step(at(99), picked(Pick::Shutdown)), Step::Closed));
        let late =
            call.request().step(at(100), |_| -> Pick<()> { panic!("nobody connects for it") });
        assert!(matches!(late, Step::Late));
        // Between two attempts not even a connection at hand is taken, or refused.
        for _ in 0..2 {
            call.start_attempt();
            finished(&mut call, at(0), TransparentRetry::NeverSent);
        }
        assert_eq!(step(&call, at(4), Pick::Fail("no")), Some(5));
        assert!(matches!(call.request().step(at(4), picked(Pick::Shutdown)), Step::Closed));
        assert!(matches!(call.request().step(at(5), picked(Pick::Fail("no"))), Step::Fail("no")));
    }

    #[test]
    fn the_wait_has_a_bound() {
        assert_eq!(never_sent_wait(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn headers_commit() {
        let mut call = call(&[1]);
        call.start_attempt();
        assert_eq!(sent(&mut call), [1]);
        call.handle_headers();
        call.push(message(2));
        assert_eq!(sent(&mut call), [2]);
        assert_eq!(finished(&mut call, at(0), TransparentRetry::NeverSent), None);
    }

    #[test]
    fn more_than_is_kept_commits_and_frees() {
        let mut call = call(&[6, 6, 1]);
        call.half_close();
        call.start_attempt();
        assert_eq!(call.next_messages().map(|message| message.payload_bytes()), Some(6));
        assert!(!call.is_committed());
        assert_eq!(call.next_messages().map(|message| message.payload_bytes()), Some(6));
        assert!(call.is_committed());
        assert_eq!(call.messages.len(), 1);
        assert!(!call.wants_half_close());
        assert_eq!(sent(&mut call), [1]);
        assert!(call.wants_half_close());
        assert_eq!(call.unsent(), 0);
    }

    #[test]
    fn a_failure_the_server_may_have_seen_ends_the_call() {
        let mut call = call(&[1]);
        call.start_attempt();
        assert_eq!(finished(&mut call, at(0), TransparentRetry::No), None);
    }

    #[test]
    fn messages_pushed_between_attempts_follow_those_of_the_first() {
        let mut call = call(&[1]);
        call.start_attempt();
        assert_eq!(sent(&mut call), [1]);
        finished(&mut call, at(0), TransparentRetry::Refused);
        call.push(message(2));
        assert!(call.has_output());
        call.start_attempt();
        assert_eq!(sent(&mut call), [1, 2]);
        assert!(!call.has_output());
    }
}
