//! The end of a connection: GOAWAY of both sides (RFC 9113, 6.8).

use std::time::Duration;

use ferrpc_http2::{CloseCause, Config, OpenError, Reason, ResetBy};
use ferrpc_testing::wire::{self, Frame, Seen, Subject, flag, kind};

use super::config;

/// GOAWAYs among frames: last id and code.
fn go_aways(frames: &[Frame]) -> Vec<(u32, u32)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    frames
        .iter()
        .filter(|frame| frame.kind == kind::GOAWAY)
        .map(|frame| (number(&frame.payload[..4]), number(&frame.payload[4..8])))
        .collect()
}

fn pings(frames: &[Frame]) -> Vec<Vec<u8>> {
    let pings = frames.iter().filter(|frame| frame.kind == kind::PING && frame.flags == 0);
    pings.map(|frame| frame.payload.clone()).collect()
}

/// A client with streams 1, 3, 5 open.
fn client() -> Subject {
    let mut client = Subject::client(config());
    for id in [1, 3, 5] {
        assert_eq!(client.open(wire::REQUEST, true), Ok(id));
    }
    client.frames();
    client
}

#[test]
fn server_goes_in_two_steps() {
    let mut server = Subject::server(config());
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.connection.shutdown(server.now, None);
    assert_eq!(server.events(), [Seen::Draining]);
    let frames = server.frames();
    assert_eq!(go_aways(&frames), [(0x7fff_ffff, 0)]);
    let ping = pings(&frames).pop().expect("a ping behind GOAWAY");

    // What the client sent before it saw GOAWAY is served.
    assert_eq!(server.feed(&wire::headers(3, true, wire::REQUEST)).len(), 1);
    server.feed(&wire::frame(kind::PING, flag::ACK, 0, &ping));
    assert_eq!(go_aways(&server.frames()), [(3, 0)]);

    for id in [1, 3] {
        assert_eq!(server.connection.close_cause(), None);
        server.headers(id, &[(":status", "200")], true);
    }
    assert_eq!(server.events(), [Seen::Closed]);
    assert_eq!(server.connection.close_cause(), Some(&CloseCause::Graceful));
    assert!(!server.connection.is_finished());
    server.frames();
    assert!(server.connection.is_finished());
}

#[test]
fn server_does_not_wait_long_for_the_ping() {
    let mut server = Subject::server(config());
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.connection.shutdown(server.now, None);
    server.frames();
    assert_eq!(server.advance(Duration::from_millis(4999)), [Seen::Draining]);
    assert_eq!(go_aways(&server.frames()), []);
    server.advance(Duration::from_millis(1));
    assert_eq!(go_aways(&server.frames()), [(1, 0)]);
}

/// Streams above the last GOAWAY are dropped in silence, with all their frames; the others go on,
/// and the last id does not grow.
#[test]
fn streams_above_the_last_go_away() {
    let mut server = Subject::server(config());
    server.feed(&wire::headers(1, false, wire::REQUEST));
    server.connection.shutdown(server.now, None);
    server.frames();
    server.advance(Duration::from_secs(5));
    assert_eq!(go_aways(&server.frames()), [(1, 0)]);
    let late = [
        wire::headers(3, false, wire::REQUEST),
        wire::data(3, false, b"late"),
        wire::window_update(3, 10),
        wire::data(3, true, b"later"),
        wire::headers(5, false, wire::REQUEST),
        wire::headers(5, true, &[("trailer", "x")]),
        wire::reset(5, 8),
        // Malformed, were it looked at.
        wire::headers(7, false, &[(":method", "POST")]),
        wire::go_away(0, 0, ""),
        wire::headers(9, false, wire::REQUEST),
    ];
    assert_eq!(server.feed(&late.concat()), []);
    assert_eq!(server.error(), None);
    assert_eq!(server.connection.open_streams(), 1);
    server.connection.assert_accounts();
    server.headers(1, &[(":status", "200")], true);
    assert_eq!(server.events(), [Seen::Closed]);
    assert_eq!(go_aways(&server.frames()), []);
}

#[test]
fn grace_ends_what_is_left() {
    let mut server = Subject::server(config());
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.connection.shutdown(server.now, Some(Duration::from_secs(30)));
    // A second call can only shorten it.
    server.connection.shutdown(server.now, Some(Duration::from_secs(20)));
    server.connection.shutdown(server.now, Some(Duration::from_secs(60)));
    server.frames();
    assert_eq!(server.advance(Duration::from_millis(19_999)), [Seen::Draining]);
    assert_eq!(server.advance(Duration::from_millis(1)), [Seen::Closed]);
    assert_eq!(server.connection.close_cause(), Some(&CloseCause::Local));
    assert_eq!(go_aways(&server.frames()).last(), Some(&(1, 0)));
}

