//! A hook for metrics.

use std::time::Duration;

use super::ConnectError;
use crate::Code;
use crate::resolver::Target;

/// Sees the calls and the connections of a channel come and go; for metrics. Costs nothing where
/// none is set.
///
/// Methods are called by the tasks and threads that make the calls and the connections: they must
/// not block. A panic in one is logged and does no other harm.
pub trait Observer: Send + Sync + 'static {
    /// A call begins. `method` is "/service/method".
    fn call_started(&self, method: &str) {
        let _ = method;
    }

    /// A call that was reported as started is over.
    fn call_ended(&self, call: &CallEnded<'_>) {
        let _ = call;
    }

    /// There is a connection: the server's first HTTP/2 frame came.
    fn connected(&self, target: &Target) {
        let _ = target;
    }

    /// An attempt to connect failed.
    fn connect_failed(&self, target: &Target, error: &ConnectError) {
        let _ = (target, error);
    }

    /// A connection that was reported is over; `cause` says why, in words.
    fn disconnected(&self, target: &Target, cause: &str) {
        let _ = (target, cause);
    }
}

/// The end of a client's call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallEnded<'a> {
    /// "/service/method".
    pub method: &'a str,
    /// With which code: CANCELLED also where the call was dropped before its end.
    pub code: Code,
    /// From the call's start, all attempts and waits included, until its end was known here.
    pub duration: Duration,
}
