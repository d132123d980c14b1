//! What tonic's handlers cannot say themselves: trailing metadata of a call that succeeds, and
//! that a stream is to go out uncompressed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::Service;

use crate::ECHO_TRAILING;

const ECHOING: [&str; 2] =
    ["/grpc.testing.TestService/UnaryCall", "/grpc.testing.TestService/FullDuplexCall"];
const STREAMING: [&str; 2] =
    ["/grpc.testing.TestService/StreamingOutputCall", "/grpc.testing.TestService/FullDuplexCall"];

#[derive(Clone)]
pub struct Around<S> {
    inner: S,
}

impl<S> Around<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<http::Request<Body>> for Around<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let echo = ECHOING.contains(&path);
        if STREAMING.contains(&path) {
            compress_like_the_client(request.headers_mut());
        }
        let trailing = request.headers().get(ECHO_TRAILING).filter(|_| echo).cloned();
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            Ok(match trailing {
                Some(value) => with_trailing(response, value),
                None => response,
            })
        })
    }
}

/// tonic compresses all responses of a stream or none. All of them, if the client compresses too;
/// otherwise the offer to take gzip is hidden from tonic.
fn compress_like_the_client(headers: &mut HeaderMap) {
    if headers.get("grpc-encoding").is_none_or(|encoding| encoding != "gzip") {
        headers.remove("grpc-accept-encoding");
    }
}

fn with_trailing(response: http::Response<Body>, value: HeaderValue) -> http::Response<Body> {
    let (mut head, body) = response.into_parts();
    // With the status already in the headers there are no trailers to come.
    if head.headers.contains_key("grpc-status") {
        head.headers.insert(ECHO_TRAILING, value);
        return http::Response::from_parts(head, body);
    }
    let body = body.map_frame(move |frame| match frame.into_trailers() {
        Ok(mut trailers) => {
            trailers.insert(ECHO_TRAILING, value.clone());
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    });
    http::Response::from_parts(head, Body::new(body))
}
