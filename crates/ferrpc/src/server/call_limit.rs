//! A limit on calls beyond which they end at once, rather than wait.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use crate::Status;

/// How many calls of one or more queues may be open: waiting, or taken and not yet replied to.
/// Those beyond it end at once, whoever is busy.
#[derive(Debug)]
pub struct CallLimit {
    limit: usize,
    pub(super) refusal: Status,
    open: AtomicUsize,
}

/// A call's place in a [`CallLimit`], given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admission(Arc<CallLimit>);

impl CallLimit {
    /// At most `limit` calls; more end with `refusal`.
    pub fn new(limit: usize, refusal: Status) -> Arc<Self> {
        Arc::new(Self { limit, refusal, open: AtomicUsize::new(0) })
    }

    /// Calls that are open now.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    pub(super) fn admit(self: &Arc<Self>) -> Option<Admission> {
        let more = |open: usize| (open < self.limit).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, more).ok()?;
        Some(Admission(Arc::clone(self)))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}
