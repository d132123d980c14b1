//! The interop cases, seen from the client.

use std::time::Duration;

use ferrpc::{Channel, Code, Encoding, Request, Status, Streaming};
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;

use super::failure::{Failure, Outcome, check, check_equal, check_status};
use super::testing::{
    BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest,
    StreamingInputCallRequest, StreamingOutputCallRequest, StreamingOutputCallResponse,
    TestServiceClient, UnimplementedServiceClient,
};
use super::{ECHO_INITIAL, ECHO_TRAILING};

/// The names of all cases, in the order in which they run.
pub const CASES: [&str; 17] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "big_unary",
    "many_messages",
    "gzip",
];

/// A server under test.
#[derive(Clone, Debug)]
pub struct Peer {
    test: TestServiceClient,
    absent: UnimplementedServiceClient,
}

impl Peer {
    /// The server that the channel reaches.
    pub fn new(channel: Channel) -> Self {
        Self {
            test: TestServiceClient::new(channel.clone()),
            absent: UnimplementedServiceClient::new(channel),
        }
    }

    /// Runs one of [`CASES`], for 30 seconds at most.
    pub async fn run(&self, case: &str) -> Result<(), Failure> {
        match tokio::time::timeout(LIMIT, self.case(case)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(format!("not done after {LIMIT:?}"))),
        }
    }

    async fn case(&self, case: &str) -> Outcome {
        match case {
            "empty_unary" => self.empty_unary().await,
            "large_unary" => self.unary(271_828, 314_159).await,
            "client_streaming" => self.input_sum(&[27182, 8, 1828, 45904]).await,
            "server_streaming" => self.output_sizes(&[31415, 9, 2653, 58979]).await,
            "ping_pong" => self.ping_pong().await,
            "empty_stream" => self.empty_stream().await,
            "custom_metadata" => self.custom_metadata().await,
            "status_code_and_message" => self.status_code_and_message().await,
            "special_status_message" => self.special_status_message().await,
            "unimplemented_method" => {
                let result = self.test.unimplemented_call(Empty::default()).await;
                check_status(result, Code::Unimplemented, None)
            }
            "unimplemented_service" => {
                let result = self.absent.unimplemented_call(Empty::default()).await;
                check_status(result, Code::Unimplemented, None)
            }
            "cancel_after_begin" => self.cancel_after_begin().await,
            "cancel_after_first_response" => self.cancel_after_first_response().await,
            "timeout_on_sleeping_server" => self.timeout_on_sleeping_server().await,
            "big_unary" => self.unary(BIG, BIG).await,
            "many_messages" => self.many_messages().await,
            "gzip" => self.gzip().await,
            _ => Err(Failure::new("no such case")),
        }
    }

    async fn empty_unary(&self) -> Outcome {
        let reply = self.test.empty_call(Empty::default()).await?;
        check_equal(reply.into_inner(), Empty::default(), "reply")
    }

    async fn unary(&self, size: usize, response_size: usize) -> Outcome {
        let reply = self.test.unary_call(simple(size, response_size)).await?;
        check_equal(reply.message().payload.body.len(), response_size, "size")
    }

    async fn input_sum(&self, sizes: &[usize]) -> Outcome {
        let requests: Vec<_> = sizes
            .iter()
            .map(|&size| StreamingInputCallRequest {
                payload: Payload::of_size(size).into(),
                ..Default::default()
            })
            .collect();
        let reply = self.test.streaming_input_call(Request::new(stream::iter(requests))).await?;
        let sum = usize::try_from(reply.message().aggregated_payload_size).ok();
        check_equal(sum, Some(sizes.iter().sum()), "sum")
    }

    async fn output_sizes(&self, sizes: &[usize]) -> Outcome {
        let replies = self.test.streaming_output_call(output(0, sizes)).await?;
        check_equal(sizes_of(&mut replies.into_inner()).await?.as_slice(), sizes, "sizes")
    }

    async fn ping_pong(&self) -> Outcome {
        let (requests, stream) = open_requests();
        let mut replies = self.test.full_duplex_call(stream).await?;
        for (size, wanted) in [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)] {
            send(&requests, output(size, &[wanted])).await?;
            check_equal(next_size(&mut replies).await?, wanted, "size")?;
        }
        drop(requests);
        check_equal(sizes_of(&mut replies).await?, vec![], "replies after the last")
    }

    async fn empty_stream(&self) -> Outcome {
        let mut replies = self.test.full_duplex_call(stream::empty()).await?;
        check_equal(sizes_of(&mut replies).await?, vec![], "replies")
    }

    async fn custom_metadata(&self) -> Outcome {
        let reply = self.test.unary_call(with_metadata(simple(271_828, 314_159))?).await?;
        check_equal(reply.message().payload.body.len(), 314_159, "size")?;
        check_equal(reply.metadata().value(ECHO_INITIAL), Some(INITIAL), "initial")?;
        let trailing = Some(TRAILING.to_vec());
        check_equal(reply.trailing().value_bin(ECHO_TRAILING), trailing.clone(), "trailing")?;

        let requests = stream::iter([output(271_828, &[314_159])]);
        let mut replies = self.test.full_duplex_call(with_metadata(requests)?).await?;
        check_equal(replies.metadata().await?.value(ECHO_INITIAL), Some(INITIAL), "initial")?;
        check_equal(sizes_of(&mut replies).await?, vec![314_159], "sizes")?;
        check_equal(replies.trailing().value_bin(ECHO_TRAILING), trailing, "trailing")
    }

    async fn status_code_and_message(&self) -> Outcome {
        let request = SimpleRequest {
            response_status: asked_status(STATUS_MESSAGE).into(),
            ..Default::default()
        };
        let result = self.test.unary_call(request).await;
        check_status(result, Code::Unknown, Some(STATUS_MESSAGE))?;

        let request = StreamingOutputCallRequest {
            response_status: asked_status(STATUS_MESSAGE).into(),
            ..Default::default()
        };
        let mut replies = self.test.full_duplex_call(stream::iter([request])).await?;
        let result = sizes_of(&mut replies).await;
        check_status(result, Code::Unknown, Some(STATUS_MESSAGE))
    }

    async fn special_status_message(&self) -> Outcome {
        let request = SimpleRequest {
            response_status: asked_status(SPECIAL_STATUS_MESSAGE).into(),
            ..Default::default()
        };
        let result = self.test.unary_call(request).await;
        check_status(result, Code::Unknown, Some(SPECIAL_STATUS_MESSAGE))
    }

    async fn cancel_after_begin(&self) -> Outcome {
        // A connection first, and time for the headers to leave: a call that never left the client
        // proves nothing about the server.
        self.empty_unary().await?;
        let (requests, stream) = open();
        let call = self.test.streaming_input_call(Request::new(stream));
        let early = tokio::time::timeout(Duration::from_millis(20), call).await;
        check(early.is_err(), "the call was over before it was cancelled")?;
        // A call is cancelled by dropping it, which leaves nobody to ask for a status. What can be
        // seen is that the request stream is let go and that the connection is still good.
        let closed = tokio::time::timeout(Duration::from_secs(5), requests.closed()).await;
        check(closed.is_ok(), "the request stream is still open")?;
        self.empty_unary().await
    }

    async fn cancel_after_first_response(&self) -> Outcome {
        let (requests, stream) = open_requests();
        let mut replies = self.test.full_duplex_call(stream).await?;
        send(&requests, output(27182, &[31415])).await?;
        check_equal(next_size(&mut replies).await?, 31415, "size")?;
        drop(replies);
        let closed = tokio::time::timeout(Duration::from_secs(5), requests.closed()).await;
        check(closed.is_ok(), "the request stream is still open")?;
        self.empty_unary().await
    }

    async fn timeout_on_sleeping_server(&self) -> Outcome {
        // A connection first, or else the deadline would pass while connecting.
        self.empty_unary().await?;
        let (requests, stream) = open_requests();
        // The stream stays open and the reply is far off, so only the deadline can end the call.
        let mut asked = output(27182, &[31415]);
        asked.response_parameters[0].interval_us = 5_000_000;
        send(&requests, asked).await?;
        let mut request = Request::new(stream);
        request.set_timeout(Duration::from_millis(1));
        let mut replies = self.test.full_duplex_call(request).await?;
        let result = sizes_of(&mut replies).await;
        check_status(result, Code::DeadlineExceeded, None)
    }

    async fn many_messages(&self) -> Outcome {
        let requests = stream::iter((0..MANY).map(|_| output(0, &[8])));
        let mut replies = self.test.full_duplex_call(requests).await?;
        let sizes = sizes_of(&mut replies).await?;
        check(sizes == [8; MANY], "sizes of the full duplex call")?;
        self.input_sum(&[8; MANY]).await?;
        self.output_sizes(&[8; MANY]).await
    }

    async fn gzip(&self) -> Outcome {
        const SIZE: usize = 100_000;
        let mut message = simple(SIZE, SIZE);
        message.response_compressed = yes().into();
        message.expect_compressed = yes().into();
        let mut request = Request::new(message);
        request.set_compression(Encoding::Gzip);
        let reply = self.test.unary_call(request).await?;
        check_equal(reply.message().payload.body.len(), SIZE, "size")?;

        let mut message = output(SIZE, &[SIZE]);
        message.response_parameters[0].compressed = yes().into();
        let mut request = Request::new(stream::iter(vec![message; 3]));
        request.set_compression(Encoding::Gzip);
        let mut replies = self.test.full_duplex_call(request).await?;
        check_equal(sizes_of(&mut replies).await?, vec![SIZE; 3], "sizes")
    }
}

