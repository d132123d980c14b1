//! The server under test: both services on ferrpc as it comes.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use ferrpc::credentials::{Identity, ServerCredentials, ServerTls};
use ferrpc::server::{ResponseStream, Server};
use ferrpc::{Code, Request, Response, Status, Streaming};
use ferrpc_bench::testing::{
    Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
    TestService, TestServiceServer,
};
use ferrpc_bench::{MESSAGE_LIMIT, tutorial};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};

/// Serves example.TestService and grpc.testing.TestService until it is killed.
#[derive(Parser)]
struct Arguments {
    /// HOST:PORT (port 0: any free one) or unix:PATH.
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// tokio's current-thread runtime.
    #[arg(long)]
    current_thread: bool,
    /// What example.TestService does before it answers.
    #[arg(long, value_enum, default_value = "answers")]
    handler: Work,
    /// A certificate chain in PEM: the server speaks TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// Nothing.
    Answers,
    /// Gives way to other tasks once.
    Yields,
    /// Waits for a timer of 1 ms.
    Sleeps,
    /// Computes for 1 ms.
    Computes,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut runtime = if arguments.current_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    runtime.enable_all().build()?.block_on(serve(&arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let credentials = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(chain), Some(key)) => {
            let identity = Identity::from_pem(std::fs::read(chain)?, std::fs::read(key)?)?;
            ServerCredentials::tls(ServerTls::builder(identity).build()?)
        }
        _ => ServerCredentials::insecure(),
    };
    let server = Server::builder()
        .credentials(credentials)
        .max_receive_message(MESSAGE_LIMIT)
        .add_service(TestServiceServer::new(Test))
        .add_service(tutorial::TestServiceServer::new(Example { work: arguments.handler }))
        .bind(&arguments.listen)
        .await?;
    for address in server.addresses() {
        writeln!(io::stdout(), "listening on {address}")?;
    }
    io::stdout().flush()?;
    server.wait().await;
    Ok(())
}

struct Example {
    work: Work,
}

impl tutorial::TestService for Example {
    async fn method(
        &self,
        request: Request<tutorial::Request>,
    ) -> Result<Response<tutorial::Result>, Status> {
        match self.work {
            Work::Answers => {}
            Work::Yields => tokio::task::yield_now().await,
            Work::Sleeps => tokio::time::sleep(Duration::from_millis(1)).await,
            Work::Computes => compute(),
        }
        Ok(Response::new(answer(&request.message().request1)))
    }
}

fn compute() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

fn answer(request1: &str) -> tutorial::Result {
    let caller = request1.strip_suffix("-request1").filter(|caller| CALLERS.contains(caller));
    let (result1, result2) = match caller {
        Some(caller) => {
            let both = format!("res1-{caller}-client->rust-server");
            (both.clone(), both)
        }
        None => ("f1".to_owned(), "fn1".to_owned()),
    };
    tutorial::Result { result1, result2, ..Default::default() }
}

struct Test;

impl TestService for Test {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty::default()))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let payload = payload(request.message().response_size)?.into();
        Ok(Response::new(SimpleResponse { payload, ..Default::default() }))
    }

    async fn cacheable_unary_call(
        &self,
        _: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        Err(not_offered())
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<ResponseStream<StreamingOutputCallResponse>>, Status> {
        Ok(Response::new(Box::pin(replies(request.into_inner()))))
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
        let replies = request.into_inner().flat_map(|request| match request {
            Ok(request) => replies(request).left_stream(),
            Err(status) => stream::iter([Err(status)]).right_stream(),
        });
        Ok(Response::new(Box::pin(replies)))
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

/// What a request asks for, one after the other.
fn replies(
    request: StreamingOutputCallRequest,
) -> impl Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send {
    stream::iter(request.response_parameters).map(|wanted| {
        let payload = payload(wanted.size)?.into();
        Ok(StreamingOutputCallResponse { payload, ..Default::default() })
    })
}

fn payload(size: i32) -> Result<Payload, Status> {
    match usize::try_from(size) {
        Ok(size) => Ok(Payload::of_size(size)),
        Err(_) => Err(Status::new(Code::InvalidArgument, "negative size")),
    }
}

fn not_offered() -> Status {
    Status::new(Code::Unimplemented, "not offered")
}

/// The languages that callers are written in.
const CALLERS: [&str; 5] = ["java", "py", "rust", "go", "node"];
