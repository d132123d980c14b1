//! Nothing grows with what the peer does: each way to make something grow is tried for long.

use std::time::Duration;

use ferrpc_http2::{Budget, Config};
use ferrpc_testing::wire::{self, Subject};

/// Shuts the connection's window for data by using it up with one stream.
fn shut(server: &mut Subject) {
    server.feed(&wire::settings(&[(4, 0x7fff_ffff)]));
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.headers(1, &[(":status", "200")], false);
    server.data(1, &[0; 2 << 20], false);
    server.frames();
    assert!(!server.connection.is_writable(server.key(1)));
}

/// With the connection's window shut, answered streams are reset one after the other: none of
/// them leaves anything behind in the ring of senders or the line of the blocked.
#[test]
fn streams_that_wait_and_are_reset() {
    let mut server = Subject::server(Config::default());
    shut(&mut server);
    let bounds = |server: &mut Subject| {
        let accounts = server.connection.accounts();
        assert!(accounts.ready <= 32, "{accounts:?}");
        assert!(accounts.blocked <= 32, "{accounts:?}");
        assert!(accounts.events <= 8, "{accounts:?}");
        server.connection.assert_accounts();
    };
    for n in 1..2000 {
        let id = 2 * n + 1;
        server.feed(&wire::headers(id, true, wire::REQUEST));
        server.headers(id, &[(":status", "200")], false);
        assert!(!server.connection.is_writable(server.key(id)));
        server.data(id, b"waits", false);
        server.feed(&wire::reset(id, 8));
        server.frames();
        bounds(&mut server);
    }
    assert_eq!(server.error(), None);
    // The first stream goes on where it was.
    server.feed(&wire::window_update(0, 0x7fff_0000));
    let data = server.frames().iter().map(|frame| frame.payload.len()).sum::<usize>();
    assert_eq!(data, (2 << 20) - 65_535);
    assert_eq!(server.events().len(), 1, "writable");
}

/// A stream of a client that is told to wait hears of it when the buffer has room, and only once.
#[test]
fn blocked_streams_are_woken() {
    let mut server = Subject::server(Config::default());
    shut(&mut server);
    for id in [3, 5, 7] {
        server.feed(&wire::headers(id, true, wire::REQUEST));
        for _ in 0..3 {
            assert!(!server.connection.is_writable(server.key(id)));
        }
    }
    server.feed(&wire::reset(5, 8));
    server.feed(&wire::window_update(0, 0x7fff_0000));
    server.frames();
    let mut woken: Vec<String> =
        server.events().into_iter().map(|event| format!("{event:?}")).collect();
    woken.sort();
    let expected = [1, 3, 7].map(|id| format!("Writable {{ id: {id} }}"));
    assert_eq!(woken, expected);
    for id in [1, 3, 7] {
        assert!(server.connection.is_writable(server.key(id)));
    }
}

/// Requests that are reset leave nothing, however many there were.
#[test]
fn opened_and_reset() {
    let mut config = Config::default();
    config.limits.early_resets = Budget { burst: 10, per_second: 10 };
    let mut server = Subject::server(config);
    for n in 0..20_000 {
        let id = 2 * n + 1;
        server.feed(&wire::headers(id, false, wire::REQUEST));
        server.feed(&wire::data(id, false, b"some bytes"));
        server.feed(&wire::reset(id, 8));
        if n % 1000 == 0 {
            server.connection.assert_accounts();
        }
    }
    let accounts = server.connection.accounts();
    let held = accounts.held_headers + accounts.queued + accounts.recent_resets;
    assert_eq!((accounts.streams, held, accounts.events), (0, 0, 0), "{accounts:?}");
    server.frames();
    assert_eq!(server.error(), None);
}

/// Output that nobody takes is bounded, whatever is asked for: acknowledgements, resets, refusals.
#[test]
fn output_that_is_not_taken() {
    type Make<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let floods: [(&str, Make<'_>); 5] = [
        ("pings", &|_| wire::ping([7; 8])),
        ("settings", &|_| wire::settings(&[])),
        ("refused streams", &|n| wire::headers(2 * n + 1, false, wire::REQUEST)),
        ("malformed requests", &|n| wire::headers(2 * n + 1, false, &[("a", "b")])),
        ("padding", &|n| match n {
            0 => wire::headers(1, false, wire::REQUEST),
            _ => wire::frame(0, wire::flag::PADDED, 1, &[&[255][..], &[0; 255]].concat()),
        }),
    ];
    for (what, flood) in floods {
        let mut config = Config::default();
        config.limits.max_concurrent_streams = 1;
        config.limits.pings.max_strikes = 0;
        let mut server = Subject::server(config);
        let mut n = 0;
        // A driver reads 64 KiB at a time, and only while the connection wants it.
        while server.connection.wants_read() && n < 1_000_000 {
            let mut chunk = Vec::new();
            while chunk.len() < 64 << 10 {
                chunk.extend(flood(n));
                n += 1;
            }
            server.feed(&chunk);
            server.now = server.now + Duration::from_micros(1);
        }
        let accounts = server.connection.accounts();
        assert!(accounts.output <= (1 << 20) + (256 << 10), "{what}: {accounts:?}");
        if what == "pings" {
            assert_eq!(server.error(), None);
            assert_eq!(server.connection.counters().read_pauses, 1);
            // Each has its own answer, and then reading goes on.
            assert_eq!(server.frames().len(), n as usize);
            assert!(server.connection.wants_read());
        }
    }
}
