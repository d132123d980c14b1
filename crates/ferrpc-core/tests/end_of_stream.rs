//! A half that has ended says nothing more.

use ferrpc_core::transport::{Config, Message};
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
