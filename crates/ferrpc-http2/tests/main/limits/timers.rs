//! Rows 13 and 18, and keepalive (A8, L116): what happens because time passes.

use std::time::Duration;

use ferrpc_http2::{CloseCause, Config, Keepalive, Reason, ResetBy, Role};
use ferrpc_testing::wire::{self, Frame, Seen, Subject, flag, kind};

use super::{CALM, assert_ended};

const MS: Duration = Duration::from_millis(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Nothing, or part of a handshake, for ten seconds.
#[test]
fn handshake() {
    let hello = wire::client_hello();
    for sent in [0, 1, 23, 24, 25, 32] {
        let mut server = Subject::new(Role::Server, Config::default());
        server.feed(&hello[..sent]);
        assert_eq!(server.advance(seconds(10) - MS), []);
        assert_eq!(server.advance(MS), [Seen::Closed], "{sent} bytes sent");
        assert_eq!(server.connection.close_cause(), Some(&CloseCause::HandshakeTimeout));
        let go_away = (Reason::PROTOCOL_ERROR.0, "handshake_timeout".to_owned());
        assert_eq!(wire::last_go_away(&server.frames()), Some(go_away));
    }
    let mut server = Subject::new(Role::Server, Config::default());
    server.advance(seconds(10) - MS);
    server.feed(&hello);
    server.feed(&wire::frame(kind::SETTINGS, 1, 0, &[]));
    server.frames();
    assert_eq!(server.advance(seconds(3600)), []);

    let mut client = Subject::new(Role::Client, Config::default());
    client.frames();
    assert_eq!(client.advance(seconds(10)), [Seen::Closed]);
    assert_eq!(client.connection.close_cause(), Some(&CloseCause::HandshakeTimeout));
}

/// Our SETTINGS are acknowledged within a minute: until then the peer need not keep to them.
#[test]
fn settings_acknowledgement() {
    let mut server = Subject::new(Role::Server, Config::default());
    server.feed(&wire::client_hello());
    server.feed(&wire::headers(1, false, wire::REQUEST));
    server.frames();
    assert_eq!(server.advance(seconds(60) - MS), []);
    assert!(matches!(server.advance(MS)[..], [.., Seen::Closed]));
    assert_ended(&mut server, Reason::SETTINGS_TIMEOUT, "settings_timeout");
}

/// A header block must be complete ten seconds after it began, wherever it was cut.
#[test]
fn header_block() {
    let block = wire::block(wire::REQUEST);
    let whole = [
        wire::frame(kind::HEADERS, flag::END_STREAM, 1, &block[..5]),
        wire::frame(kind::CONTINUATION, flag::END_HEADERS, 1, &block[5..]),
    ]
    .concat();
    for cut in 9..whole.len() {
        let mut server = Subject::server(Config::default());
        server.feed(&whole[..cut]);
        server.advance(seconds(10) - MS);
        // A dribble does not make it longer.
        let late = server.feed(&whole[cut..]).len();
        assert_eq!((late, server.error()), (1, None), "cut at {cut}");
        server.frames();
        assert_eq!(server.advance(seconds(3600)), []);

        let mut server = Subject::server(Config::default());
        server.feed(&whole[..cut]);
        assert_eq!(server.advance(seconds(10)), [Seen::Closed], "cut at {cut}");
        assert_ended(&mut server, CALM, "header_block_timeout");
    }
}

/// The transport takes no byte for two minutes: the connection ends, and its timer with it.
#[test]
fn write_stall() {
    let mut server = Subject::server(Config::default());
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.headers(1, &[(":status", "200")], false);
    server.data(1, &[0; 10_000], false);
    assert_eq!(server.write(1), 1);
    assert_eq!(server.advance(seconds(119)), []);
    // One byte is progress.
    assert_eq!(server.write(1), 1);
    assert_eq!(server.advance(seconds(119)), []);
    assert_eq!(server.write(0), 0);
    assert_eq!(server.advance(seconds(1)), [Seen::Closed]);
    assert_eq!(server.connection.close_cause(), Some(&CloseCause::WriteStall));
    assert_eq!(server.connection.poll_timeout(), None);
    assert!(server.connection.is_finished());
}

/// The last words of a connection may stall as well.
#[test]
fn write_stall_after_the_end() {
    let mut server = Subject::server(Config::default());
    server.feed(&wire::frame(kind::SETTINGS, 0, 1, &[]));
    assert_eq!(server.write(1), 1);
    server.advance(seconds(120));
    assert_eq!(server.connection.poll_timeout(), None);
    assert!(matches!(server.connection.close_cause(), Some(CloseCause::PeerError { .. })));
}

/// Row 13: a peer that opens no window loses its streams after a minute, if what waits for them is
/// more than the connection's memory: the oldest first, until a quarter is free. Without such
/// pressure it never does.
#[test]
fn stream_stall() {
    for (streams, pressure) in [(16, false), (20, true)] {
        let mut config = Config::default();
        config.limits.send_memory = (1 << 20) + 1;
        let mut server = Subject::server(config);
        // All windows are shut from the start.
        server.feed(&wire::settings(&[(4, 0)]));
        for n in 0..streams {
            let id = 2 * n + 1;
            server.feed(&wire::headers(id, true, wire::REQUEST));
            server.headers(id, &[(":status", "200")], false);
            server.data(id, &[0; 64 << 10], false);
            assert!(!server.connection.is_writable(server.key(id)));
            server.advance(MS);
        }
        server.frames();
        // Two of them take some: one all that waits, one a byte now and then.
        server.feed(&wire::window_update(0, 1 << 20));
        for _ in 0..3 {
            assert_eq!(server.advance(seconds(19)), []);
            server.feed(&wire::window_update(1, 22 << 10));
            server.data(1, &[0; 22 << 10], false);
            server.feed(&wire::window_update(3, 1));
            server.frames();
        }
        let seen = server.advance(seconds(20));
        let frames = server.frames();
        let reset = |id| wire::reset_of(&frames, id);
        if pressure {
            let stalled =
                |id| Seen::Reset { id, reason: CALM, by: ResetBy::Stall, headers_sent: true };
            assert!(seen.contains(&stalled(3)), "{seen:?}");
            let (calm, free) = (Some(CALM.0), None);
            assert_eq!([1, 3, 5, 17, 19, 21].map(reset), [free, calm, calm, calm, calm, free]);
            assert_eq!(server.connection.counters().stalled_streams, 9);
            assert_eq!(server.advance(seconds(3600)), [], "there is room for the others");
        } else {
            assert_eq!((seen, frames), (vec![], vec![]));
            assert_eq!(server.advance(seconds(3600)), []);
            assert_eq!(server.connection.open_streams(), 16);
        }
        server.connection.assert_accounts();
    }
}

fn keepalive(keepalive: Keepalive) -> Config {
    Config { keepalive, ..Config::default() }
}

fn pings(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind == kind::PING && frame.flags == 0).count()
}

