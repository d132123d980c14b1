//! From a request to a call that can be started.

use std::sync::{Arc, OnceLock};

use ferrpc_core::call::{CallConfig, ClientCall as Attempts};
use ferrpc_core::channel::AttemptEnd;
use ferrpc_core::http2::Window;
use ferrpc_core::transport::{CallLimits, Cardinality, StartCall};
use ferrpc_core::{Encoding, Metadata, Time};
use ferrpc_net::clock;
use ferrpc_net::credentials::{
    self, CallContext, CallCredentials, Composite, OfRequest, SecurityLevel,
};

use super::builder::Config;
use super::observer::CallEnded;
use super::service::Service;
use crate::interceptor::{ClientCall, ClientInterceptor, EndHooks};
use crate::method::MethodPath;
use crate::request::{CallEnd, RequestParts};
use crate::transport::inbox::CREDIT_BATCH;
use crate::{Extensions, Method, Status};

/// What all calls of a channel have in common.
pub struct CallMaker {
    scheme: &'static str,
    authority: Arc<str>,
    user_agent: Arc<str>,
    interceptors: Arc<[Arc<dyn ClientInterceptor>]>,
    service: Service,
    config: Config,
    credit_batch: usize,
}

/// A call about to start, and the message (or messages) it begins with.
pub struct NewCall<M> {
    /// What each of its attempts starts with.
    pub head: Head,
    /// What it wants.
    pub config: CallConfig,
    /// Told of its end.
    pub hooks: EndHooks,
    /// Its request, or requests.
    pub message: M,
}

/// What every attempt of a call starts with.
pub struct Head {
    pub(crate) path: MethodPath,
    scheme: &'static str,
    authority: Arc<str>,
    user_agent: Arc<str>,
    metadata: Metadata,
    /// Credentials of the channel, of the request, or of both; asked once there is a connection.
    pub credentials: Option<Arc<dyn CallCredentials>>,
    /// The metadata and what the credentials added to it.
    authorized: OnceLock<Box<Metadata>>,
    /// How request messages are compressed.
    pub encoding: Encoding,
    pub(crate) cardinality: Cardinality,
    /// Whether OK counts without a response where there has to be one.
    pub response_optional: bool,
    /// Of its messages.
    pub limits: CallLimits,
    /// Bytes of consumed messages that are given back together.
    pub credit_batch: usize,
}

impl Head {
    /// What the transport needs for an attempt.
    #[inline]
    pub fn start(&self, call: &Attempts) -> StartCall<'_> {
        StartCall {
            path: &self.path,
            authority: &self.authority,
            scheme: self.scheme,
            user_agent: &self.user_agent,
            metadata: self.authorized.get().map_or(&self.metadata, |metadata| metadata),
            deadline: call.deadline(),
            encoding: self.encoding,
            cardinality: self.cardinality,
            response_optional: self.response_optional,
            limits: self.limits,
            previous_attempts: call.previous_attempts(),
        }
    }

    /// "/service/method".
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What credentials are told of the call.
    pub(crate) fn context(&self) -> CallContext {
        CallContext::new(&self.authority, &self.path)
    }

    /// Adds what the credentials said to the metadata of all attempts. Only once.
    pub(crate) fn authorize(&self, added: &Metadata) {
        let mut metadata = self.metadata.clone();
        metadata.extend(added);
        let _ = self.authorized.set(Box::new(metadata));
    }
}

impl CallMaker {
    pub(super) fn new(
        scheme: &'static str,
        authority: Arc<str>,
        user_agent: Arc<str>,
        interceptors: Arc<[Arc<dyn ClientInterceptor>]>,
        service: Service,
        config: Config,
    ) -> Self {
        let credit_batch = match config.transport.http2.window {
            Window::Auto { .. } => CREDIT_BATCH,
            Window::Fixed(window) => CREDIT_BATCH.min(window as usize / 4),
        };
        Self { scheme, authority, user_agent, interceptors, service, config, credit_batch }
    }