/// Row 45: what a client says first does not hold a server's end up.
#[test]
fn a_client_that_says_go_away_first() {
    for (code, again) in [(0, false), (0, true), (2, false)] {
        let mut server = Subject::server(config());
        server.feed(&wire::headers(1, false, wire::REQUEST));
        assert_eq!(server.feed(&wire::go_away(0, code, "")), [Seen::Draining]);
        assert_eq!(server.feed(&wire::headers(3, false, wire::REQUEST)).len(), 1);
        server.connection.shutdown(server.now, Some(Duration::from_secs(30)));
        if again {
            server.feed(&wire::go_away(0, 0, ""));
        }
        assert_eq!(go_aways(&server.frames()), [(0x7fff_ffff, 0)]);
        assert_eq!(server.feed(&wire::headers(5, false, wire::REQUEST)).len(), 1);
        assert_eq!(server.advance(Duration::from_secs(5)), []);
        assert_eq!(go_aways(&server.frames()), [(5, 0)]);
        assert_eq!(server.feed(&wire::headers(7, false, wire::REQUEST)), []);
        assert_eq!(server.connection.open_streams(), 3);
        assert_eq!(server.advance(Duration::from_secs(25)), [Seen::Closed]);
    }
}

#[test]
fn shutdown_before_the_handshake() {
    let mut server = Subject::new(ferrpc_http2::Role::Server, Config::default());
    server.connection.shutdown(server.now, None);
    assert_eq!(server.events(), [Seen::Draining, Seen::Closed]);
    assert_eq!(go_aways(&server.frames()), [(0, 0)]);
}

#[test]
fn client_goes_in_one_step() {
    let mut client = client();
    client.connection.shutdown(client.now, None);
    assert_eq!(go_aways(&client.frames()), [(0, 0)]);
    assert_eq!(client.open(wire::REQUEST, true), Err(OpenError::Draining));
    for id in [1, 3, 5] {
        client.feed(&wire::headers(id, true, &[(":status", "200")]));
    }
    assert_eq!(client.connection.close_cause(), Some(&CloseCause::Graceful));
}

/// Streams above the last id end unprocessed, before the connection is reported closed; those up
/// to it go on; nothing new is opened.
#[test]
fn client_heeds_the_last_id() {
    let unprocessed = |id| Seen::Reset {
        id,
        reason: Reason::REFUSED_STREAM,
        by: ResetBy::Unprocessed,
        headers_sent: true,
    };
    let mut client = client();
    // The announcement says nothing of streams.
    assert_eq!(client.feed(&wire::go_away(0x7fff_ffff, 0, "")), [Seen::Draining]);
    assert_eq!(client.feed(&wire::go_away(3, 0, "")), [unprocessed(5)]);
    assert_eq!(client.open(wire::REQUEST, true), Err(OpenError::Draining));
    let seen = client.feed(&wire::headers(3, true, &[(":status", "200")]));
    assert!(matches!(seen[..], [Seen::Headers { id: 3, .. }]), "{seen:?}");
    assert_eq!(
        client.feed(&wire::go_away(0, 0, "")),
        [unprocessed(1), Seen::Closed],
        "the end of the last stream comes before the end of the connection"
    );
    assert_eq!(client.connection.close_cause(), Some(&CloseCause::Graceful));
}

/// The last event is Closed, whatever ends the last stream of a connection that is draining.
#[test]
fn closed_is_the_last_event() {
    let ends: [(&str, Vec<u8>); 4] = [
        ("reset", wire::reset(1, 8)),
        ("a broken rule", wire::window_update(1, 0)),
        ("malformed trailers", wire::headers(1, true, &[(":status", "200")])),
        ("unprocessed", wire::go_away(0, 0, "")),
    ];
    for (what, bytes) in ends {
        let mut client = Subject::client(config());
        assert_eq!(client.open(wire::REQUEST, true), Ok(1));
        client.feed(&wire::headers(1, false, &[(":status", "200")]));
        client.connection.shutdown(client.now, None);
        let seen = client.feed(&bytes);
        assert!(
            matches!(seen[..], [Seen::Draining, Seen::Reset { .. }, Seen::Closed]),
            "{what}: {seen:?}"
        );
        assert_eq!(client.events(), []);
    }
}

#[test]
fn go_away_with_an_error() {
    let mut client = client();
    assert_eq!(client.feed(&wire::go_away(5, 11, "too_many_pings")), [Seen::Draining]);
    // The reason stays, whatever is said later.
    client.feed(&wire::go_away(5, 0, ""));
    for id in [1, 3, 5] {
        client.feed(&wire::headers(id, true, &[(":status", "200")]));
    }
    let cause = CloseCause::PeerGoAway {
        reason: Reason::ENHANCE_YOUR_CALM,
        debug: "too_many_pings".into(),
    };
    assert_eq!(client.connection.close_cause(), Some(&cause));

    // The transport's end after GOAWAY is GOAWAY's fault.
    let mut client = self::client();
    client.feed(&wire::go_away(5, 2, "oops"));
    client.connection.handle_close();
    assert!(matches!(client.connection.close_cause(), Some(CloseCause::PeerGoAway { .. })));
}

/// An endless GOAWAY text is not kept, and none of it need be text.
#[test]
fn go_away_debug_is_cut() {
    let mut client = Subject::client(config());
    let mut payload = vec![0, 0, 0, 0, 0, 0, 0, 2];
    payload.extend([0xff; 16_000]);
    client.feed(&wire::frame(kind::GOAWAY, 0, 0, &payload));
    match client.connection.close_cause() {
        Some(CloseCause::PeerGoAway { debug, .. }) => assert!(debug.len() <= 3 * 512),
        cause => panic!("{cause:?}"),
    }
}
