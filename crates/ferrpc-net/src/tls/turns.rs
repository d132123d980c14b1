//! Where a handshake computes: a signature and a key exchange take from 100 us to some milliseconds,
//! and connections that are open must not wait for those that are made.
//!
//! A step that is known to be short is taken where the handshake is. One is taken at a time, and all
//! that is ready has its turn before the next, so that a connection waits for one step at most. Long
//! steps, and short ones when too many wait, go to threads apart, as many at a time as there are
//! processors. Going there and back costs a tenth of a handshake.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::signing::apart;

/// The steps of the handshakes of one configuration, which has one key or a few.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Some keys are RSA and some are not: how long the last step took says nothing of the next.
    mixed: bool,
    /// How long one takes, in nanoseconds; 0: nobody knows yet.
    cost: AtomicU64,
    /// Held by the step that is taken in place, and until all others had their turn.
    one: Semaphore,
    /// Held by that one and by those that wait for it.
    few: Semaphore,
    /// Held by steps that wait for a signature made elsewhere, each of which holds a thread.
    waiting: Arc<Semaphore>,
}

impl Steps {
    pub(crate) fn new(mixed: bool) -> Arc<Self> {
        let (one, few) = (Semaphore::new(1), Semaphore::new(FEW));
        let waiting = Arc::new(Semaphore::new(WAITING));
        Arc::new(Self { mixed, cost: AtomicU64::new(0), one, few, waiting })
    }

    /// The least counts at once (what took longer may have been interrupted), more counts slowly.
    fn took(&self, time: Duration) {
        let old = self.cost.load(Ordering::Relaxed);
        let new = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let cost = if old == 0 || new < old { new } else { old + (new - old) / 8 };
        self.cost.store(cost, Ordering::Relaxed);
    }

    /// The turn of a short step; `None` if it has to go to another thread.
    async fn in_place(&self) -> Option<[SemaphorePermit<'_>; 2]> {
        if self.mixed || !(1..=SHORT).contains(&self.cost.load(Ordering::Relaxed)) {
            return None;
        }
        let place = self.few.try_acquire().ok()?;
        Some([self.one.acquire().await.ok()?, place])
    }

    fn take<T>(&self, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = step();
        self.took(began.elapsed());
        result
    }
}

/// Takes a step of a handshake, here or on another thread. `None` if the runtime is shutting down.
pub(super) async fn compute<T: Send + 'static>(
    steps: &Arc<Steps>,
    step: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    static APART: OnceLock<Arc<Semaphore>> = OnceLock::new();
    if let Some(turn) = steps.in_place().await {
        let result = steps.take(step);
        tokio::task::yield_now().await;
        drop(turn);
        return Some(result);
    }
    let apart = APART.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Semaphore::new(processors))
    });
    let turn = Arc::clone(apart).acquire_owned().await.ok()?;
    let steps = Arc::clone(steps);
    let step = move || {
        let result = steps.take(step);
        drop(turn);
        result
    };
    tokio::task::spawn_blocking(step).await.ok()
}

/// Takes a step that may wait for a signature made elsewhere.
pub(super) async fn wait_apart<T: Send + 'static>(
    steps: &Arc<Steps>,
    step: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let turn = Arc::clone(&steps.waiting).acquire_owned().await.ok()?;
    let step = move || {
        let result = step();
        drop(turn);
        result
    };
    apart(step).await
}

/// As long as a busy connection computes in one go: keys on elliptic curves stay below it, RSA of
/// 2048 bits does not.
const SHORT: u64 = 300_000;
/// With more of them waiting, they are a flood, and other processors may help.
const FEW: usize = 16;
/// What a key service may have to do at a time; the runtime has some hundreds of such threads.
const WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_cost_of_a_step() {
        let steps = Steps::new(false);
        let cost = |micros| {
            steps.took(Duration::from_micros(micros));
            steps.cost.load(Ordering::Relaxed) / 1000
        };
        assert_eq!(cost(5000), 5000);
        assert_eq!(cost(100), 100, "the least counts");
        assert_eq!(cost(900), 200, "an interruption counts for little");
        for _ in 0..50 {
            cost(900);
        }
        assert!(cost(900) > 800, "another key");
    }

    /// On this runtime's one thread, or on another.
    async fn here(steps: &Arc<Steps>) -> bool {
        compute(steps, || thread::current().id()).await == Some(thread::current().id())
    }

    #[tokio::test]
    async fn short_steps_stay() {
        let steps = Steps::new(false);
        assert!(!here(&steps).await, "nobody knows yet");
        steps.cost.store(SHORT, Ordering::Relaxed);
        assert!(here(&steps).await);
        steps.cost.store(SHORT + 1, Ordering::Relaxed);
        assert!(!here(&steps).await);
    }

    #[tokio::test]
    async fn a_short_step_before_one_by_another_kind_of_key() {
        let steps = Steps::new(true);
        for _ in 0..3 {
            steps.cost.store(1, Ordering::Relaxed);
            assert!(!here(&steps).await);
        }
    }

    #[tokio::test]
    async fn of_many_most_go_elsewhere() {
        let steps = Steps::new(false);
        steps.cost.store(1, Ordering::Relaxed);
        let at_once: Vec<_> = (0..100)
            .map(|_| {
                let steps = Arc::clone(&steps);
                tokio::spawn(async move { here(&steps).await })
            })
            .collect();
        let mut stayed = 0;
        for task in at_once {
            stayed += usize::from(task.await.expect("no panic"));
        }
        assert!((1..=FEW).contains(&stayed), "{stayed}");
    }
}
