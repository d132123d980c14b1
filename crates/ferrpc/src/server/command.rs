//! What other tasks and threads ask of a server's connection.

use std::time::Duration;

use ferrpc_core::transport::CallId;

use super::call::Outcome;

/// What others ask of a server's connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// A handler on a task of its own, or outside the runtime, is done.
    Done { call: CallId, outcome: Outcome },
    /// A handler on a task of its own has its large request, of so many bytes.
    Taken { call: CallId, payload: usize },
    /// There may be room for calls that wait.
    Admit,
    /// Memory is exhausted, and this connection holds most: it gives up so many bytes.
    GiveWay { bytes: usize },
    /// Begin a graceful end.
    Shutdown { grace: Option<Duration> },
}