type Requests = mpsc::Sender<StreamingOutputCallRequest>;
type Replies = Streaming<StreamingOutputCallResponse>;

/// A request stream that stays open until its sender is dropped.
fn open<T: Send + 'static>() -> (mpsc::Sender<T>, impl Stream<Item = T> + Send + 'static) {
    let (sender, mut receiver) = mpsc::channel(1);
    (sender, stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

fn open_requests() -> (Requests, impl Stream<Item = StreamingOutputCallRequest> + Send + 'static) {
    open()
}

async fn send(requests: &Requests, request: StreamingOutputCallRequest) -> Outcome {
    let sent = requests.send(request).await;
    sent.map_err(|_| Failure::new("the request stream is closed"))
}

async fn next_size(replies: &mut Replies) -> Result<usize, Failure> {
    match replies.message().await? {
        Some(reply) => Ok(reply.payload.body.len()),
        None => Err(Failure::new("the replies ended early")),
    }
}

async fn sizes_of(replies: &mut Replies) -> Result<Vec<usize>, Status> {
    let mut sizes = Vec::new();
    while let Some(reply) = replies.message().await? {
        sizes.push(reply.payload.body.len());
    }
    Ok(sizes)
}

fn simple(size: usize, response_size: usize) -> SimpleRequest {
    SimpleRequest {
        payload: Payload::of_size(size).into(),
        response_size: wire_size(response_size),
        ..Default::default()
    }
}

fn output(size: usize, response_sizes: &[usize]) -> StreamingOutputCallRequest {
    let parameters = response_sizes
        .iter()
        .map(|&wanted| ResponseParameters { size: wire_size(wanted), ..Default::default() });
    StreamingOutputCallRequest {
        payload: Payload::of_size(size).into(),
        response_parameters: parameters.collect(),
        ..Default::default()
    }
}

fn wire_size(size: usize) -> i32 {
    i32::try_from(size).expect("the cases' sizes are small")
}

fn with_metadata<T>(message: T) -> Result<Request<T>, Failure> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ECHO_INITIAL, INITIAL)?;
    request.metadata_mut().insert_bin(ECHO_TRAILING, TRAILING)?;
    Ok(request)
}

fn asked_status(message: &str) -> EchoStatus {
    EchoStatus { code: 2, message: message.to_owned(), ..Default::default() }
}

fn yes() -> BoolValue {
    BoolValue { value: true, ..Default::default() }
}

/// For each case.
const LIMIT: Duration = Duration::from_secs(30);
/// The whole message, with its tags and lengths, stays under 4 MiB.
const BIG: usize = (4 << 20) - 64;
const MANY: usize = 10_000;
const INITIAL: &str = "test_initial_metadata_value";
const TRAILING: &[u8] = b"\xab\xab\xab";
const STATUS_MESSAGE: &str = "test status message";
const SPECIAL_STATUS_MESSAGE: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";
