//! The client that ferrpc's is measured against: a channel of tonic's for each connection.

use std::process::ExitCode;
use std::sync::Arc;

use ferrpc_bench_load::{Client, Failure, Options};
use futures_util::stream;
use tonic::Request;
use tonic::metadata::MetadataKey;
use tonic::transport::{Channel, Endpoint};
use tonic_peer::bench::{BIG_WINDOWS, MESSAGE_LIMIT};
use tonic_peer::testing::test_service_client::TestServiceClient;
use tonic_peer::testing::{Payload, ResponseParameters, SimpleRequest, StreamingOutputCallRequest};
use tonic_peer::tutorial;
use tonic_peer::tutorial::test_service_client::TestServiceClient as ExampleClient;

fn main() -> ExitCode {
    ferrpc_bench_load::main("bench_client", connect)
}

#[cfg(feature = "tls")]
fn with_tls(endpoint: Endpoint, roots: &std::path::Path) -> Result<Endpoint, Failure> {
    use tonic::transport::{Certificate, ClientTlsConfig};
    let roots = Certificate::from_pem(std::fs::read(roots)?);
    Ok(endpoint.tls_config(ClientTlsConfig::new().ca_certificate(roots))?)
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: Endpoint, _: &std::path::Path) -> Result<Endpoint, Failure> {
    Err("built without the feature tls".into())
}

async fn connect(options: Arc<Options>) -> Result<Stubs, Failure> {
    let scheme = if options.tls_ca.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", options.connect))?;
    if let Some(roots) = &options.tls_ca {
        endpoint = with_tls(endpoint, roots)?;
    }
    if options.big_windows {
        endpoint = endpoint
            .initial_stream_window_size(BIG_WINDOWS.0)
            .initial_connection_window_size(BIG_WINDOWS.1);
    }
    let channel = endpoint.connect().await?;
    Ok(Stubs {
        test: TestServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_LIMIT),
        example: ExampleClient::new(channel),
        metadata: options.metadata,
    })
}

#[derive(Clone)]
struct Stubs {
    test: TestServiceClient<Channel>,
    example: ExampleClient<Channel>,
    metadata: usize,
}

impl Stubs {
    fn request<T>(&self, message: T) -> Result<Request<T>, Failure> {
        let mut request = Request::new(message);
        for number in 0..self.metadata {
            let name = MetadataKey::from_bytes(format!("x-bench-{number}").as_bytes())?;
            let value = format!("value of {number}").parse()?;
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }
}

impl Client for Stubs {
    async fn small(&self) -> Result<(String, String), Failure> {
        let request = tutorial::Request {
            request1: "rust-request1".to_owned(),
            request2: "rust-request2".to_owned(),
        };
        // Calls take the stub by &mut; a clone of it is how tonic is used by several tasks.
        let response = self.example.clone().method(self.request(request)?).await?;
        let result = response.into_inner();
        Ok((result.result1, result.result2))
    }

    async fn echo(&self, payload: usize) -> Result<usize, Failure> {
        let request = SimpleRequest {
            payload: Some(Payload::of_size(payload)),
            response_size: payload as i32,
            ..SimpleRequest::default()
        };
        let response = self.test.clone().unary_call(self.request(request)?).await?;
        Ok(size(response.get_ref().payload.as_ref()))
    }

    async fn server_stream(
        &self,
        messages: usize,
        payload: usize,
        mut check: impl FnMut(usize) + Send,
    ) -> Result<(), Failure> {
        let request = self.request(asking(messages, payload, 0))?;
        let mut replies = self.test.clone().streaming_output_call(request).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            check(size(reply.payload.as_ref()));
        }
        Ok(())
    }

    async fn bidi(
        &self,
        messages: usize,
        payload: usize,
        mut check: impl FnMut(usize) + Send,
    ) -> Result<(), Failure> {
        let requests = stream::iter((0..messages).map(move |_| asking(1, payload, payload)));
        let request = self.request(requests)?;
        let mut replies = self.test.clone().full_duplex_call(request).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            check(size(reply.payload.as_ref()));
        }
        Ok(())
    }
}

fn size(payload: Option<&Payload>) -> usize {
    payload.map_or(0, |payload| payload.body.len())
}

/// For so many replies, with a payload of its own.
fn asking(replies: usize, size: usize, payload: usize) -> StreamingOutputCallRequest {
    let wanted = ResponseParameters { size: size as i32, ..ResponseParameters::default() };
    StreamingOutputCallRequest {
        response_parameters: vec![wanted; replies],
        payload: Some(Payload::of_size(payload)),
        ..StreamingOutputCallRequest::default()
    }
}
