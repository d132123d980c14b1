//! The client under test: ferrpc's blocking channel, one for each connection.

use std::process::ExitCode;

use ferrpc::{Request, Status};
use ferrpc_bench::testing::test_service_methods::{
    FULL_DUPLEX_CALL, STREAMING_OUTPUT_CALL, UNARY_CALL,
};
use ferrpc_bench::testing::{Payload, SimpleRequest, asking};
use ferrpc_bench::tutorial::test_service_methods::METHOD;
use ferrpc_bench::{MESSAGE_LIMIT, tutorial};
use ferrpc_bench_load::{Client, Failure, Options};
use ferrpc_blocking::Channel;

fn main() -> ExitCode {
    ferrpc_bench_load::blocking_main("blocking_client", connect)
}

fn connect(options: &Options) -> Result<Stubs, Failure> {
    let mut channel = Channel::builder(&options.connect).max_receive_message(MESSAGE_LIMIT);
    if options.big_windows {
        channel = channel.window(ferrpc::client::Window::Fixed(16 << 20));
    }
    Ok(Stubs { channel: Channel::new(channel)?, metadata: options.metadata })
}

#[derive(Clone)]
struct Stubs {
    channel: Channel,
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

/// Nothing here awaits: each call blocks its thread.
impl Client for Stubs {
    async fn small(&self) -> Result<(String, String), Failure> {
        let request = tutorial::Request {
            request1: "rust-request1".to_owned(),
            request2: "rust-request2".to_owned(),
            ..Default::default()
        };
        let result = self.channel.unary(&METHOD, self.request(request)?)?.into_inner();
        Ok((result.result1, result.result2))
    }

    async fn echo(&self, payload: usize) -> Result<usize, Failure> {
        let request = SimpleRequest {
            payload: Payload::of_size(payload).into(),
            response_size: payload as i32,
            ..Default::default()
        };
        let response = self.channel.unary(&UNARY_CALL, self.request(request)?)?;
        Ok(response.message().payload.body.len())
    }

    async fn server_stream(
        &self,
        messages: usize,
        payload: usize,
        mut check: impl FnMut(usize) + Send,
    ) -> Result<(), Failure> {
        let request = self.request(asking(messages, payload, 0))?;
        for reply in self.channel.server_streaming(&STREAMING_OUTPUT_CALL, request)? {
            check(reply?.payload.body.len());
        }
        Ok(())
    }

    async fn bidi(
        &self,
        messages: usize,
        payload: usize,
        mut check: impl FnMut(usize) + Send,
    ) -> Result<(), Failure> {
        let (mut requests, replies) =
            self.channel.bidirectional(&FULL_DUPLEX_CALL, self.request(())?)?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                (0..messages).try_for_each(|_| requests.send(&asking(1, payload, payload)))?;
                requests.finish();
                Ok::<(), Status>(())
            });
            for reply in replies {
                check(reply?.payload.body.len());
            }
            sending.join().map_err(|_| "the sending thread panicked")??;
            Ok(())
        })
    }
}
