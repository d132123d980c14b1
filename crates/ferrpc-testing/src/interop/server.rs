//! The services of the interop server.

use std::time::Duration;
use std::vec;

use ferrpc::server::ResponseStream;
use ferrpc::{Code, Encoding, Metadata, Request, Response, Status, Streaming};
use futures_util::stream::try_unfold;

use super::testing::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse, TestService,
};
use super::{ECHO_INITIAL, ECHO_TRAILING, tutorial};

/// `grpc.testing.TestService`.
#[derive(Debug)]
pub struct Test;

/// `example.TestService`.
#[derive(Debug)]
pub struct Example;

impl TestService for Test {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty::default()))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let message = request.message();
        end_if_asked(&message.response_status)?;
        let mut response = Response::new(SimpleResponse {
            payload: payload(message.response_size)?.into(),
            ..Default::default()
        });
        if message.response_compressed.value {
            response.set_compression(Encoding::Gzip);
        }
        echo(request.metadata(), &mut response)?;
        Ok(response)
    }

    async fn cacheable_unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        self.unary_call(request).await
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        let request = request.into_inner();
        let compressed = request.response_parameters.iter().any(|wanted| wanted.compressed.value);
        let mut response = Response::new(Replying::to(request).into_stream());
        if compressed {
            response.set_compression(Encoding::Gzip);
        }
        Ok(response)
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut sum = 0;
        while let Some(request) = requests.message().await? {
            sum += request.payload.body.len();
        }
        let aggregated_payload_size = i32::try_from(sum)
            .map_err(|_| Status::new(Code::OutOfRange, "the sum is too large"))?;
        Ok(Response::new(StreamingInputCallResponse {
            aggregated_payload_size,
            ..Default::default()
        }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        let metadata = request.metadata().clone();
        let mut response = Response::new(Replying::to_all(request.into_inner()).into_stream());
        // Which responses are to be compressed is not known before the headers must go out: a
        // caller may wait for them before it sends anything.
        response.set_compression(Encoding::Gzip);
        echo(&metadata, &mut response)?;
        Ok(response)
    }

    async fn half_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        Err(not_offered())
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(not_offered())
    }
}

impl tutorial::TestService for Example {
    async fn method(
        &self,
        request: Request<tutorial::Request>,
    ) -> Result<Response<tutorial::Result>, Status> {
        let request1 = &request.message().request1;
        let caller = request1.strip_suffix("-request1").filter(|name| CALLERS.contains(name));
        let (result1, result2) = match caller {
            Some(caller) => {
                let both = format!("res1-{caller}-client->rust-server");
                (both.clone(), both)
            }
            None => ("f1".to_owned(), "fn1".to_owned()),
        };
        Ok(Response::new(tutorial::Result { result1, result2, ..Default::default() }))
    }
}

/// A stream of responses being made.
struct Replying {
    /// Requests to come.
    requests: Option<Streaming<StreamingOutputCallRequest>>,
    /// What the current one still asks for.
    wanted: vec::IntoIter<ResponseParameters>,
    status: EchoStatus,
}

impl Replying {
    fn to(request: StreamingOutputCallRequest) -> Self {
        Self {
            requests: None,
            wanted: request.response_parameters.into_iter(),
            status: request.response_status.into_option().unwrap_or_default(),
        }
    }

    fn to_all(requests: Streaming<StreamingOutputCallRequest>) -> Self {
        Self { requests: Some(requests), ..Self::to(StreamingOutputCallRequest::default()) }
    }

    fn into_stream(self) -> ResponseStream<StreamingOutputCallResponse> {
        Box::pin(try_unfold(self, |mut replying| async move {
            Ok(replying.next().await?.map(|response| (response, replying)))
        }))
    }

    async fn next(&mut self) -> Result<Option<StreamingOutputCallResponse>, Status> {
        loop {
            if let Some(wanted) = self.wanted.next() {
                if let Ok(interval @ 1..) = u64::try_from(wanted.interval_us) {
                    tokio::time::sleep(Duration::from_micros(interval)).await;
                }
                let payload = payload(wanted.size)?.into();
                return Ok(Some(StreamingOutputCallResponse { payload, ..Default::default() }));
            }
            end_if_asked(&self.status)?;
            let Some(requests) = &mut self.requests else { return Ok(None) };
            let Some(request) = requests.message().await? else { return Ok(None) };
            self.wanted = request.response_parameters.into_iter();
            self.status = request.response_status.into_option().unwrap_or_default();
        }
    }
}

fn payload(size: i32) -> Result<Payload, Status> {
    match usize::try_from(size) {
        Ok(size) => Ok(Payload::of_size(size)),
        Err(_) => Err(Status::new(Code::InvalidArgument, "negative size")),
    }
}

fn end_if_asked(status: &EchoStatus) -> Result<(), Status> {
    let code = u32::try_from(status.code).ok().and_then(Code::from_number);
    match code.unwrap_or(Code::Unknown) {
        Code::Ok => Ok(()),
        code => Err(Status::new(code, status.message.clone())),
    }
}

fn echo<T>(metadata: &Metadata, response: &mut Response<T>) -> Result<(), Status> {
    let invalid = |error| Status::new(Code::Internal, format!("cannot be echoed: {error}"));
    if let Some(value) = metadata.value(ECHO_INITIAL) {
        response.metadata_mut().insert(ECHO_INITIAL, value).map_err(invalid)?;
    }
    if let Some(value) = metadata.value_bin(ECHO_TRAILING) {
        response.trailing_mut().insert_bin(ECHO_TRAILING, &value).map_err(invalid)?;
    }
    Ok(())
}

fn not_offered() -> Status {
    Status::new(Code::Unimplemented, "not offered")
}

/// The languages that callers are written in.
const CALLERS: [&str; 5] = ["java", "py", "rust", "go", "node"];
