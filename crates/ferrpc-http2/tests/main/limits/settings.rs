//! Rows 6, 9, 33: SETTINGS that are many, long or costly, and peers that have not seen ours.

use std::time::Duration;

use ferrpc_http2::{Config, Reason, Role};
use ferrpc_testing::wire::{self, Seen, Subject, flag, frame, kind};

use super::{CALM, assert_ended};

/// Row 9: 32 entries, not 33; duplicates and unknown ones count.
#[test]
fn entries() {
    for (count, fine) in [(32, true), (33, false)] {
        let mut server = Subject::server(Config::default());
        server.feed(&wire::settings(&vec![(0x7777, 1); count]));
        if fine {
            assert_eq!(server.error(), None);
            assert_eq!(server.frames(), wire::parse(&frame(kind::SETTINGS, flag::ACK, 0, &[])));
        } else {
            assert_ended(&mut server, CALM, "too_many_settings_entries");
        }
    }
}

/// Row 9 with the default limits: a hundred at once, ten a second for ever.
#[test]
fn default_rate() {
    let mut server = Subject::server(Config::default());
    for _ in 0..100 {
        server.feed(&wire::settings(&[]));
    }
    for _ in 0..1000 {
        assert_eq!(server.error(), None);
        server.advance(Duration::from_millis(100));
        server.feed(&wire::settings(&[(4, 65_535)]));
        // Each is acknowledged.
        assert!(!server.frames().is_empty());
    }
    server.feed(&wire::settings(&[]));
    assert_eq!(server.connection.counters().settings_received, 1102);
    assert_ended(&mut server, CALM, "too_many_settings");
}

/// The worst that SETTINGS can ask for: every window moved, as often as the budget allows, on as
/// many streams as there can be. It is only checked that it ends, and ends well.
#[test]
fn initial_window_on_many_streams() {
    let mut server = Subject::server(Config::default());
    for n in 0..1000 {
        server.feed(&wire::headers(2 * n + 1, true, wire::REQUEST));
        server.headers(2 * n + 1, &[(":status", "200")], false);
        server.data(2 * n + 1, b"waits for ever", false);
    }
    server.frames();
    let entries: Vec<(u16, u32)> = (0..32).map(|n| (4, n % 2 * 0x7000_0000)).collect();
    for _ in 0..100 {
        server.feed(&wire::settings(&entries));
    }
    assert_eq!(server.error(), None);
    server.connection.assert_accounts();
}

/// Row 6: a peer that offers a table of 4 GiB gets no more than ours; one of 0 gets none.
#[test]
fn encoder_table() {
    for (size, most) in [(u32::MAX, 4096), (0, 0), (100, 100)] {
        let mut server = Subject::server(Config::default());
        server.feed(&wire::settings(&[(1, size)]));
        let mut table_updates = Vec::new();
        for n in 0..200_u32 {
            let id = 2 * n + 1;
            server.feed(&wire::headers(id, true, wire::REQUEST));
            let value = format!("value {n}").repeat(5);
            server.headers(id, &[(":status", "200"), ("key", &value)], true);
            for headers in server.frames().iter().filter(|frame| frame.kind == kind::HEADERS) {
                // A size update stands at the beginning of a block: 001xxxxx.
                if headers.payload[0] & 0xe0 == 0x20 {
                    table_updates.push(integer(&headers.payload, 0x1f));
                }
            }
        }
        assert!(table_updates.iter().all(|update| *update <= most), "{table_updates:?}");
        assert_eq!(table_updates.is_empty(), size > 4096, "{size}");
    }
}

/// An HPACK integer whose first byte has this mask (RFC 7541, 5.1).
fn integer(bytes: &[u8], mask: u8) -> u32 {
    let mut value = u32::from(bytes[0] & mask);
    if value == u32::from(mask) {
        for (n, byte) in bytes[1..].iter().enumerate() {
            value += u32::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    value
}

/// Row 33: streams beyond a limit that the peer has not seen yet are refused, and no more; nor
/// later, if it goes on.
#[test]
fn streams_before_our_settings() {
    let mut config = Config::default();
    config.limits.max_concurrent_streams = 10;
    let mut server = Subject::new(Role::Server, config);
    server.feed(&wire::client_hello());
    for n in 0..1000 {
        let id = 2 * n + 1;
        let opened = server.feed(&wire::headers(id, true, wire::REQUEST)).len();
        assert_eq!(opened, usize::from(n < 10));
        let refused = wire::reset_of(&server.frames(), id);
        assert_eq!(refused, (n >= 10).then_some(Reason::REFUSED_STREAM.0));
    }
    server.feed(&frame(kind::SETTINGS, flag::ACK, 0, &[]));
    server.feed(&wire::headers(3001, true, wire::REQUEST));
    assert_eq!(server.error(), None);
    assert_eq!(server.connection.counters().refused_streams, 991);
    // A stream that ends makes room, whoever ended it.
    server.headers(1, &[(":status", "200")], true);
    server.feed(&wire::reset(3, 8));
    for id in [3003, 3005] {
        let seen = server.feed(&wire::headers(id, true, wire::REQUEST));
        assert!(matches!(seen[..], [Seen::Opened { .. }]), "{seen:?}");
    }
    assert_eq!(server.feed(&wire::headers(3007, true, wire::REQUEST)), []);
}
