//! What happens around the handlers of a server.

use std::fmt;
use std::sync::Arc;

use tracing::Instrument;

use super::call::{CallFuture, ServerCall};
use super::handler::Handler;
use crate::{Code, Status};

/// Runs around every call of a server: checks callers, adds metadata, measures.
///
/// ```
/// use ferrpc::server::{CallFuture, Interceptor, Next, ServerCall};
/// use ferrpc::{Code, Status};
///
/// struct Token;
///
/// impl Interceptor for Token {
///     fn intercept(&self, call: ServerCall, next: Next) -> CallFuture {
///         if call.metadata().value("authorization") == Some("Bearer secret") {
///             return next.run(call);
///         }
///         Box::pin(async { Err(Status::new(Code::Unauthenticated, "no valid token")) })
///     }
/// }
/// ```
///
/// What takes long, or blocks, makes the handlers behind it long too: see
/// [`Dispatch`](super::Dispatch).
pub trait Interceptor: Send + Sync + 'static {
    /// Handles the call, as a rule by [`Next::run`]; not calling it answers the call here. The
    /// future is dropped when the call is cancelled.
    fn intercept(&self, call: ServerCall, next: Next) -> CallFuture;
}

/// What comes after an interceptor: the next one, in the end the handler.
pub struct Next {
    chain: Arc<Chain>,
    at: usize,
}

/// Interceptors and the handler behind them.
pub(crate) struct Chain {
    pub(crate) interceptors: Arc<[Arc<dyn Interceptor>]>,
    pub(crate) handler: Box<dyn Handler>,
}

impl Chain {
    /// Begins to handle a call, in a span of its own if somebody wants to know.
    pub(crate) fn call(self: &Arc<Self>, call: ServerCall) -> CallFuture {
        let span = tracing::debug_span!(
            "grpc.server.call",
            rpc.method = call.path(),
            network.peer.address = call.connection().peer.as_str(),
            rpc.grpc.status_code = tracing::field::Empty,
        );
        if span.is_disabled() {
            return self.begin(call);
        }
        let handling = span.in_scope(|| self.begin(call));
        let own = span.clone();
        let handling = async move {
            let outcome = handling.await;
            let code = outcome.as_ref().err().map_or(Code::Ok, Status::code);
            own.record("rpc.grpc.status_code", code.number());
            outcome
        };
        Box::pin(handling.instrument(span))
    }

    fn begin(self: &Arc<Self>, call: ServerCall) -> CallFuture {
        if self.interceptors.is_empty() {
            return self.handler.call(call);
        }
        Next { chain: Arc::clone(self), at: 0 }.run(call)
    }
}

impl Next {
    /// Hands the call on.
    pub fn run(self, call: ServerCall) -> CallFuture {
        let Self { chain, at } = self;
        match chain.interceptors.get(at) {
            Some(interceptor) => {
                let interceptor = Arc::clone(interceptor);
                interceptor.intercept(call, Self { chain, at: at + 1 })
            }
            None => chain.handler.call(call),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("at", &self.at).finish_non_exhaustive()
    }
}
