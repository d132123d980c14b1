//! `grpc.testing.TestService`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::ECHO_INITIAL;
use crate::testing::test_service_server::TestService;
use crate::testing::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

type Outcome = Result<StreamingOutputCallResponse, Status>;
type Outcomes = ReceiverStream<Outcome>;

/// How many responses of a stream may wait for the transport.
const AHEAD: usize = 16;

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
        end_if_asked(request.get_ref().response_status.as_ref())?;
        let mut response = Response::new(SimpleResponse {
            payload: Some(payload(request.get_ref().response_size)?),
            ..SimpleResponse::default()
        });
        if !request.get_ref().response_compressed.is_some_and(|wanted| wanted.value) {
            response.disable_compression();
        }
        echo_initial(&request, &mut response);
        Ok(response)
    }

    async fn cacheable_unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        self.unary_call(request).await
    }

    type StreamingOutputCallStream = Outcomes;

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Outcomes>, Status> {
        let request = request.into_inner();
        Ok(Response::new(produce(async move |responses| {
            send_all(&responses, &request.response_parameters).await?;
            end_if_asked(request.response_status.as_ref())
        })))
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
        let mut response =
            Response::new(StreamingInputCallResponse { aggregated_payload_size: sum });
        response.disable_compression();
        Ok(response)
    }

    type FullDuplexCallStream = Outcomes;

    async fn full_duplex_call(
        &self,
        mut request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Outcomes>, Status> {
        let metadata = std::mem::take(request.metadata_mut());
        let mut requests = request.into_inner();
        let mut response = Response::new(produce(async move |responses| {
            while let Some(request) = requests.message().await? {
                send_all(&responses, &request.response_parameters).await?;
                end_if_asked(request.response_status.as_ref())?;
            }
            Ok(())
        }));
        echo_initial(&Request::from_parts(metadata, Default::default(), ()), &mut response);
        Ok(response)
    }

    type HalfDuplexCallStream = Outcomes;

    async fn half_duplex_call(
        &self,
        _: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Outcomes>, Status> {
        Err(Status::unimplemented("not offered"))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("not offered"))
    }
}

/// A stream of what `work` sends, ended by the status it returns.
fn produce<W, F>(work: W) -> Outcomes
where
    W: FnOnce(mpsc::Sender<Outcome>) -> F,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    let end = sender.clone();
    let work = work(sender);
    tokio::spawn(async move {
        // A receiver that is gone means a call that is over: a pause must not outlive it.
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = end.closed() => return,
        };
        if let Err(status) = outcome {
            let _ = end.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_all(
    responses: &mpsc::Sender<Outcome>,
    parameters: &[ResponseParameters],
) -> Result<(), Status> {
    for wanted in parameters {
        if let Ok(interval @ 1..) = u64::try_from(wanted.interval_us) {
            tokio::time::sleep(Duration::from_micros(interval)).await;
        }
        let response = StreamingOutputCallResponse { payload: Some(payload(wanted.size)?) };
        let sent = responses.send(Ok(response)).await;
        sent.map_err(|_| Status::cancelled("the call is over"))?;
    }
    Ok(())
}

fn payload(size: i32) -> Result<Payload, Status> {
    match usize::try_from(size) {
        Ok(size) => Ok(Payload::of_size(size)),
        Err(_) => Err(Status::invalid_argument("negative size")),
    }
}

fn end_if_asked(status: Option<&EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => {
            Err(Status::new(Code::from_i32(status.code), &status.message))
        }
        _ => Ok(()),
    }
}

/// The trailing metadata is layer.rs's part.
fn echo_initial<T, U>(request: &Request<T>, response: &mut Response<U>) {
    if let Some(value) = request.metadata().get(ECHO_INITIAL) {
        response.metadata_mut().insert(ECHO_INITIAL, value.clone());
    }
}
