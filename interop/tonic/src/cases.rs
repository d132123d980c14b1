//! The interop cases.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::failure::{Failure, Outcome, check, check_equal, check_status};
use crate::testing::test_service_client::TestServiceClient;
use crate::testing::unimplemented_service_client::UnimplementedServiceClient;
use crate::testing::{
    BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest,
    StreamingInputCallRequest, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use crate::{ECHO_INITIAL, ECHO_TRAILING, MESSAGE_LIMIT};

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

const LIMIT: Duration = Duration::from_secs(30);
/// The whole message, with its tags and lengths, stays under 4 MiB.
const BIG: usize = (4 << 20) - 64;
const MANY: usize = 10_000;
const STATUS_MESSAGE: &str = "test status message";
const SPECIAL_STATUS_MESSAGE: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";
const YES: Option<BoolValue> = Some(BoolValue { value: true });

/// A server under test.
pub struct Peer {
    test: TestServiceClient<Channel>,
    absent: UnimplementedServiceClient<Channel>,
}

impl Peer {
    pub fn new(endpoint: &Endpoint) -> Self {
        let channel = endpoint.connect_lazy();
        Self {
            test: TestServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_LIMIT),
            absent: UnimplementedServiceClient::new(channel),
        }
    }

    /// Runs one of `CASES`.
    pub async fn run(&mut self, case: &str) -> Outcome {
        match tokio::time::timeout(LIMIT, self.case(case)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(format!("not done after {LIMIT:?}"))),
        }
    }

    async fn case(&mut self, case: &str) -> Outcome {
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
                let result = self.test.unimplemented_call(Empty {}).await;
                check_status(result, Code::Unimplemented, None)
            }
            "unimplemented_service" => {
                let result = self.absent.unimplemented_call(Empty {}).await;
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

    async fn empty_unary(&mut self) -> Outcome {
        let reply = self.test.empty_call(Empty {}).await?;
        check_equal(reply.into_inner(), Empty {}, "reply")
    }

    async fn unary(&mut self, size: usize, response_size: usize) -> Outcome {
        let reply = self.test.unary_call(simple(size, response_size)).await?;
        check_equal(size_of(&reply.get_ref().payload), response_size, "size")
    }

    async fn input_sum(&mut self, sizes: &[usize]) -> Outcome {
        let requests = sizes.iter().map(|size| StreamingInputCallRequest {
            payload: Some(Payload::of_size(*size)),
            ..Default::default()
        });
        let requests: Vec<_> = requests.collect();
        let reply = self.test.streaming_input_call(tokio_stream::iter(requests)).await?;
        let sum = reply.get_ref().aggregated_payload_size as usize;
        check_equal(sum, sizes.iter().sum(), "sum")
    }

    async fn output_sizes(&mut self, sizes: &[usize]) -> Outcome {
        let replies = self.test.streaming_output_call(output(0, sizes)).await?;
        check_equal(sizes_of(&mut replies.into_inner()).await?.as_slice(), sizes, "sizes")
    }

    async fn ping_pong(&mut self) -> Outcome {
        let (requests, stream) = open_requests();
        let mut replies = self.test.full_duplex_call(stream).await?.into_inner();
        for (size, wanted) in [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)] {
            send(&requests, output(size, &[wanted])).await?;
            check_equal(next_size(&mut replies).await?, wanted, "size")?;
        }
        drop(requests);
        check_equal(sizes_of(&mut replies).await?, vec![], "replies after the last")
    }

    async fn empty_stream(&mut self) -> Outcome {
        let replies = self.test.full_duplex_call(tokio_stream::empty()).await?;
        check_equal(sizes_of(&mut replies.into_inner()).await?, vec![], "replies")
    }

    async fn custom_metadata(&mut self) -> Outcome {
        let initial = MetadataValue::from_static("test_initial_metadata_value");
        let trailing = MetadataValue::from_bytes(b"\xab\xab\xab");

        let mut request = Request::new(simple(271_828, 314_159));
        request.metadata_mut().insert(ECHO_INITIAL, initial.clone());
        request.metadata_mut().insert_bin(ECHO_TRAILING, trailing.clone());
        let reply = self.test.unary_call(request).await?;
        check_equal(size_of(&reply.get_ref().payload), 314_159, "size")?;
        // For a unary call tonic puts both kinds into one map.
        check_equal(reply.metadata().get(ECHO_INITIAL), Some(&initial), "initial")?;
        check_equal(reply.metadata().get_bin(ECHO_TRAILING), Some(&trailing), "trailing")?;

        let mut request = Request::new(tokio_stream::iter([output(271_828, &[314_159])]));
        request.metadata_mut().insert(ECHO_INITIAL, initial.clone());
        request.metadata_mut().insert_bin(ECHO_TRAILING, trailing.clone());
        let reply = self.test.full_duplex_call(request).await?;
        check_equal(reply.metadata().get(ECHO_INITIAL), Some(&initial), "initial")?;
        let mut replies = reply.into_inner();
        check_equal(sizes_of(&mut replies).await?, vec![314_159], "sizes")?;
        let trailers = replies.trailers().await?.unwrap_or_default();
        check_equal(trailers.get_bin(ECHO_TRAILING), Some(&trailing), "trailing")
    }

    async fn status_code_and_message(&mut self) -> Outcome {
        let status = asked_status(STATUS_MESSAGE);
        let request = SimpleRequest { response_status: status.clone(), ..Default::default() };
        let result = self.test.unary_call(request).await;
        check_status(result, Code::Unknown, Some(STATUS_MESSAGE))?;

        let request = StreamingOutputCallRequest { response_status: status, ..Default::default() };
        let result = self.test.full_duplex_call(tokio_stream::iter([request])).await;
        let result = match result {
            Ok(replies) => sizes_of(&mut replies.into_inner()).await,
            // The status may come in the headers.
            Err(status) => Err(status),
        };
        check_status(result, Code::Unknown, Some(STATUS_MESSAGE))
    }

    async fn special_status_message(&mut self) -> Outcome {
        let request = SimpleRequest {
            response_status: asked_status(SPECIAL_STATUS_MESSAGE),
            ..Default::default()
        };
        let result = self.test.unary_call(request).await;
        check_status(result, Code::Unknown, Some(SPECIAL_STATUS_MESSAGE))
    }

    async fn cancel_after_begin(&mut self) -> Outcome {
        // A connection first, and time for the headers to leave: a call that never left the client
        // proves nothing about the server.
        self.empty_unary().await?;
        let (requests, stream) = mpsc::channel(1);
        let mut test = self.test.clone();
        let call =
            tokio::spawn(
                async move { test.streaming_input_call(ReceiverStream::new(stream)).await },
            );
        tokio::time::sleep(Duration::from_millis(20)).await;
        check(!call.is_finished(), "the call was over before it was cancelled")?;
        // tonic cancels a call by dropping it, which leaves nobody to ask for a status. What can be
        // seen is that the request stream is let go and that the connection is still good.
        call.abort();
        let ended = call.await;
        check(ended.is_err_and(|end| end.is_cancelled()), "the call went on")?;
        let closed = tokio::time::timeout(Duration::from_secs(5), requests.closed()).await;
        check(closed.is_ok(), "the request stream is still open")?;
        self.empty_unary().await
    }

    async fn cancel_after_first_response(&mut self) -> Outcome {
        let (requests, stream) = open_requests();
        let mut replies = self.test.full_duplex_call(stream).await?.into_inner();
        send(&requests, output(27182, &[31415])).await?;
        check_equal(next_size(&mut replies).await?, 31415, "size")?;
        // tonic resets a stream when both directions were dropped; with the requests alone still
        // open the call would go on.
        drop(replies);
        drop(requests);
        self.empty_unary().await
    }

    async fn timeout_on_sleeping_server(&mut self) -> Outcome {
        // A connection first, or else the deadline would pass while connecting.
        self.empty_unary().await?;
        let (requests, stream) = open_requests();
        // The stream stays open and the reply is far off, so only the deadline can end the call.
        let mut asked = output(27182, &[31415]);
        asked.response_parameters[0].interval_us = 5_000_000;
        send(&requests, asked).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(1);
        let mut request = Request::new(stream);
        request.set_timeout(Duration::from_millis(1));
        let mut replies = match self.test.full_duplex_call(request).await {
            Ok(reply) => reply.into_inner(),
            // tonic's name for a deadline of its own that passed.
            Err(status)
                if status.code() == Code::Cancelled && status.message() == "Timeout expired" =>
            {
                return Ok(());
            }
            Err(status) => return check_status::<()>(Err(status), Code::DeadlineExceeded, None),
        };
        // tonic watches the deadline until the headers are there; from then on it is the caller's.
        match tokio::time::timeout_at(deadline, replies.message()).await {
            Ok(result) => check_status(result, Code::DeadlineExceeded, None),
            Err(_) => Ok(()),
        }
    }

    async fn many_messages(&mut self) -> Outcome {
        let requests = (0..MANY).map(|_| output(0, &[8]));
        let replies = self.test.full_duplex_call(tokio_stream::iter(requests)).await?;
        let sizes = sizes_of(&mut replies.into_inner()).await?;
        let wanted = [8; MANY];
        check_equal(sizes.as_slice(), &wanted[..], "sizes")?;
        self.input_sum(&wanted).await?;
        self.output_sizes(&wanted).await
    }

    async fn gzip(&mut self) -> Outcome {
        const SIZE: usize = 100_000;
        let mut test = self.test.clone().send_compressed(Gzip).accept_compressed(Gzip);
        let request = SimpleRequest {
            response_compressed: YES,
            expect_compressed: YES,
            ..simple(SIZE, SIZE)
        };
        let reply = test.unary_call(request).await?;
        check_equal(size_of(&reply.get_ref().payload), SIZE, "size")?;

        let requests = (0..3).map(|_| {
            let mut request = output(SIZE, &[SIZE]);
            request.response_parameters[0].compressed = YES;
            request
        });
        let replies = test.full_duplex_call(tokio_stream::iter(requests)).await?;
        check_equal(sizes_of(&mut replies.into_inner()).await?, vec![SIZE; 3], "sizes")
    }
}

