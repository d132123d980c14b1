//! When calls must have ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ferrpc_http2::Time;

use super::CallId;
use super::calls::Calls;

/// Deadlines, earliest first. Entries of calls that ended stay until they surface or are swept
/// out, so that ending a call costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, u32, u32)>>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: Time, call: CallId, calls: &mut Calls) {
        if self.heap.len() >= SWEEP_ABOVE + 2 * calls.open() {
            self.heap.retain(|Reverse((_, slot, stream))| {
                calls.call(CallId { slot: *slot, stream: *stream }).is_some()
            });
        }
        self.heap.push(Reverse((at, call.slot, call.stream)));
    }

    /// The earliest; perhaps of a call that has ended.
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes an entry that is due.
    pub(super) fn pop(&mut self, now: Time) -> Option<CallId> {
        let at = self.next()?;
        if at > now {
            return None;
        }
        let Reverse((_, slot, stream)) = self.heap.pop()?;
        Some(CallId { slot, stream })
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}

/// Entries above twice the open calls before the ended ones are swept out.
const SWEEP_ABOVE: usize = 256;
