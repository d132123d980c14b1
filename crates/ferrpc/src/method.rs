//! What identifies a method and says how its messages travel.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ferrpc_core::transport::Cardinality;

use crate::Codec;

/// A method of a service: its path, how many messages go each way, and their codecs.
///
/// Generated code has one constant per method. `Q` is the request message, `S` the response.
///
/// ```
/// use ferrpc::{Method, codec};
///
/// const ECHO: Method<bytes::Bytes, bytes::Bytes> =
///     Method::unary("/example.Echo/Echo", codec::raw(), codec::raw());
/// assert_eq!(ECHO.service(), "example.Echo");
/// assert_eq!(ECHO.name(), "Echo");
/// ```
pub struct Method<Q, S> {
    path: MethodPath,
    cardinality: Cardinality,
    request: Codec<Q>,
    response: Codec<S>,
}

/// What a service consists of, as generated code states it.
#[derive(Clone, Copy, Debug)]
pub struct ServiceDescriptor {
    /// The full name, for instance "example.TestService".
    pub name: &'static str,
    /// Its methods, in the order of the .proto file.
    pub methods: &'static [MethodDescriptor],
    /// A serialised `google.protobuf.FileDescriptorSet` with the file that defines the service
    /// and all that it imports; for server reflection. May be empty.
    pub file_descriptor_set: &'static [u8],
}

/// A method of a [`ServiceDescriptor`].
#[derive(Clone, Copy, Debug)]
pub struct MethodDescriptor {
    /// The name within the service, for instance "Method".
    pub name: &'static str,
    /// "/service/method".
    pub path: &'static str,
    /// How many messages go each way.
    pub cardinality: Cardinality,
}

impl<Q, S> Method<Q, S> {
    /// One request, one response. `path` is "/service/method".
    pub const fn unary(path: &'static str, request: Codec<Q>, response: Codec<S>) -> Self {
        Self::with_static(path, Cardinality::Unary, request, response)
    }

    /// Any number of requests, one response.
    pub const fn client_streaming(
        path: &'static str,
        request: Codec<Q>,
        response: Codec<S>,
    ) -> Self {
        Self::with_static(path, Cardinality::ClientStreaming, request, response)
    }

    /// One request, any number of responses.
    pub const fn server_streaming(
        path: &'static str,
        request: Codec<Q>,
        response: Codec<S>,
    ) -> Self {
        Self::with_static(path, Cardinality::ServerStreaming, request, response)
    }

    /// Any number of messages both ways.
    pub const fn bidirectional(path: &'static str, request: Codec<Q>, response: Codec<S>) -> Self {
        Self::with_static(path, Cardinality::Bidirectional, request, response)
    }

    /// A method whose path is known only at run time.
    pub fn dynamic(
        path: impl Into<Arc<str>>,
        cardinality: Cardinality,
        request: Codec<Q>,
        response: Codec<S>,
    ) -> Self {
        Self { path: MethodPath::Shared(path.into()), cardinality, request, response }
    }

    const fn with_static(
        path: &'static str,
        cardinality: Cardinality,
        request: Codec<Q>,
        response: Codec<S>,
    ) -> Self {
        Self { path: MethodPath::Static(path), cardinality, request, response }
    }

    /// "/service/method".
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The service's full name.
    pub fn service(&self) -> &str {
        split_path(&self.path).0
    }

    /// The method's name within the service.
    pub fn name(&self) -> &str {
        split_path(&self.path).1
    }

    /// How many messages go each way.
    pub const fn cardinality(&self) -> Cardinality {
        self.cardinality
    }

    /// How request messages become bytes.
    pub const fn request(&self) -> Codec<Q> {
        self.request
    }

    /// How response messages become bytes.
    pub const fn response(&self) -> Codec<S> {
        self.response
    }

    /// The path in a form that is cheap to keep.
    pub(crate) fn shared_path(&self) -> MethodPath {
        self.path.clone()
    }
}

impl<Q, S> Clone for Method<Q, S> {
    fn clone(&self) -> Self {
        Self { path: self.path.clone(), ..*self }
    }
}

impl<Q, S> fmt::Debug for Method<Q, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method")
            .field("path", &self.path())
            .field("cardinality", &self.cardinality)
            .finish_non_exhaustive()
    }
}

/// "/service/method", cloned without allocating.
#[derive(Clone)]
pub(crate) enum MethodPath {
    /// Of generated code.
    Static(&'static str),
    /// Made at run time.
    Shared(Arc<str>),
}

impl Deref for MethodPath {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(path) => path,
            Self::Shared(path) => path,
        }
    }
}

impl fmt::Debug for MethodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Service and method of "/service/method"; what does not have that form is all service.
pub(crate) fn split_path(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.rsplit_once('/').unwrap_or((path, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_path_splits_into_service_and_method() {
        let check = |path: &str, service: &str, name: &str| {
            let method = Method::dynamic(path, Cardinality::Unary, codec::raw(), codec::raw());
            assert_eq!((method.service(), method.name()), (service, name), "{path}");
        };
        check("/example.TestService/Method", "example.TestService", "Method");
        check("/Service/", "Service", "");
        check("nonsense", "nonsense", "");
    }
}
