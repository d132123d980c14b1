//! What is known about a call beside its messages and metadata.

use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_net::clock;
use ferrpc_net::streams::{AuthContext, Io};
use tokio::time::Instant;

/// The two ends of a connection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Who is at the other end, in gRPC's notation: `ipv4:127.0.0.1:4711`, `unix:/path`, `inproc`.
    pub peer: String,
    /// This end, in the same notation.
    pub local: String,
    /// What a secure transport found out about the peer.
    pub auth_context: Option<AuthContext>,
}

/// What a server knows about one call.
#[derive(Clone, Debug)]
pub struct CallInfo {
    pub(crate) path: Arc<str>,
    pub(crate) authority: Option<Arc<str>>,
    pub(crate) deadline: Option<Time>,
    pub(crate) connection: Arc<ConnectionInfo>,
}

impl ConnectionInfo {
    pub(crate) fn of(io: &dyn Io) -> Self {
        Self { peer: io.peer(), local: io.local(), auth_context: io.auth_context() }
    }
}

impl CallInfo {
    /// "/service/method", as the caller sent it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `:authority` the caller named.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// When the call must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(clock::to_instant)
    }

    /// Time until the deadline; zero once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(clock::now()))
    }

    /// The connection it came by.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }
}
