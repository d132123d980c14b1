//! Accepting connections, come what may.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ferrpc_net::listen::{Door, Listener};

use super::serve::serve;
use super::shared::Shared;

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
                serve(&shared, io, place, entrance);
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