#[test]
fn keepalive_finds_a_dead_peer() {
    let mut client = Subject::client(keepalive(Keepalive {
        interval: Some(seconds(10)),
        ..Keepalive::default()
    }));
    // Not without streams.
    assert_eq!(client.advance(seconds(3600)), []);
    assert_eq!(client.frames(), []);

    assert_eq!(client.open(wire::REQUEST, true), Ok(1));
    client.feed(&wire::headers(1, false, &[(":status", "200")]));
    client.frames();
    client.advance(seconds(10) - MS);
    assert_eq!(pings(&client.frames()), 0);
    client.advance(MS);
    assert_eq!(pings(&client.frames()), 1);
    // Any byte is a sign of life, a part of a frame as well.
    client.advance(seconds(20) - MS);
    client.feed(&[0]);
    assert_eq!(client.advance(seconds(10) - MS), []);
    client.advance(MS);
    assert_eq!(pings(&client.frames()), 1);
    assert_eq!(client.advance(seconds(20) - MS), []);
    assert_eq!(client.advance(MS), [Seen::Closed]);
    assert_eq!(client.connection.close_cause(), Some(&CloseCause::KeepaliveTimeout));
    let go_away = (Reason::NO_ERROR.0, "keepalive_timeout".to_owned());
    assert_eq!(wire::last_go_away(&client.frames()), Some(go_away));
}

/// L116: after two pings without data, one a minute.
#[test]
fn keepalive_slows_down_without_data() {
    let mut client = Subject::client(keepalive(Keepalive {
        interval: Some(seconds(10)),
        without_streams: true,
        ..Keepalive::default()
    }));
    let mut sent_at = Vec::new();
    let start = client.now;
    let mut minute = |client: &mut Subject, steps: u32| {
        for _ in 0..steps {
            client.advance(seconds(1));
            if pings(&client.frames()) > 0 {
                sent_at.push(client.now.since(start).as_secs());
                client.feed(&wire::frame(kind::PING, flag::ACK, 0, b"\x02ferrpc\0"));
            }
        }
    };
    minute(&mut client, 150);
    assert_eq!(client.open(wire::REQUEST, true), Ok(1));
    client.frames();
    minute(&mut client, 100);
    assert_eq!(sent_at, [10, 20, 80, 140, 151, 161, 221]);
}
