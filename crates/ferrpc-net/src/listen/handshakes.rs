//! Handshakes before HTTP/2's own: how many at a time, how long, and who hears of those that fail.
//!
//! ```text
//!   accepted --> waiting for the hello --> working --> waiting for the rest --> a connection
//!                  |                         |           |
//!                  | dropped when there are  |           | the same
//!                  | too many and it waited  v           v
//!                  v longest                ends with an error, or when its time is over
//! ```
//!
//! Connections that send nothing, or a hello and nothing more, cost their places to nobody but each
//! other: when all places are taken, the one that has waited longest for its caller goes. Those that
//! are being worked on keep theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::streams::{Refusal, Stage};

/// The handshakes of a server.
#[derive(Debug)]
pub struct Handshakes {
    places: Arc<Semaphore>,
    time: Duration,
    waiting: Mutex<Waiting>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By age.
    all: BTreeMap<u64, Arc<Notify>>,
    /// Those that found nobody to take a place from: each takes that of the next that waits.
    seekers: BTreeSet<u64>,
    next: u64,
}

/// What was said of failures.
#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    /// Failures since then that were not said aloud.
    unsaid: u64,
}

/// One handshake, while it lasts.
#[derive(Debug)]
pub struct Handshake {
    handshakes: Arc<Handshakes>,
    /// Its turn among those that wait for their callers, if it does.
    turn: Mutex<Option<u64>>,
    dropped: Arc<Notify>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Handshakes {
    /// At most `limit` at a time, each no longer than `time`.
    pub fn new(limit: usize, time: Duration) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS))),
            time,
            waiting: Mutex::default(),
            said: Mutex::default(),
        })
    }

    /// A place for one more; if there is none, one that waits for its caller gives its own.
    pub async fn begin(self: &Arc<Self>) -> Handshake {
        let mut place = Arc::clone(&self.places).try_acquire_owned().ok();
        if place.is_none() {
            let seeker = self.waiting().seek();
            place = Arc::clone(&self.places).acquire_owned().await.ok();
            if let Some(seeker) = seeker {
                self.waiting().seekers.remove(&seeker);
            }
        }
        let dropped = Arc::new(Notify::new());
        let turn = Mutex::new(Some(self.wait(&dropped)));
        Handshake { handshakes: Arc::clone(self), turn, dropped, _place: place }
    }

    /// A handshake failed.
    pub fn failed(&self, peer: &str, refusal: &Refusal) {
        self.say("handshake", peer, refusal);
    }

    /// TLS failed after its handshake.
    pub fn broke(&self, peer: &str, refusal: &Refusal) {
        self.say("connection", peer, refusal);
    }

    /// Said aloud once in a while: a flood must not fill a log.
    fn say(&self, what: &str, peer: &str, refusal: &Refusal) {
        let now = Instant::now();
        let unsaid = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let quiet =
                refusal.quiet || said.last.is_some_and(|last| now < last + BETWEEN_WARNINGS);
            if quiet {
                said.unsaid += u64::from(!refusal.quiet);
                None
            } else {
                said.last = Some(now);
                Some(std::mem::take(&mut said.unsaid))
            }
        };
        match unsaid {
            Some(0) => tracing::warn!(peer, %refusal, "{what} failed"),
            Some(others) => tracing::warn!(peer, %refusal, others, "{what}s failed"),
            None => tracing::debug!(peer, %refusal, "{what} failed"),
        }
    }

    /// Puts a handshake behind all that wait for their callers.
    fn wait(&self, dropped: &Arc<Notify>) -> u64 {
        let mut waiting = self.waiting();
        let turn = waiting.number();
        waiting.all.insert(turn, Arc::clone(dropped));
        if waiting.seekers.pop_first().is_some() {
            waiting.drop_oldest();
        }
        turn
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.all.pop_first();
        oldest.map(|(_, dropped)| dropped.notify_one()).is_some()
    }

    /// Takes a place from the oldest; the number of the seeker if all are being worked on.
    fn seek(&mut self) -> Option<u64> {
        if self.drop_oldest() {
            return None;
        }
        let seeker = self.number();
        self.seekers.insert(seeker);
        Some(seeker)
    }
}

impl Handshake {
    /// Notes how far it is.
    pub(crate) fn note(&self, stage: Stage) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turn.take() {
            self.handshakes.waiting().all.remove(&turn);
        }
        if stage == Stage::Answered {
            *turn = Some(self.handshakes.wait(&self.dropped));
        }
    }

    /// Runs it, as long as it may take.
    pub async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut work = std::pin::pin!(tokio::time::timeout(self.handshakes.time, work));
        let mut dropped = std::pin::pin!(self.dropped.notified());
        std::future::poll_fn(|cx| {
            use std::task::Poll;
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(result.unwrap_or_else(|_| {
                    Err(Refusal::new("it took too long", "is the caller still there?"))
                }));
            }
            dropped.as_mut().poll(cx).map(|()| {
                Err(Refusal::new(
                    "it waited for the caller when there were too many",
                    "raise max_handshakes if the callers are honest",
                ))
            })
        })
        .await
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let turn = self.turn.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turn.take() {
            self.handshakes.waiting().all.remove(&turn);
        }
    }
}

/// Failures within this time after one that was logged as a warning are logged for debugging only,
/// and counted.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
