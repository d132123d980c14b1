//! Flow control (RFC 9113, 5.2, 6.9): the arithmetic of both directions, row 16.

use ferrpc_http2::{Config, Reason, Role, Window};
use ferrpc_testing::wire::{self, Frame, Seen, Subject, kind};

use super::{Expect, HALF_CLOSED, OPEN, check, config};

/// Increments of WINDOW_UPDATE on a stream, added up.
fn credit(frames: &[Frame], stream: u32) -> u64 {
    frames
        .iter()
        .filter(|frame| frame.kind == kind::WINDOW_UPDATE && frame.stream == stream)
        .map(|frame| {
            let increment = u32::from_be_bytes(frame.payload[..].try_into().expect("4 bytes"));
            assert!(increment > 0, "an increment of 0");
            u64::from(increment)
        })
        .sum()
}

/// Bytes of DATA on a stream.
fn data(frames: &[Frame], stream: u32) -> usize {
    let data = frames.iter().filter(|frame| frame.kind == kind::DATA && frame.stream == stream);
    data.map(|frame| frame.payload.len()).sum()
}

fn with_window(window: Window) -> Config {
    Config { window, ..config() }
}

#[test]
fn updates_that_are_wrong() {
    let flow = Reason::FLOW_CONTROL_ERROR;
    let protocol = Reason::PROTOCOL_ERROR;
    check("zero", &wire::window_update(OPEN, 0), Expect::Stream(OPEN, protocol));
    check("zero, connection", &wire::window_update(0, 0), Expect::Connection(protocol));
    let most = 0x7fff_ffff - 65_535;
    check("largest window", &wire::window_update(OPEN, most), Expect::Fine);
    check("overflow", &wire::window_update(OPEN, most + 1), Expect::Stream(OPEN, flow));
    let half_closed = wire::window_update(HALF_CLOSED, most + 1);
    check("overflow, half closed", &half_closed, Expect::Stream(HALF_CLOSED, flow));
    check("largest connection window", &wire::window_update(0, most), Expect::Fine);
    check("overflow, connection", &wire::window_update(0, most + 1), Expect::Connection(flow));
    let twice = [wire::window_update(0, most), wire::window_update(0, 1)].concat();
    check("overflow, connection, by one", &twice, Expect::Connection(flow));
    check("reserved bit", &wire::window_update(OPEN, 0x8000_0001), Expect::Fine);
    check(
        "reserved bit and zero",
        &wire::window_update(OPEN, 1 << 31),
        Expect::Stream(OPEN, protocol),
    );
    // SETTINGS: 6.9.2.
    let initial = |size| wire::settings(&[(4, size)]);
    check("largest initial window", &initial(0x7fff_ffff), Expect::Fine);
    check("initial window too large", &initial(0x8000_0000), Expect::Connection(flow));
    let both = [wire::window_update(OPEN, 1), initial(0x7fff_ffff)].concat();
    check("initial window that overflows a stream", &both, Expect::Connection(flow));
}

/// What a stream may send, after each of a series of changes.
#[test]
fn initial_window_moves_open_streams() {
    let mut server = Subject::server(config());
    server.feed(&wire::window_update(0, 1 << 24));
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.headers(1, &[(":status", "200")], false);
    server.data(1, &[0; 1 << 20], false);
    let mut sent = data(&server.frames(), 1);
    assert_eq!(sent, 65_535);
    let mut step = |bytes: Vec<u8>, more: usize| {
        server.feed(&bytes);
        sent += more;
        assert_eq!(data(&server.frames(), 1), more);
    };
    let initial = |size| wire::settings(&[(4, size)]);
    step(initial(65_536), 1);
    // The window is negative now: -65,536, and credit makes it less so.
    step(initial(0), 0);
    step(wire::window_update(1, 65_536), 0);
    step(wire::window_update(1, 1), 1);
    step(initial(10), 10);
    step(initial(5), 0);
    step(initial(9), 0);
    step(initial(11), 1);
    // Entries count one after the other.
    step(wire::settings(&[(4, 0), (4, 0x7fff_ffff), (4, 111)]), 100);
    assert_eq!(sent, 65_535 + 113);
}

