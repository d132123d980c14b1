//! Accepting connections, come what may.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::handshakes::{Handshake, Handshakes};
use super::listen::Listener;
use super::shared::Shared;
use crate::credentials::ServerCredentials;
use crate::transport::Io;
use crate::transport::refusal::{Refusal, Secured};

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
pub(crate) enum Door {
    /// Nothing.
    Open,
    /// A handshake of the user's.
    Acceptor(Arc<dyn Acceptor>),
    /// The handshake of some credentials.
    Credentials(ServerCredentials),
}

/// How one connection comes in.
pub(crate) enum Entrance {
    /// At once.
    Free,
    /// By a handshake, for which there is a place.
    Guarded(Door, Handshake),
}

impl Door {
    /// Waits for a place if a handshake needs one.
    pub(crate) async fn entrance(&self, handshakes: &Arc<Handshakes>) -> Entrance {
        match self {
            Self::Open => Entrance::Free,
            Self::Credentials(credentials) if credentials.is_insecure() => Entrance::Free,
            _ => Entrance::Guarded(self.clone(), handshakes.begin().await),
        }
    }

    /// Performs the handshake.
    pub(super) async fn pass(
        &self,
        io: Box<dyn Io>,
        handshake: &Handshake,
    ) -> Result<Secured, Refusal> {
        match self {
            Self::Open => Ok(Secured::plain(io)),
            Self::Acceptor(acceptor) => {
                let accepted = acceptor.accept(io).await;
                let accepted = accepted.map(Secured::plain);
                accepted.map_err(|error| Refusal::new(error.to_string(), "the acceptor said so"))
            }
            Self::Credentials(credentials) => {
                credentials.accept(io, || handshake.hello_came()).await
            }
        }
    }
}

/// Accepts connections until the task is aborted. No error ends it (limits.md, row 19).
pub(crate) async fn accept_all(listener: Listener, shared: Arc<Shared>, door: Door) {
    let mut reserve = Reserve::new();
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(io) => {
                pause = FIRST_PAUSE;
                // Not before there is somebody: the place would be lost to the other addresses.
                let Ok(place) = shared.place().await else { continue };
                let entrance = door.entrance(&shared.handshakes).await;
                shared.serve(io, place, entrance);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                if is_out_of_files(&error) {
                    reserve.refuse_one(&listener).await;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// Errors of a connection that failed before it was accepted: the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

fn is_out_of_files(error: &io::Error) -> bool {
    // EMFILE and ENFILE have these numbers on all unix systems; std has no name for them.
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// A file descriptor kept for bad times: with none left, connections cannot even be closed, and
/// their callers would wait in the kernel's queue for ever.
struct Reserve {
    file: Option<File>,
}

impl Reserve {
    fn new() -> Self {
        Self { file: Self::open() }
    }

    fn open() -> Option<File> {
        if cfg!(unix) { File::open("/dev/null").ok() } else { None }
    }

    /// Accepts the connection at the head of the queue with the reserved descriptor, and closes it.
    async fn refuse_one(&mut self, listener: &Listener) {
        self.file = None;
        let mut accept = pin!(listener.accept());
        poll_fn(|cx| {
            // Whether or not there is one: nothing is waited for.
            drop(accept.as_mut().poll(cx));
            Poll::Ready(())
        })
        .await;
        self.file = Self::open();
    }
}

/// The first wait after an error that concerns the whole system.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest one.
const LAST_PAUSE: Duration = Duration::from_secs(1);