    /// Asks the interceptors, and fills in what the request leaves to the channel.
    pub fn make<Q, S, M>(
        &self,
        method: &Method<Q, S>,
        request: impl Into<RequestParts<M>>,
    ) -> Result<NewCall<M>, Status> {
        let RequestParts { message, mut metadata, mut extensions, options } = request.into();
        let path = method.shared_path();
        let service = self.service.of(&path);
        let ends = options.end.map(deadline).into_iter();
        let deadline = ends.chain(service.timeout().map(|timeout| clock::now() + timeout)).min();
        let mut hooks = EndHooks::new();
        self.observe(&path, &mut hooks);
        if !self.interceptors.is_empty() {
            let mut call = ClientCall {
                path: method.path(),
                metadata: &mut metadata,
                extensions: &mut extensions,
                deadline: deadline.map(|deadline| clock::to_instant(deadline).into_std()),
            };
            hooks.begin(self.interceptors.iter(), |interceptor| interceptor.begin(&mut call))?;
        }
        let head = Head {
            path,
            scheme: self.scheme,
            authority: Arc::clone(&self.authority),
            user_agent: Arc::clone(&self.user_agent),
            metadata,
            credentials: self.credentials(&extensions),
            authorized: OnceLock::new(),
            encoding: options.compression.unwrap_or(self.config.compression),
            cardinality: method.cardinality(),
            response_optional: false,
            limits: service.limit(self.config.limits),
            credit_batch: self.credit_batch,
        };
        let config = CallConfig {
            deadline,
            wait_for_ready: options
                .wait_for_ready
                .or_else(|| service.wait_for_ready())
                .unwrap_or(self.config.wait_for_ready),
            max_kept: self.config.max_kept,
            retry: service.retry,
        };
        Ok(NewCall { head, config, hooks, message })
    }

    /// For a thread that may block: asks the call's credentials, at most until the deadline.
    pub fn authorize_blocking<M>(&self, new: &mut NewCall<M>) -> Result<(), Status> {
        let Some(credentials) = &new.head.credentials else { return Ok(()) };
        let added = self.ask_blocking(&**credentials, &new.head, new.config.deadline);
        added.map(|added| new.head.authorize(&added)).inspect_err(|status| new.hooks.end(status))
    }

    fn ask_blocking(
        &self,
        credentials: &dyn CallCredentials,
        head: &Head,
        deadline: Option<Time>,
    ) -> Result<Metadata, Status> {
        let level = self.config.dialer.security.credentials.security_level();
        if level < SecurityLevel::PrivacyAndIntegrity {
            return Err(credentials::insecure());
        }
        let context = head.context();
        let asking = credentials::ask(credentials, &context);
        ferrpc_net::wait::block_on_until(asking, deadline)
            .unwrap_or_else(|| Err(AttemptEnd::late_for_credentials().status))
    }

    /// The credentials of a call with these extensions.
    fn credentials(&self, extensions: &Extensions) -> Option<Arc<dyn CallCredentials>> {
        let channel = self.config.dialer.security.credentials.call_credentials();
        match (channel, extensions.value::<OfRequest>()) {
            (None, None) => None,
            (Some(channel), None) => Some(Arc::clone(channel)),
            (None, Some(OfRequest(request))) => Some(Arc::clone(request)),
            (Some(channel), Some(OfRequest(request))) => {
                Some(Arc::new(Composite::of(Arc::clone(channel), Arc::clone(request))))
            }
        }
    }

    /// Lets those who observe see the call's beginning and, by way of its hooks, its end.
    fn observe(&self, path: &MethodPath, hooks: &mut EndHooks) {
        let span = tracing::debug_span!(
            "grpc.client.call",
            rpc.method = &**path,
            server.address = &*self.authority,
            rpc.grpc.status_code = tracing::field::Empty,
        );
        if !span.is_disabled() {
            hooks.push(move |status| {
                span.record("rpc.grpc.status_code", status.code().number());
            });
        }
        let observers = &self.config.observers;
        if observers.is_empty() {
            return;
        }
        observers.tell(|observer| observer.call_started(path));
        let (observers, path, began) = (observers.clone(), path.clone(), clock::now());
        hooks.push(move |status| {
            let duration = clock::now().since(began);
            let ended = CallEnded { method: &path, code: status.code(), duration };
            observers.tell(|observer| observer.call_ended(&ended));
        });
    }
}

fn deadline(end: CallEnd) -> Time {
    match end {
        CallEnd::After(timeout) => clock::now() + timeout,
        CallEnd::At(instant) => clock::from_std(instant),
    }
}
