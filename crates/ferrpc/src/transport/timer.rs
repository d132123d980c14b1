//! The timer of a connection's task.

use std::future::Future;
use std::pin::Pin;
use std::task;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_net::clock;
use tokio::time::Sleep;

/// One timer, touched only when it must fire earlier than it would, or has fired.
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When `sleep` fires; `None`: it is not set.
    at: Option<Time>,
}

impl Timer {
    pub(super) const fn new() -> Self {
        Self { sleep: None, at: None }
    }

    /// Whether the timer has fired, or would within its granularity; it then counts as not set.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        let due = self.at.is_some_and(|at| at <= now + GRANULARITY);
        if due {
            self.at = None;
        }
        due
    }

    /// Makes the task wake at `wanted` at the latest. It may wake before: then it arms again.
    pub(super) fn arm(&mut self, wanted: Option<Time>, cx: &mut task::Context<'_>, new_task: bool) {
        let Some(wanted) = wanted else { return };
        let moved = self.at.is_none_or(|at| wanted < at);
        if moved {
            self.deadline(wanted);
        }
        if (moved || new_task) && self.poll_fired(cx) {
            cx.waker().wake_by_ref();
        }
    }

    pub(super) fn deadline(&mut self, at: Time) {
        self.at = Some(at);
        let instant = clock::to_instant(at);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(instant))),
        }
    }

    pub(super) fn poll_fired(&mut self, cx: &mut task::Context<'_>) -> bool {
        self.at.is_some()
            && self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

/// What tokio's timer may be early or late by.
const GRANULARITY: Duration = Duration::from_millis(1);
