//! volo-grpc in the bench: both services, on volo as it comes.

use futures_util::StreamExt;
use volo_grpc::server::{Server, ServiceBuilder};
use volo_grpc::{BoxStream, RecvStream, Request, Response, Status};

use crate::volo_gen::example::{self, TestServiceServer as ExampleServer};
use crate::volo_gen::grpc::testing::{
    Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
    TestService, TestServiceServer,
};

#[allow(clippy::all, dead_code, unused, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/volo_gen.rs"));
}

use generated::volo_gen;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut address = None;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => address = arguments.next(),
            "--current-thread" => runtime = tokio::runtime::Builder::new_current_thread(),
            _ => usage(),
        }
    }
    let Some(address) = address else { usage() };
    runtime.enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        Server::new()
            .add_service(ServiceBuilder::new(ExampleServer::new(Example)).build())
            .add_service(ServiceBuilder::new(TestServiceServer::new(Test)).build())
            .run(volo::net::incoming::DefaultIncoming::from(listener))
            .await
    })
}

fn usage() -> ! {
    eprintln!("usage: server --listen HOST:PORT [--current-thread]");
    std::process::exit(2);
}

struct Example;

impl example::TestService for Example {
    async fn method(
        &self,
        request: Request<example::Request>,
    ) -> Result<Response<example::Result>, Status> {
        let caller = request.get_ref().request1.strip_suffix("-request1");
        let (result1, result2) = match caller.filter(|caller| CALLERS.contains(caller)) {
            Some(caller) => {
                let both = format!("res1-{caller}-client->rust-server");
                (both.clone().into(), both.into())
            }
            None => ("f1".into(), "fn1".into()),
        };
        Ok(Response::new(example::Result { result1, result2 }))
    }
}

struct Test;

type Replies = BoxStream<'static, Result<StreamingOutputCallResponse, Status>>;

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
            ..Default::default()
        }))
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
    ) -> Result<Response<Replies>, Status> {
        let request = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            for wanted in request.response_parameters {
                yield StreamingOutputCallResponse { payload: Some(payload(wanted.size)?) };
            }
        })))
    }

    async fn streaming_input_call(
        &self,
        request: Request<RecvStream<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut sum = 0;
        while let Some(request) = requests.next().await.transpose()? {
            sum += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size =
            i32::try_from(sum).map_err(|_| Status::out_of_range("the sum is too large"))?;
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<RecvStream<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let mut requests = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            while let Some(request) = requests.next().await.transpose()? {
                for wanted in request.response_parameters {
                    yield StreamingOutputCallResponse { payload: Some(payload(wanted.size)?) };
                }
            }
        })))
    }

    async fn half_duplex_call(
        &self,
        _: Request<RecvStream<StreamingOutputCallRequest>>,
    ) -> Result<Response<Replies>, Status> {
        Err(Status::unimplemented("not offered"))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("not offered"))
    }
}

fn payload(size: i32) -> Result<Payload, Status> {
    let size = usize::try_from(size).map_err(|_| Status::invalid_argument("negative size"))?;
    Ok(Payload { body: vec![0; size].into(), ..Default::default() })
}

/// The languages that callers are written in.
const CALLERS: [&str; 5] = ["java", "py", "rust", "go", "node"];