/// An end needs no credit, nor does another stream's end wait for one that does.
#[test]
fn ends_need_no_credit() {
    let mut client = Subject::client(config());
    assert_eq!(client.open(wire::REQUEST, false), Ok(1));
    assert_eq!(client.open(wire::REQUEST, false), Ok(3));
    client.feed(&wire::window_update(1, 1 << 20));
    client.data(1, &[0; 100_000], false);
    let frames = client.frames();
    assert_eq!(data(&frames, 1), 65_535);
    // The connection's window is used up, stream 1 keeps its turn; stream 3 only ends.
    client.data(3, b"", true);
    let frames = client.frames();
    assert_eq!(frames, wire::parse(&wire::data(3, true, b"")));
}

/// Waiting streams share the connection's credit, frame by frame.
#[test]
fn streams_take_turns() {
    let mut server = Subject::server(config());
    server.feed(&wire::settings(&[(4, 1 << 20)]));
    for id in [1, 3, 5] {
        server.feed(&wire::headers(id, true, wire::REQUEST));
        server.headers(id, &[(":status", "200")], false);
        server.data(id, &[0; 100_000], true);
    }
    server.frames();
    server.feed(&wire::window_update(0, 1 << 20));
    let order: Vec<u32> = server
        .frames()
        .iter()
        .filter(|frame| frame.kind == kind::DATA)
        .map(|frame| frame.stream)
        .collect();
    let turns = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns > order.len() / 2, "{order:?}");
}

/// Every byte of DATA is paid from both windows, padding and its length included; more than there
/// is breaks the stream, or the connection.
#[test]
fn credit_towards_us() {
    let mut server = Subject::server(with_window(Window::Fixed(100_000)));
    server.releases = false;
    server.feed(&wire::headers(1, false, wire::REQUEST));
    for _ in 0..5 {
        server.feed(&wire::data(1, false, &[0; 16_000]));
    }
    let padded = wire::frame(kind::DATA, 8, 1, &[&[255][..], &[0; 9_999]].concat());
    server.feed(&padded);
    assert_eq!(server.frames(), [], "no credit yet: the padding is not worth a frame");
    server.feed(&padded);
    // 100,000 bytes came; 512 of them were padding, and are pending.
    let mut over = server.feed(&wire::data(1, false, b"x"));
    let reset = over.pop();
    assert!(
        matches!(reset, Some(Seen::Reset { reason: Reason::FLOW_CONTROL_ERROR, .. })),
        "{reset:?}"
    );
    server.connection.assert_accounts();

    // Given back by halves.
    let mut server = Subject::server(with_window(Window::Fixed(100_000)));
    server.releases = false;
    server.feed(&wire::headers(1, false, wire::REQUEST));
    for _ in 0..6 {
        server.feed(&wire::data(1, false, &[0; 10_000]));
    }
    server.connection.release(server.key(1), 49_999);
    assert_eq!(server.frames(), []);
    server.connection.release(server.key(1), 1);
    let frames = server.frames();
    assert_eq!((credit(&frames, 1), credit(&frames, 0)), (50_000, 0));
    // Nothing can be given back that was not taken.
    server.connection.release(server.key(1), usize::MAX >> 1);
    assert_eq!(server.frames(), []);
    for _ in 0..4 {
        server.feed(&wire::data(1, false, &[0; 10_000]));
    }
    server.connection.release(server.key(1), usize::MAX);
    assert_eq!(credit(&server.frames(), 1), 50_000);
}

