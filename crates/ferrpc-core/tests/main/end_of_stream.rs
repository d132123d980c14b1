//! A half that has ended says nothing more.

use ferrpc_core::transport::{CallLimits, Cardinality, Config, Event, Message};
use ferrpc_core::{Time, Transport};
use ferrpc_testing::{End, Pair, wire};

/// The server's WINDOW_UPDATE for the last bytes arrives when everything was sent, END_STREAM too.
#[test]
fn credit_after_the_end_of_a_stream_sends_nothing() {
    let now = Time::from_nanos(1_000_000_000);
    let mut client = End::new(Transport::client(Config::default(), now));
    client.output(now);
    client.feed(now, &wire::settings(&[]));
    let call = client.transport.start_call(now, &Pair::call()).expect("there is room");
    let payload = vec![0; 100_000];
    client.transport.send_message(now, call, Message::plain(payload));
    client.transport.half_close(now, call);

    let mut sent = wire::parse(&client.output(now));
    for stream in [0, 1] {
        client.feed(now, &wire::window_update(stream, 100_000));
    }
    sent.extend(wire::parse(&client.output(now)));
    let data: Vec<_> = sent.iter().filter(|frame| frame.kind == wire::kind::DATA).collect();
    assert_eq!(data.iter().map(|frame| frame.payload.len()).sum::<usize>(), 100_005);
    assert_eq!(data.last().map(|frame| frame.flags), Some(wire::flag::END_STREAM));

    client.feed(now, &wire::window_update(1, 1000));
    assert_eq!(wire::parse(&client.output(now)), []);
}

/// The WINDOW_UPDATEs that a request of so many bytes gets for its stream, where a frame of DATA
/// arrives at a time.
fn stream_credit(bytes: usize) -> usize {
    let now = Time::from_nanos(1_000_000_000);
    let mut server = End::new(Transport::server(Config::default(), now));
    server.feed(now, &wire::client_hello());
    server.feed(now, &wire::headers(1, false, wire::REQUEST));
    let call = std::iter::from_fn(|| server.event())
        .find_map(|event| if let Event::Call { call, .. } = event { Some(call) } else { None })
        .expect("the call was offered");
    server.transport.accept(call, Cardinality::Unary, CallLimits::default());
    let mut sent = Vec::new();
    let message = wire::message(&vec![7; bytes]);
    let frames = message.chunks(16_384);
    let last = frames.len() - 1;
    for (at, payload) in frames.enumerate() {
        server.feed(now, &wire::data(1, at == last, payload));
        sent.extend(wire::parse(&server.output(now)));
    }
    let updates =
        |frame: &&wire::Frame| (frame.kind, frame.stream) == (wire::kind::WINDOW_UPDATE, 1);
    sent.iter().filter(updates).count()
}

/// A frame just before the end would be of no use, and cost a write.
#[test]
fn a_request_well_within_its_window_gets_no_credit() {
    assert_eq!(stream_credit(65_600), 0);
    assert!(stream_credit(1 << 20) > 0, "else the rest could not come");
}
