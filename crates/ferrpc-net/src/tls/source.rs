//! TLS that is asked for before each handshake.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

/// Says before each handshake what it goes by: certificates that were renewed, roots that changed.
/// Connections that are open stay as they are.
///
/// A closure that returns a future will do. It is asked on the task of the handshake, so that it
/// may wait, but must not block the thread; the handshake's time limit includes it.
pub trait TlsSource<T>: Send + Sync + 'static {
    /// The newest, or `None` if it has not changed. After an error (which is logged) or a panic
    /// the last stays in use.
    fn provide(&self) -> Provided<T>;
}

/// What a [`TlsSource`] returns.
pub type Provided<T> = Pin<Box<dyn Future<Output = Result<Option<T>, SourceError>> + Send>>;

/// Why a source has nothing.
pub(crate) type SourceError = Box<dyn std::error::Error + Send + Sync>;

impl<T, F, Fut> TlsSource<T> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<T>, SourceError>> + Send + 'static,
{
    fn provide(&self) -> Provided<T> {
        Box::pin(self())
    }
}

/// The TLS of some credentials: always the same, or the last that its source gave.
pub(crate) struct Current<T> {
    last: Mutex<T>,
    source: Option<Arc<dyn TlsSource<T>>>,
}

impl<T: Clone + 'static> Current<T> {
    pub(crate) fn new(initial: T, source: Option<Arc<dyn TlsSource<T>>>) -> Self {
        Self { last: Mutex::new(initial), source }
    }

    /// What a handshake that begins now goes by. Cancel-safe.
    pub(crate) async fn get(&self) -> T {
        if let Some(source) = &self.source {
            match ask(&**source).await {
                Ok(None) => {}
                Ok(Some(new)) => *self.last.lock().unwrap_or_else(PoisonError::into_inner) = new,
                Err(error) => {
                    tracing::warn!(error, "no new TLS configuration: the last stays in use");
                }
            }
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A panic of the source is an error as others.
async fn ask<T: 'static>(source: &dyn TlsSource<T>) -> Result<Option<T>, String> {
    let mut asking: Option<Provided<T>> = None;
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            asking.get_or_insert_with(|| source.provide()).as_mut().poll(cx)
        }));
        match polled {
            Ok(polled) => polled.map_err(|error| error.to_string()),
            Err(_) => Poll::Ready(Err("its source panicked".to_owned())),
        }
    })
    .await
}

impl<T> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.source.is_some() { "Current(source)" } else { "Current" })
    }
}