/// The connection's window holds whatever streams do.
#[test]
fn connection_credit() {
    let mut server = Subject::server(with_window(Window::Fixed(1 << 20)));
    server.releases = false;
    let mut input = Vec::new();
    let mut sent = 0;
    // Four streams of a megabyte are the connection's window; it is given back as data comes.
    for id in [1, 3, 5, 7, 9, 11] {
        input.extend(wire::headers(id, false, wire::REQUEST));
        for _ in 0..64 {
            input.extend(wire::data(id, false, &[0; 16_384]));
            sent += 16_384;
        }
    }
    server.feed(&input);
    assert_eq!(server.error(), None);
    let accounts = server.connection.accounts();
    assert_eq!(accounts.window, 4 << 20);
    assert_eq!(sent - credit(&server.frames(), 0), accounts.credit_due as u64);
    // A frame whose length alone exceeds the window does not begin.
    let mut server = Subject::server(Config { max_frame_size: 1 << 23, ..config() });
    server.feed(&wire::headers(1, false, wire::REQUEST));
    server.feed(&wire::frame(kind::DATA, 0, 1, &vec![0; (1 << 20) + 1]));
    assert_eq!(server.error().map(|error| error.0), Some(Reason::FLOW_CONTROL_ERROR));
}

/// A client may use the protocol's default window until it has seen a smaller one of ours (6.9.3).
#[test]
fn small_window_before_the_acknowledgement() {
    for size in [0, 1, 1000, 65_534] {
        let mut server = Subject::new(Role::Server, with_window(Window::Fixed(size)));
        server.releases = false;
        let mut input = [wire::client_hello(), wire::headers(1, false, wire::REQUEST)].concat();
        input.extend(wire::data(1, false, &[0; 16_000]).repeat(4));
        input.extend(wire::data(1, false, &[0; 1535]));
        server.feed(&input);
        assert_eq!(server.connection.counters().induced_resets, 0, "window of {size}");
        server.frames();
        // The acknowledgement comes, and with it the window is in force; it is overdrawn.
        server.feed(&wire::frame(kind::SETTINGS, 1, 0, &[]));
        server.connection.release(server.key(1), 65_535);
        let frames = server.frames();
        assert_eq!(credit(&frames, 1), 65_535, "window of {size}");
        let seen = server.feed(&wire::data(1, false, &vec![0; size as usize % 16_384]));
        assert_eq!(seen.len(), usize::from(size > 0), "window of {size}: {seen:?}");
    }
    // More than the default was never allowed.
    let mut server = Subject::new(Role::Server, with_window(Window::Fixed(1000)));
    let mut input = [wire::client_hello(), wire::headers(1, false, wire::REQUEST)].concat();
    input.extend(wire::data(1, false, &[0; 16_000]).repeat(4));
    server.releases = false;
    server.feed(&input);
    assert_eq!(server.connection.counters().induced_resets, 0);
    server.feed(&wire::data(1, false, &[0; 1536]));
    assert_eq!(server.connection.counters().induced_resets, 1);
}

/// The window follows the path: it doubles while it is what limits the peer, up to its bound. All
/// streams begin with 256 KiB; more is lent to a stream that uses what it has, as far as the loans
/// of the connection go.
#[test]
fn auto_window() {
    let max = 1 << 20;
    let expectations = [(64 << 20, 1 << 20), (100_000, (256 << 10) + 100_000), (0, 256 << 10)];
    for (loans, expected) in expectations {
        let mut config = with_window(Window::Auto { max });
        config.limits.window_loans = loans;
        let mut server = Subject::server(config);
        server.feed(&wire::headers(1, false, wire::REQUEST));
        let (mut given, mut sent) = (0, 0);
        let mut send = |server: &mut Subject, given: &mut u64| {
            server.feed(&wire::data(1, false, &[0; 16_384]));
            sent += 16_384;
            let frames = server.frames();
            *given += credit(&frames, 1);
            frames
        };
        for _ in 0..2000 {
            for frame in send(&mut server, &mut given) {
                if frame.kind == kind::PING {
                    // A tenth of a second later, in which a window's worth of data has come.
                    for _ in 0..3 * max / 16_384 {
                        send(&mut server, &mut given);
                    }
                    server.now = server.now + std::time::Duration::from_millis(100);
                    server.feed(&wire::frame(kind::PING, 1, 0, &frame.payload));
                }
            }
            server.connection.assert_accounts();
        }
        assert_eq!(server.error(), None);
        // What the peer has, but for what is consumed and not yet worth a frame.
        let open: u64 = 256 * 1024 + given - sent;
        assert!(open <= expected && open * 2 >= expected, "{open} of {expected}");
        assert_eq!(server.connection.accounts().window, 4 << 20);
    }
}
