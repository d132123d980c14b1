//! The client under test: ferrpc's async channel, one for each connection.

use std::process::ExitCode;
use std::sync::Arc;

use ferrpc::credentials::{ChannelCredentials, ClientTls, Roots};
use ferrpc::{Channel, Request};
use ferrpc_bench::testing::{Payload, SimpleRequest, TestServiceClient, asking};
use ferrpc_bench::{MESSAGE_LIMIT, tutorial};
use ferrpc_bench_load::{Client, Failure, Options};
use futures_util::stream;

fn main() -> ExitCode {
    ferrpc_bench_load::main("bench_client", connect)
}

async fn connect(options: Arc<Options>) -> Result<Stubs, Failure> {
    let mut channel = Channel::builder(&options.connect).max_receive_message(MESSAGE_LIMIT);
    if options.big_windows {
        channel = channel.window(ferrpc::client::Window::Fixed(16 << 20));
    }
    if let Some(roots) = &options.tls_ca {
        let roots = Roots::from_pem(std::fs::read(roots)?)?;
        let tls = ClientTls::builder().roots(roots).build()?;
        channel = channel.credentials(ChannelCredentials::tls(tls));
    }
    let channel = channel.connect().await?;
    Ok(Stubs {
        test: TestServiceClient::new(channel.clone()),
        example: tutorial::TestServiceClient::new(channel),
        metadata: options.metadata,
    })
}

#[derive(Clone)]
struct Stubs {
    test: TestServiceClient,
    example: tutorial::TestServiceClient,
    metadata: usize,
}

impl Stubs {
    fn request<T>(&self, message: T) -> Result<Request<T>, Failure> {
        let mut request = Request::new(message);
        for number in 0..self.metadata {
            let (name, value) = (format!("x-bench-{number}"), format!("value of {number}"));
            request.metadata_mut().insert(&name, &value)?;
        }
        Ok(request)
    }
}

impl Client for Stubs {
    async fn small(&self) -> Result<(String, String), Failure> {
        let request = tutorial::Request {
            request1: "rust-request1".to_owned(),
            request2: "rust-request2".to_owned(),
            ..Default::default()
        };
        let result = self.example.method(self.request(request)?).await?.into_inner();
        Ok((result.result1, result.result2))
    }

    async fn echo(&self, payload: usize) -> Result<usize, Failure> {
        let request = SimpleRequest {
            payload: Payload::of_size(payload).into(),
            response_size: payload as i32,
            ..Default::default()
        };
        let response = self.test.unary_call(self.request(request)?).await?;
        Ok(response.message().payload.body.len())
    }

    async fn server_stream(
        &self,
        messages: usize,
        payload: usize,
        mut check: impl FnMut(usize) + Send,
    ) -> Result<(), Failure> {
        let request = self.request(asking(messages, payload, 0))?;
        let mut replies = self.test.streaming_output_call(request).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            check(reply.payload.body.len());
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
        let mut replies = self.test.full_duplex_call(self.request(requests)?).await?;
        while let Some(reply) = replies.message().await? {
            check(reply.payload.body.len());
        }
        Ok(())
    }
}
