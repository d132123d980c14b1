//! A hook for metrics.

use std::time::Duration;

use ferrpc_core::Counters;

use crate::Code;
use crate::transport::ConnectionInfo;

/// Sees calls and connections come and go; for metrics. Costs nothing where none is set.
///
/// Methods are called by the tasks that own the connections: they must not block. A panic in one
/// is logged and does no other harm.
pub trait Observer: Send + Sync + 'static {
    /// A call of a known method came. `method` is "/service/method".
    fn call_started(&self, method: &str) {
        let _ = method;
    }

    /// A call that was reported as started is over.
    fn call_ended(&self, call: &CallEnded<'_>) {
        let _ = call;
    }

    /// A connection was made.
    fn connection_opened(&self, connection: &ConnectionInfo) {
        let _ = connection;
    }

    /// What was counted on a connection that is about to be reported as closed: its calls, its
    /// messages, and how near its peer came to each of the limits. Not told of a connection that
    /// the end of the runtime has cut.
    fn connection_counted(&self, connection: &ConnectionInfo, counters: &Counters) {
        let _ = (connection, counters);
    }

    /// A connection is over; `cause` says why, in words.
    fn connection_closed(&self, connection: &ConnectionInfo, cause: &str) {
        let _ = (connection, cause);
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallEnded<'a> {
    /// "/service/method".
    pub method: &'a str,
    /// With which code: CANCELLED also where the caller or the connection went away.
    pub code: Code,
    /// From the arrival of the request's headers until the status was handed to the connection.
    pub duration: Duration,
}
