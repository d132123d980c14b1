//! gRPC on both crates: the loop of a server and that of a client, joined in memory by `Pair`.
//! One end's work counts; the other's is done between.

use bytes::Bytes;
use ferrpc_core::http2::Transmit;
use ferrpc_core::transport::{CallId, CallLimits, Cardinality, Event, Message};
use ferrpc_core::{Encoding, Metadata, Status, Time, Transport};
use ferrpc_testing::Pair;

use crate::batches;

/// A hundred unary calls come in one read, and are answered in one write.
pub(crate) fn server() {
    let mut pair = Pair::new();
    batches(|count| {
        let requests = start(&mut pair, UNARY);
        let mut answers = Vec::new();
        count(&mut || answers = serve(&mut pair.server.transport, pair.now, &requests, small));
        assert_eq!(finished(&mut pair, &answers), UNARY);
    });
}

/// A hundred unary calls are started in one write, and answered in one read.
pub(crate) fn client() {
    let mut pair = Pair::new();
    batches(|count| {
        let mut requests = Vec::new();
        count(&mut || requests = start(&mut pair, UNARY));
        let answers = serve(&mut pair.server.transport, pair.now, &requests, small);
        let mut ended = 0;
        count(&mut || ended = finished(&mut pair, &answers));
        assert_eq!(ended, UNARY);
    });
}

/// One call answers with a thousand small messages.
pub(crate) fn server_stream() {
    let mut pair = Pair::new();
    batches(|count| {
        let call = open_stream(&mut pair);
        let mut answers = Vec::new();
        count(&mut || answers = send_messages(&mut pair, call));
        assert_eq!(received(&mut pair, &answers), MESSAGES);
    });
}

/// A thousand small messages of one call come in one read.
pub(crate) fn client_stream() {
    let mut pair = Pair::new();
    batches(|count| {
        let call = open_stream(&mut pair);
        let answers = send_messages(&mut pair, call);
        let mut messages = 0;
        count(&mut || messages = received(&mut pair, &answers));
        assert_eq!(messages, MESSAGES);
    });
}

/// Both ends of an echo of 1 MiB, with the credit that goes back and forth.
pub(crate) fn echo() {
    let mut pair = Pair::new();
    let payload = Bytes::from(vec![7; 1 << 20]);
    batches(|count| {
        let mut came = 0;
        count(&mut || came = echo_once(&mut pair, payload.clone()));
        assert_eq!(came, payload.len());
    });
}

/// Carries bytes both ways until the echo is there; its size.
fn echo_once(pair: &mut Pair, payload: Bytes) -> usize {
    let Pair { client, server, now } = pair;
    let (client, server, now) = (&mut client.transport, &mut server.transport, *now);
    let call = client.start_call(now, &Pair::call()).expect("within the limits");
    client.send_message(now, call, Message::plain(payload));
    client.half_close(now, call);
    let (mut came, mut ended) = (0, false);
    while !ended {
        let requests = output(client, now);
        let answers = serve(server, now, &requests, |message| message);
        let mut input = answers.as_slice();
        assert!(!(requests.is_empty() && input.is_empty()), "nothing moves");
        while !input.is_empty() {
            let taken = client.handle_bytes(now, input);
            input = &input[taken..];
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Message { message, .. } => came += message.payload.len(),
                    Event::Finished { status, .. } => ended = status.is_ok(),
                    _ => {}
                }
            }
        }
    }
    came
}

/// The client's bytes that start so many unary calls.
fn start(pair: &mut Pair, calls: usize) -> Vec<u8> {
    let client = &mut pair.client.transport;
    for _ in 0..calls {
        let call = client.start_call(pair.now, &Pair::call()).expect("within the limits");
        client.send_message(pair.now, call, Message::plain(Bytes::from_static(&[7; 26])));
        client.half_close(pair.now, call);
    }
    output(client, pair.now)
}

/// A server's loop: each call is accepted, and answered when its message came.
fn serve(
    server: &mut Transport,
    now: Time,
    mut input: &[u8],
    answer: impl Fn(Message) -> Message,
) -> Vec<u8> {
    let none = Metadata::new();
    loop {
        let taken = server.handle_bytes(now, input);
        input = &input[taken..];
        let mut events = 0;
        while let Some(event) = server.poll_event() {
            events += 1;
            match event {
                Event::Call { call, .. } => {
                    server.accept(call, Cardinality::Unary, CallLimits::default());
                }
                Event::Message { call, message } => {
                    let answer = answer(message);
                    server.respond(now, call, &none, Encoding::Identity, answer, &none);
                }
                _ => {}
            }
        }
        if input.is_empty() && events == 0 {
            return output(server, now);
        }
    }
}

/// Gives the answers to the client; how many calls ended well.
fn finished(pair: &mut Pair, answers: &[u8]) -> usize {
    let mut ended = 0;
    take(pair, answers, |event| {
        if let Event::Finished { status, .. } = event {
            ended += usize::from(status.is_ok());
        }
    });
    ended
}

fn small(_: Message) -> Message {
    Message::plain(Bytes::from_static(&[7; 58]))
}

fn open_stream(pair: &mut Pair) -> CallId {
    let call = pair.start("/test.Test/Call", Cardinality::ServerStreaming);
    let (there, _) = pair.accept(Cardinality::ServerStreaming);
    pair.request(call, &[7; 8]);
    pair.server.events.clear();
    there
}

fn send_messages(pair: &mut Pair, call: CallId) -> Vec<u8> {
    let server = &mut pair.server.transport;
    for _ in 0..MESSAGES {
        server.send_message(pair.now, call, Message::plain(Bytes::from_static(&[7; 8])));
    }
    server.finish(pair.now, call, &Status::ok());
    output(server, pair.now)
}

/// Gives a stream's bytes to the client; how many messages came before a good end.
fn received(pair: &mut Pair, answers: &[u8]) -> usize {
    let (mut messages, mut ended) = (0, 0);
    let mut consumed = Vec::with_capacity(MESSAGES);
    take(pair, answers, |event| match event {
        Event::Message { call, message } => {
            messages += 1;
            consumed.push((call, message.payload.len()));
        }
        Event::Finished { status, .. } => ended += usize::from(status.is_ok()),
        _ => {}
    });
    for (call, bytes) in consumed {
        pair.client.transport.release(pair.now, call, 1, bytes);
    }
    assert_eq!(ended, 1);
    messages
}

/// The client takes bytes; each event is looked at. What it says to that goes to the server.
fn take(pair: &mut Pair, mut input: &[u8], mut look: impl FnMut(Event)) {
    let client = &mut pair.client.transport;
    while !input.is_empty() {
        let taken = client.handle_bytes(pair.now, input);
        input = &input[taken..];
        while let Some(event) = client.poll_event() {
            look(event);
        }
    }
    let credit = output(client, pair.now);
    pair.server.feed(pair.now, &credit);
}

fn output(transport: &mut Transport, now: Time) -> Vec<u8> {
    let (mut transmit, mut all) = (Transmit::new(), Vec::new());
    while transport.poll_transmit(now, &mut transmit, CHUNK) {
        all.extend(transmit.take());
    }
    all
}

const UNARY: usize = 100;
const MESSAGES: usize = 1000;
const CHUNK: usize = 64 << 10;
