//! What the messages of a stream cost without a network or an engine: the floor below which no
//! library with these messages comes. Nanoseconds a message for each step, the best of five rounds.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use buffa::Message;
use bytes::BytesMut;
use clap::Parser;
use ferrpc_bench::testing::{
    Payload, StreamingOutputCallRequest, StreamingOutputCallResponse, asking,
};

/// Makes, encodes and decodes messages as the stream loads of bench_server and bench_client do.
#[derive(Parser)]
struct Arguments {
    /// Bytes of payload of each.
    #[arg(long, default_value_t = 8)]
    payload: usize,
    /// Messages in a round.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let Arguments { payload, messages } = arguments;
    let response = || StreamingOutputCallResponse {
        payload: Payload::of_size(black_box(payload)).into(),
        ..Default::default()
    };
    measure("make a response", messages, || {
        black_box(response());
        Ok(())
    })?;
    let mut buffer = BytesMut::new();
    measure("make and encode a response", messages, || {
        if buffer.len() >= RUN_BYTES {
            buffer.clear();
        }
        encode(&response(), &mut buffer)
    })?;
    let encoded = response().encode_to_vec();
    measure("decode a response", messages, || {
        black_box(StreamingOutputCallResponse::decode(&mut black_box(&encoded[..]))?);
        Ok(())
    })?;
    buffer.clear();
    measure("make and encode a request for one response", messages, || {
        if buffer.len() >= RUN_BYTES {
            buffer.clear();
        }
        encode(&asking(1, payload, payload), &mut buffer)
    })?;
    let encoded = asking(1, payload, payload).encode_to_vec();
    measure("decode a request for one response", messages, || {
        black_box(StreamingOutputCallRequest::decode(&mut black_box(&encoded[..]))?);
        Ok(())
    })?;
    let all = asking(messages, payload, 0);
    measure("encode a request for all responses", 1, || {
        black_box(all.encode_to_vec());
        Ok(())
    })?;
    let encoded = all.encode_to_vec();
    measure("decode a request for all responses", 1, || {
        black_box(StreamingOutputCallRequest::decode(&mut black_box(&encoded[..]))?);
        Ok(())
    })?;
    println!("(those of all responses: divide by the {messages} messages)");
    Ok(())
}

fn encode(message: &impl Message, buffer: &mut BytesMut) -> Result<(), Box<dyn Error>> {
    let mut sizes = buffa::SizeCache::new();
    let size = buffa::checked_encode_size(message.compute_size(&mut sizes))?;
    buffer.reserve(size as usize);
    message.write_to(&mut sizes, buffer);
    Ok(())
}

fn measure(
    what: &str,
    times: usize,
    mut step: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..times {
            step()?;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / times as f64);
    }
    println!("{what}: {best:.1} ns");
    Ok(())
}

/// What leaves a server together.
const RUN_BYTES: usize = 32 << 10;
