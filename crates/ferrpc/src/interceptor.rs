//! Code that runs around every call of a client. (Servers have
//! [`server::Interceptor`](crate::server::Interceptor).)
//!
//! An interceptor sees a call when it begins: it may read the method's path, read and change the
//! initial metadata, read the extensions, and refuse the call. What it returns is told how the
//! call ended. It sees no messages and does not wait: what must wait (fetching a token, asking a
//! database) belongs before the call.
//!
//! ```
//! use ferrpc::interceptor::{ClientCall, ClientInterceptor, OnEnd};
//! use ferrpc::{Channel, Status};
//!
//! struct Token(String);
//!
//! impl ClientInterceptor for Token {
//!     fn begin(&self, call: &mut ClientCall<'_>) -> Result<OnEnd, Status> {
//!         call.metadata.insert("authorization", &self.0)?;
//!         let path = call.path.to_owned();
//!         Ok(OnEnd::new(move |status| println!("{path} ended with {}", status.code())))
//!     }
//! }
//!
//! let channel = Channel::builder("localhost:50051")
//!     .interceptor(Token("Bearer x".into()))
//!     .connect_lazy();
//! ```

use std::fmt;
use std::time::Instant;

use crate::{Code, Extensions, Metadata, Status};

/// Runs around the calls of a channel, once per call (not per attempt).
pub trait ClientInterceptor: Send + Sync + 'static {
    /// A call begins. An error ends it with that status before anything is sent; the interceptors
    /// that saw it before are told.
    fn begin(&self, call: &mut ClientCall<'_>) -> Result<OnEnd, Status>;
}

/// A call that a client is about to make.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClientCall<'a> {
    /// "/service/method".
    pub path: &'a str,
    /// The initial metadata that will be sent.
    pub metadata: &'a mut Metadata,
    /// The request's extensions.
    pub extensions: &'a mut Extensions,
    /// When the call must have ended.
    pub deadline: Option<Instant>,
}

/// What an interceptor does when a call is over; or nothing.
///
/// Runs exactly once: with the call's status, or with CANCELLED if the call was dropped before.
#[derive(Default)]
pub struct OnEnd(Option<Hook>);

type Hook = Box<dyn FnOnce(&Status) + Send>;

impl OnEnd {
    /// Nothing; allocates nothing.
    pub const fn nothing() -> Self {
        Self(None)
    }

    /// Runs `hook` with the call's status, in the task that makes the call: it must not block.
    pub fn new(hook: impl FnOnce(&Status) + Send + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }
}

impl fmt::Debug for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OnEnd(hook)" } else { "OnEnd(nothing)" })
    }
}

/// The hooks of one call, in the order in which the interceptors began; they end in the reverse.
#[derive(Default)]
pub struct EndHooks(Vec<Hook>);

impl EndHooks {
    /// No hooks; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, which runs before those that are there.
    pub(crate) fn push(&mut self, hook: impl FnOnce(&Status) + Send + 'static) {
        self.0.push(Box::new(hook));
    }

    /// Runs `begin` of each interceptor until one refuses the call; the hooks of those before it
    /// have then run.
    pub(crate) fn begin<I>(
        &mut self,
        interceptors: impl IntoIterator<Item = I>,
        mut begin: impl FnMut(I) -> Result<OnEnd, Status>,
    ) -> Result<(), Status> {
        for interceptor in interceptors {
            match begin(interceptor) {
                Ok(OnEnd(hook)) => self.0.extend(hook),
                Err(status) => {
                    self.end(&status);
                    return Err(status);
                }
            }
        }
        Ok(())
    }

    /// Tells all how the call ended. Later calls do nothing.
    pub fn end(&mut self, status: &Status) {
        while let Some(hook) = self.0.pop() {
            hook(status);
        }
    }
}

impl Drop for EndHooks {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.end(&Status::new(Code::Cancelled, "the call was dropped before its end"));
        }
    }
}

impl fmt::Debug for EndHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndHooks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Log = Arc<Mutex<Vec<(u32, Code)>>>;

    fn hooks(log: &Log, refuse_at: Option<u32>) -> Result<EndHooks, Status> {
        let mut hooks = EndHooks::new();
        hooks.begin(0..3_u32, |number| {
            if refuse_at == Some(number) {
                return Err(Status::new(Code::PermissionDenied, "no"));
            }
            let log = Arc::clone(log);
            Ok(OnEnd::new(move |status| {
                log.lock().expect("not poisoned").push((number, status.code()));
            }))
        })?;
        Ok(hooks)
    }

    fn taken(log: &Log) -> Vec<(u32, Code)> {
        std::mem::take(&mut *log.lock().expect("not poisoned"))
    }

    #[test]
    fn hooks_run_once_and_in_reverse() {
        let log = Log::default();
        let mut all = hooks(&log, None).expect("not refused");
        all.end(&Status::ok());
        drop(all);
        assert_eq!(taken(&log), [(2, Code::Ok), (1, Code::Ok), (0, Code::Ok)]);
    }

    #[test]
    fn a_refusal_tells_those_before() {
        let log = Log::default();
        assert!(hooks(&log, Some(1)).is_err());
        assert_eq!(taken(&log), [(0, Code::PermissionDenied)]);
    }

    #[test]
    fn a_dropped_call_counts_as_cancelled() {
        let log = Log::default();
        drop(hooks(&log, None));
        assert_eq!(taken(&log).len(), 3);
    }
}
