//! What a connection has to pass before it carries calls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use super::handshakes::{Handshake, Handshakes};
use crate::credentials::ServerCredentials;
use crate::streams::{Io, Refusal, Secured};

/// Turns an accepted byte stream into the one that calls go over: where TLS comes in.
///
/// It is asked for each connection, on a task of the connection's own, so that it may fetch its
/// configuration (the newest certificate, say) first. A connection whose handshake is not done
/// in time, or fails, is dropped.
pub trait Acceptor: Send + Sync + 'static {
    /// Performs the handshake over `io`.
    fn accept(&self, io: Box<dyn Io>) -> Accepting;
}

/// A handshake under way.
pub type Accepting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// What a connection has to pass before it carries calls.
#[derive(Clone)]
pub enum Door {
    /// Nothing.
    Open,
    /// A handshake of the user's.
    Acceptor(Arc<dyn Acceptor>),
    /// The handshake of some credentials.
    Credentials(ServerCredentials),
}

/// How one connection comes in.
pub enum Entrance {
    /// At once.
    Free,
    /// By a handshake, for which there is a place.
    Guarded(Door, Handshake),
}

impl Door {
    /// Waits for a place if a handshake needs one.
    pub async fn entrance(&self, handshakes: &Arc<Handshakes>) -> Entrance {
        match self {
            Self::Open => Entrance::Free,
            Self::Credentials(credentials) if credentials.is_insecure() => Entrance::Free,
            _ => Entrance::Guarded(self.clone(), handshakes.begin().await),
        }
    }

    /// Performs the handshake.
    pub async fn pass(&self, io: Box<dyn Io>, handshake: &Handshake) -> Result<Secured, Refusal> {
        match self {
            Self::Open => Ok(Secured::plain(io)),
            Self::Acceptor(acceptor) => {
                let accepted = acceptor.accept(io).await;
                let accepted = accepted.map(Secured::plain);
                accepted.map_err(|error| Refusal::new(error.to_string(), "the acceptor said so"))
            }
            Self::Credentials(credentials) => {
                credentials.accept(io, |stage| handshake.note(stage)).await
            }
        }
    }
}
