//! `grpc.testing.TestService` for the bench: streams straight out of iterators, without a task and
//! a queue between the handler and the transport, and nothing beside the messages.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use tonic::{Request, Response, Status, Streaming};

use crate::testing::test_service_server::TestService;
use crate::testing::{
    Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};

/// The largest message received, on both ends: a payload of 16 MiB fits.
pub const MESSAGE_LIMIT: usize = 17 << 20;
/// What `--big-windows` sets, for a stream and for the connection.
pub const BIG_WINDOWS: (u32, u32) = (16 << 20, 32 << 20);

type Replies = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

pub struct Test;

#[tonic::async_trait]
impl TestService for Test {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Ok(Response::new(SimpleResponse {
            payload: Some(payload(request.get_ref().response_size)?),
            ..SimpleResponse::default()
        }))
    }

    async fn cacheable_unary_call(
        &self,
        _: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Err(not_offered())
    }

    type StreamingOutputCallStream = Replies;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(replies(request.into_inner()))))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut sum = 0;
        while let Some(request) = requests.message().await? {
            sum += request.payload.map_or(0, |payload| payload.body.len());
        }
        let sum = i32::try_from(sum).map_err(|_| Status::out_of_range("the sum is too large"))?;
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size: sum }))
    }

    type FullDuplexCallStream = Replies;

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let replies = request.into_inner().flat_map(|request| match request {
            Ok(request) => replies(request).left_stream(),
            Err(status) => stream::iter([Err(status)]).right_stream(),
        });
        Ok(Response::new(Box::pin(replies)))
    }

    type HalfDuplexCallStream = Replies;

    async fn half_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        Err(not_offered())
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(not_offered())
    }
}

/// What a request asks for, one after the other.
fn replies(
    request: StreamingOutputCallRequest,
) -> impl Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send {
    stream::iter(request.response_parameters)
        .map(|wanted| Ok(StreamingOutputCallResponse { payload: Some(payload(wanted.size)?) }))
}

fn payload(size: i32) -> Result<Payload, Status> {
    match usize::try_from(size) {
        Ok(size) => Ok(Payload::of_size(size)),
        Err(_) => Err(Status::invalid_argument("negative size")),
    }
}

fn not_offered() -> Status {
    Status::unimplemented("not offered")
}