type Requests = mpsc::Sender<StreamingOutputCallRequest>;
type Replies = Streaming<StreamingOutputCallResponse>;

/// A request stream that stays open until its sender is dropped.
fn open_requests() -> (Requests, ReceiverStream<StreamingOutputCallRequest>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ReceiverStream::new(receiver))
}

async fn send(requests: &Requests, request: StreamingOutputCallRequest) -> Outcome {
    let sent = requests.send(request).await;
    sent.map_err(|_| Failure::new("the request stream is closed"))
}

async fn next_size(replies: &mut Replies) -> Result<usize, Failure> {
    match replies.message().await? {
        Some(reply) => Ok(size_of(&reply.payload)),
        None => Err(Failure::new("the replies ended early")),
    }
}

async fn sizes_of(replies: &mut Replies) -> Result<Vec<usize>, Status> {
    let mut sizes = Vec::new();
    while let Some(reply) = replies.message().await? {
        sizes.push(size_of(&reply.payload));
    }
    Ok(sizes)
}

fn size_of(payload: &Option<Payload>) -> usize {
    payload.as_ref().map_or(0, |payload| payload.body.len())
}

fn simple(size: usize, response_size: usize) -> SimpleRequest {
    SimpleRequest {
        payload: Some(Payload::of_size(size)),
        response_size: response_size as i32,
        ..Default::default()
    }
}

fn output(size: usize, response_sizes: &[usize]) -> StreamingOutputCallRequest {
    let parameters = response_sizes
        .iter()
        .map(|wanted| ResponseParameters { size: *wanted as i32, ..Default::default() });
    StreamingOutputCallRequest {
        payload: Some(Payload::of_size(size)),
        response_parameters: parameters.collect(),
        ..Default::default()
    }
}

fn asked_status(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: 2, message: message.to_owned() })
}
