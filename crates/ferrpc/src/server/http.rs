//! Answers to plain HTTP requests.

use std::sync::Arc;

use bytes::Bytes;
use ferrpc_core::http2::Fields;

/// What answers plain HTTP requests (those without a content type).
pub(crate) type Fallback = Arc<dyn Fn(&HttpRequest<'_>) -> HttpResponse + Send + Sync>;

/// A plain HTTP request: somebody with a browser, or a load balancer that asks for a sign of life.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    fields: &'a Fields,
}

/// The answer to it.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Bytes,
}

impl<'a> HttpRequest<'a> {
    pub(crate) const fn new(fields: &'a Fields) -> Self {
        Self { fields }
    }

    /// The method, for instance "GET".
    pub fn method(&self) -> &'a str {
        self.text(b":method")
    }

    /// The path, with what follows a question mark.
    pub fn path(&self) -> &'a str {
        self.text(b":path")
    }

    /// All header fields, pseudo-header fields first.
    pub const fn fields(&self) -> &'a Fields {
        self.fields
    }

    fn text(&self, name: &[u8]) -> &'a str {
        self.fields.value(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or("")
    }
}

impl HttpResponse {
    /// An answer with a body of any type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut fields = Fields::new();
        fields.push(b"content-type", content_type.as_bytes());
        Self { status, fields, body: body.into() }
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// The same with one more header field; the name in lower case.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push(name.as_bytes(), value.as_bytes());
        self
    }
}

/// The answer where the server was not given another.
pub(crate) fn not_found() -> Fallback {
    Arc::new(|_| HttpResponse::text(404, "This is a gRPC server; there is nothing else here.\n"))
}
