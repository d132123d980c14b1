//! Metadata that says who makes a call.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use ferrpc_core::MetadataError;
use ferrpc_core::{Code, Metadata, Status};

/// Adds metadata to each call: a token, a signature.
///
/// It is asked once per call, when the channel has a connection, on the task that makes the call;
/// so it may wait (for a token server, say), but must not block the thread: what does belongs into
/// [`Blocking`]. The call's deadline includes it. A channel that is not secure refuses to send such
/// metadata, and the call ends with UNAUTHENTICATED.
pub trait CallCredentials: Send + Sync + 'static {
    /// The metadata for a call. The future is dropped when the call is.
    fn metadata(&self, context: &CallContext) -> CallMetadata;
}

/// What a [`CallCredentials`] returns.
pub type CallMetadata = Pin<Box<dyn Future<Output = Result<Metadata, PluginError>> + Send>>;

/// The call that metadata is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallContext {
    /// "https://HOST/package.Service"; the port is there unless it is 443.
    pub service_url: String,
    /// "Method".
    pub method_name: String,
}

/// Why there is no metadata. The call ends with UNAVAILABLE.
#[derive(Clone, Debug)]
pub struct PluginError {
    details: String,
}

impl PluginError {
    /// The plugin failed.
    pub fn new(text: impl fmt::Display) -> Self {
        Self { details: format!("Getting metadata from plugin failed with error: {text}") }
    }

    /// The plugin gave metadata that cannot be sent.
    pub fn illegal_metadata() -> Self {
        Self { details: "Illegal metadata".to_owned() }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.details)
    }
}

impl std::error::Error for PluginError {}

impl From<MetadataError> for PluginError {
    fn from(_: MetadataError) -> Self {
        Self::illegal_metadata()
    }
}

impl<F, Fut> CallCredentials for F
where
    F: Fn(CallContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Metadata, PluginError>> + Send + 'static,
{
    fn metadata(&self, context: &CallContext) -> CallMetadata {
        Box::pin(self(context.clone()))
    }
}

/// A token that the caller has already, sent as `authorization: Bearer TOKEN`.
#[derive(Clone)]
pub struct AccessToken {
    header: String,
}

impl AccessToken {
    /// The token, without "Bearer".
    pub fn new(token: impl fmt::Display) -> Self {
        Self { header: format!("Bearer {token}") }
    }
}

impl CallCredentials for AccessToken {
    fn metadata(&self, _: &CallContext) -> CallMetadata {
        let mut metadata = Metadata::new();
        let added = metadata.append("authorization", &self.header);
        Box::pin(std::future::ready(match added {
            Ok(()) => Ok(metadata),
            Err(error) => Err(error.into()),
        }))
    }
}

/// A plugin that blocks the thread it is called on: it gets one of its own.
pub struct Blocking<F> {
    plugin: Arc<F>,
}

impl<F> Blocking<F>
where
    F: Fn(&CallContext) -> Result<Metadata, PluginError> + Send + Sync + 'static,
{
    /// Calls `plugin` on a thread for blocking work.
    pub fn new(plugin: F) -> Self {
        Self { plugin: Arc::new(plugin) }
    }
}

impl<F> CallCredentials for Blocking<F>
where
    F: Fn(&CallContext) -> Result<Metadata, PluginError> + Send + Sync + 'static,
{
    fn metadata(&self, context: &CallContext) -> CallMetadata {
        let (plugin, context) = (Arc::clone(&self.plugin), context.clone());
        Box::pin(async move {
            // A thread without a runtime may be blocked.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else {
                return plugin(&context);
            };
            let asking = runtime.spawn_blocking(move || plugin(&context));
            asking.await.unwrap_or_else(|error| Err(PluginError::new(error)))
        })
    }
}

/// Several credentials, all of whose metadata is sent, in their order.
#[derive(Clone)]
pub struct Composite {
    parts: Arc<[Arc<dyn CallCredentials>]>,
}

impl Composite {
    /// Two credentials.
    pub fn new(first: impl CallCredentials, second: impl CallCredentials) -> Self {
        Self::of(Arc::new(first), Arc::new(second))
    }

    /// The same of credentials that are shared.
    #[doc(hidden)]
    pub fn of(first: Arc<dyn CallCredentials>, second: Arc<dyn CallCredentials>) -> Self {
        Self { parts: [first, second].into() }
    }

    /// The same and one more.
    pub fn and(self, next: impl CallCredentials) -> Self {
        Self::of(Arc::new(self), Arc::new(next))
    }
}

impl CallCredentials for Composite {
    fn metadata(&self, context: &CallContext) -> CallMetadata {
        let (parts, context) = (Arc::clone(&self.parts), context.clone());
        Box::pin(async move {
            let mut all = Metadata::new();
            for part in &*parts {
                all.extend(&part.metadata(&context).await?);
            }
            Ok(all)
        })
    }
}

/// The credentials of one call, in its request's extensions.
#[derive(Clone)]
pub struct OfRequest(pub Arc<dyn CallCredentials>);

impl CallContext {
    /// Of the call of `path` ("/package.Service/Method") on `authority`.
    #[doc(hidden)]
    pub fn new(authority: &str, path: &str) -> Self {
        let (service, method) = path.rsplit_once('/').unwrap_or(("", path));
        let host = authority.strip_suffix(":443").unwrap_or(authority);
        Self { service_url: format!("https://{host}{service}"), method_name: method.to_owned() }
    }
}

/// Asks for a call's metadata; what the plugin does wrong becomes a status.
pub async fn ask(
    credentials: &dyn CallCredentials,
    context: &CallContext,
) -> Result<Metadata, Status> {
    let panicked = || PluginError::new("the plugin panicked");
    let mut asking: Option<CallMetadata> = None;
    let asked = std::future::poll_fn(|cx| {
        // A panic of the plugin ends the call alone.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let asking = asking.get_or_insert_with(|| credentials.metadata(context));
            asking.as_mut().poll(cx)
        }));
        polled.unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    });
    asked.await.map_err(|error| Status::new(Code::Unavailable, error.details))
}

/// What a call with credentials ends with on a channel that protects nothing.
pub fn insecure() -> Status {
    Status::new(
        Code::Unauthenticated,
        "Established channel does not have a sufficient security level to transfer call \
         credential.",
    )
}

impl fmt::Debug for dyn CallCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallCredentials")
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

impl fmt::Debug for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Composite")
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_name_service_and_method() {
        let check = |authority: &str, path: &str, url: &str, method: &str| {
            let context = CallContext::new(authority, path);
            assert_eq!((&*context.service_url, &*context.method_name), (url, method));
        };
        check("host:50051", "/a.B/c", "https://host:50051/a.B", "c");
        check("host:443", "/a.B/c", "https://host/a.B", "c");
        check("host", "/a.B/c", "https://host/a.B", "c");
    }
}
