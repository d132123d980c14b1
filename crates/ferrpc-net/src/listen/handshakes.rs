//! Handshakes before HTTP/2's own: how many at a time, how long, and who hears of those that fail.
//!
//! ```text
//!   accepted --> waiting for the caller's hello --> working --> a connection
//!                  |           |                       |
//!                  | dropped when there are too many   | ends with an error, or when its
//!                  v and it waited longest             v time is over
//! ```
//!
//! Connections that send nothing cost their places to nobody but each other: when all places are
//! taken, the one that waited longest for its caller's hello goes. Those that have it are being
//! worked on, and keep theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::streams::Refusal;

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
    id: u64,
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
            if let Some((_, oldest)) = self.waiting().all.pop_first() {
                oldest.notify_one();
            }
            place = Arc::clone(&self.places).acquire_owned().await.ok();
        }
        let dropped = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        let id = waiting.next;
        waiting.next += 1;
        waiting.all.insert(id, Arc::clone(&dropped));
        drop(waiting);
        Handshake { handshakes: Arc::clone(self), id, dropped, _place: place }
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

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// The caller's hello has come: this handshake is worked on.
    pub fn hello_came(&self) {
        self.handshakes.waiting().all.remove(&self.id);
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
        self.handshakes.waiting().all.remove(&self.id);
    }
}

/// Failures within this time after one that was logged as a warning are logged for debugging only,
/// and counted.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
