//! Small messages that travel together: they are the same messages, and count as such.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use ferrpc_core::Code;
use ferrpc_core::transport::{
    CallId, CallLimits, Cardinality, Config, Event, Message, Run, RunBuilder, SendState, StartCall,
};
use ferrpc_testing::Pair;

fn with_runs() -> Config {
    Config { message_runs: true, ..Config::default() }
}

fn run(sizes: impl IntoIterator<Item = usize>) -> Run {
    let mut builder = RunBuilder::new();
    for (index, size) in sizes.into_iter().enumerate() {
        let push = builder.push(false, usize::MAX, |buffer| {
            buffer.resize(buffer.len() + size, index as u8);
            Ok::<_, std::convert::Infallible>(())
        });
        push.unwrap();
    }
    builder.finish()
}

fn streaming(pair: &mut Pair) -> (CallId, CallId) {
    let call = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    (call, pair.accept(Cardinality::Bidirectional).0)
}

/// Sizes and first bytes of what the server received, and in how many events; all is released.
fn received(pair: &mut Pair) -> (Vec<(usize, Option<u8>)>, usize) {
    let (mut out, mut events) = (Vec::new(), 0);
    while let Some(event) = pair.server.event() {
        events += 1;
        let (call, all): (_, Vec<Message>) = match event {
            Event::Message { call, message } => (call, vec![message]),
            Event::Messages { call, run } => {
                assert!(run.len() > 1);
                (call, run.collect())
            }
            event => panic!("{event:?}"),
        };
        let bytes = all.iter().map(|message| message.payload.len()).sum();
        pair.server.transport.release(pair.now, call, all.len(), bytes);
        out.extend(
            all.iter().map(|message| (message.payload.len(), message.payload.first().copied())),
        );
    }
    (out, events)
}

#[test]
fn a_run_arrives_as_one_event_or_as_its_messages() {
    let expect = vec![(3, Some(0)), (0, None), (4000, Some(2)), (1, Some(3))];
    for (config, events) in [(with_runs(), 1), (Config::default(), 4)] {
        let mut pair = Pair::with(Config::default(), config);
        let (call, _) = streaming(&mut pair);
        let sent = pair.client.transport.send_messages(pair.now, call, run([3, 0, 4000, 1]).into());
        assert_eq!(sent, SendState::Ready);
        pair.drive();
        assert_eq!(pair.server.transport.held_messages(), 4004 + 4 * 5);
        assert_eq!(received(&mut pair), (expect.clone(), events));
        assert_eq!(pair.server.transport.held_messages(), 0);
        assert_eq!(pair.client.transport.counters().messages_sent, 4);
        assert_eq!(pair.server.transport.counters().messages_received, 4);
    }
}

#[test]
fn a_run_longer_than_frames_and_windows_arrives_whole() {
    let mut pair = Pair::with(with_runs(), with_runs());
    let (call, _) = streaming(&mut pair);
    let (mut got, mut events) = (Vec::new(), 0);
    assert_eq!(
        pair.client.transport.send_messages(pair.now, call, run(vec![100; 10_000]).into()),
        SendState::Full
    );
    loop {
        pair.drive();
        let (more, count) = received(&mut pair);
        if more.is_empty() {
            break;
        }
        got.extend(more);
        events += count;
    }
    let expect: Vec<_> = (0..10_000).map(|index| (100, Some(index as u8))).collect();
    assert_eq!(got, expect);
    assert!(events < 300, "{events} events for some 65 frames");
    assert_eq!(pair.server.transport.held_messages(), 0);
}

#[test]
fn the_one_message_of_a_call_is_no_run() {
    let mut pair = Pair::with(Config::default(), with_runs());
    let call = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    pair.accept(Cardinality::Unary);
    pair.client.transport.send_messages(pair.now, call, run([5, 5]).into());
    pair.drive();
    let statuses: Vec<_> = std::iter::from_fn(|| pair.client.event())
        .filter_map(|event| match event {
            Event::Finished { status, .. } => Some(status.code()),
            _ => None,
        })
        .collect();
    assert_eq!(statuses, [Code::Unimplemented], "two requests for a call that takes one");
}

#[test]
fn a_message_over_the_limit_ends_the_call_behind_those_before_it() {
    let mut pair = Pair::with(Config::default(), with_runs());
    let limits = CallLimits { max_send: 10, ..CallLimits::default() };
    let cardinality = Cardinality::Bidirectional;
    let call = pair.start_with(&StartCall { limits, cardinality, ..Pair::call() });
    pair.accept(cardinality);
    let sent = pair.client.transport.send_messages(pair.now, call, run([10, 9, 11, 1]).into());
    assert_eq!(sent, SendState::Gone);
    assert_eq!(pair.client.transport.counters().messages_sent, 2);
    pair.client.collect();
    let end = std::iter::from_fn(|| pair.client.event()).last();
    let Some(Event::Finished { status, .. }) = end else { panic!("{end:?}") };
    assert_eq!(status.code(), Code::ResourceExhausted);
    // Nothing is sent for a call that is over.
    let sent = pair.client.transport.send_messages(pair.now, call, run([1, 1]).into());
    assert_eq!(sent, SendState::Gone);
}
