//! Rows 1, 2, 8, 9, 11, 15, 32: frames that cost the sender little, without end. Each flood ends
//! with the frame that exceeds its budget, not one earlier.

use std::time::Duration;

use ferrpc_http2::{Budget, Config, Counters, Limits, Reason, Role};
use ferrpc_testing::wire::{self, Seen, Subject, flag, kind};

use super::{CALM, assert_ended};

/// Three streams that a flood is let loose on: 1 is open, 3 was answered and half closed, 5 closed.
fn prepared(role: Role, config: Config) -> Subject {
    let mut subject = match role {
        Role::Server => Subject::server(config),
        Role::Client => Subject::client(config),
    };
    for id in [1, 3, 5] {
        match role {
            Role::Server => {
                subject.feed(&wire::headers(id, id > 1, wire::REQUEST));
            }
            Role::Client => {
                assert_eq!(subject.open(wire::REQUEST, id > 1), Ok(id));
                subject.feed(&wire::headers(id, id == 5, &[(":status", "200")]));
            }
        }
    }
    if role == Role::Server {
        subject.headers(5, &[(":status", "200")], true);
    }
    subject.frames();
    subject
}

/// One flood: `frame` costs a token of the bucket that `counter` counts.
struct Flood {
    what: &'static str,
    role: Role,
    frame: Vec<u8>,
    counter: fn(&Counters) -> u64,
    debug: &'static str,
    /// Frames that are free.
    free: u64,
}

/// The budget of everything here.
const BUDGET: Budget = Budget { burst: 20, per_second: 10 };

fn config() -> Config {
    let mut config = Config::default();
    config.limits.idle_frames = BUDGET;
    config.limits.empty_frames = BUDGET;
    config.limits.small_frames = BUDGET;
    config.limits.window_updates = BUDGET;
    config.limits.settings = BUDGET;
    config.limits.induced_resets = BUDGET;
    config.limits.early_resets = BUDGET;
    config.limits.pings.max_strikes = 0;
    config
}

fn floods() -> Vec<Flood> {
    let idle = |what, role, frame, free| Flood {
        what,
        role,
        frame,
        counter: |counters| counters.idle_frames,
        debug: "too_many_idle_frames",
        free,
    };
    let empty = |what, frame| Flood {
        debug: "too_many_empty_frames",
        ..idle(what, Role::Server, frame, 0)
    };
    // What may have been under way to stream 5 when it ended.
    let strays = 4;
    let (server, client) = (Role::Server, Role::Client);
    let go_away = wire::go_away(0x7fff_ffff, 0, "");
    let settings = |frame| Flood {
        what: "SETTINGS",
        role: server,
        frame,
        counter: |counters| counters.settings_received,
        debug: "too_many_settings",
        free: 1,
    };
    let update = |what, role, frame| Flood {
        what,
        role,
        frame,
        counter: |counters| counters.window_updates,
        debug: "too_many_window_updates",
        free: 0,
    };
    vec![
        update("WINDOW_UPDATE of a stream", server, wire::window_update(1, 1)),
        update("WINDOW_UPDATE of the connection", client, wire::window_update(0, 1)),
        Flood {
            what: "DATA of next to nothing",
            counter: |counters| counters.small_frames,
            debug: "too_many_small_frames",
            ..idle("", server, wire::data(1, false, &[0; Limits::SMALL_PAYLOAD - 1]), 0)
        },
        Flood {
            what: "the same to a closed stream",
            counter: |counters| counters.small_frames,
            debug: "too_many_small_frames",
            ..idle("", server, wire::data(5, false, &[0; Limits::SMALL_PAYLOAD - 1]), 0)
        },
        empty("empty DATA", wire::data(1, false, b"")),
        empty("DATA of padding", wire::frame(kind::DATA, flag::PADDED, 1, &[0])),
        idle("PRIORITY", server, wire::frame(kind::PRIORITY, 0, 1, &[0; 5]), 0),
        idle("PRIORITY of idle streams", server, wire::frame(kind::PRIORITY, 0, 99, &[0; 5]), 0),
        idle("an unknown frame", server, wire::frame(0x77, 0, 1, b"what?"), 0),
        idle("RST_STREAM, closed stream", server, wire::reset(5, 8), strays),
        Flood {
            counter: |counters| counters.idle_frames + counters.window_updates,
            free: strays,
            ..update("WINDOW_UPDATE, closed stream", server, wire::window_update(5, 1))
        },
        idle("SETTINGS acknowledgement", server, wire::frame(kind::SETTINGS, 1, 0, &[]), 0),
        idle("PING acknowledgement", server, wire::frame(kind::PING, 1, 0, &[7; 8]), 0),
        idle("keepalive pong", server, wire::frame(kind::PING, 1, 0, b"\x02ferrpc\0"), 0),
        idle("probe pong", server, wire::frame(kind::PING, 1, 0, b"\x01ferrpc\0"), 0),
        idle("GOAWAY", client, go_away.clone(), 0),
        idle("GOAWAY to a server", server, go_away, 0),
        settings(wire::settings(&[])),
        settings(wire::settings(&[(1, 0), (1, 4096), (4, 0), (4, 65_535)])),
    ]
}

#[test]
fn budgets_end_floods() {
    for Flood { what, role, frame, counter, debug, free } in floods() {
        let mut subject = prepared(role, config());
        let before = counter(subject.connection.counters()) - u64::from(what == "SETTINGS");
        let count = |subject: &Subject| counter(subject.connection.counters()) - before;
        // All at once: as many as the burst.
        let burst = u64::from(BUDGET.burst) + free;
        while count(&subject) < burst {
            subject.feed(&frame);
            assert_eq!(subject.error(), None, "{what}: at {}", count(&subject));
        }
        // Then as many as time gives back.
        let mut slow = prepared(role, config());
        for second in 0..100 {
            for _ in 0..BUDGET.per_second {
                slow.feed(&frame);
            }
            assert_eq!(slow.error(), None, "{what}: after {second} s");
            slow.frames();
            slow.now = slow.now + Duration::from_secs(1);
        }
        assert_eq!(subject.feed(&frame), [Seen::Closed], "{what}");
        assert_eq!(count(&subject), burst + 1, "{what}");
        assert_ended(&mut subject, CALM, debug);
    }
}

/// Streams above the limit, from a peer that has acknowledged it; before, they are merely refused.
#[test]
fn refused_streams() {
    for acknowledged in [false, true] {
        let mut config = config();
        config.limits.max_concurrent_streams = 1;
        config.limits.refused_streams = BUDGET;
        let mut server = Subject::new(Role::Server, config);
        server.feed(&wire::client_hello());
        if acknowledged {
            server.feed(&wire::frame(kind::SETTINGS, 1, 0, &[]));
        }
        for n in 0..=BUDGET.burst {
            server.feed(&wire::headers(2 * n + 1, false, wire::REQUEST));
        }
        assert_eq!(server.error(), None);
        assert_eq!(server.connection.counters().refused_streams, u64::from(BUDGET.burst));
        server.feed(&wire::headers(2 * BUDGET.burst + 3, false, wire::REQUEST));
        if acknowledged {
            assert_ended(&mut server, CALM, "too_many_refused_streams");
        }
        assert_eq!(server.error().is_some(), acknowledged);
    }
}

/// Row 11: data pays empty frames back.
#[test]
fn data_pays_for_empty_frames() {
    let mut server = prepared(Role::Server, config());
    for _ in 0..1000 {
        server.feed(&wire::data(1, false, b"12345"));
        server.feed(&wire::data(1, false, b""));
        server.frames();
    }
    assert_eq!(server.error(), None);
    assert_eq!(server.connection.counters().idle_frames, 1000);
}

/// A bucket that was full for long holds no more than its burst.
#[test]
fn buckets_do_not_save_up() {
    let mut server = prepared(Role::Server, config());
    server.advance(Duration::from_secs(1000));
    let frame = wire::data(1, false, b"");
    for _ in 0..BUDGET.burst {
        server.feed(&frame);
    }
    assert_eq!(server.error(), None);
    server.feed(&frame);
    assert_ended(&mut server, CALM, "too_many_empty_frames");

    let mut server = prepared(Role::Server, config());
    server.feed(&frame);
    server.advance(Duration::from_secs(1000));
    server.feed(&frame.repeat(BUDGET.burst as usize));
    assert_eq!(server.error(), None);
    server.feed(&frame);
    assert_ended(&mut server, CALM, "too_many_empty_frames");
}

/// Row 1: the user says which resets were early; completed streams pay for them.
#[test]
fn early_resets() {
    let mut server = Subject::server(config());
    let mut id = 1;
    let mut rapid = |server: &mut Subject| {
        server.feed(&wire::headers(id, true, wire::REQUEST));
        let seen = server.feed(&wire::reset(id, 8));
        assert!(matches!(seen[..], [Seen::Reset { headers_sent: false, .. }]), "{seen:?}");
        server.connection.charge_early_reset(server.now);
        id += 2;
    };
    for _ in 0..BUDGET.burst {
        rapid(&mut server);
    }
    for _ in 0..2 {
        server.connection.credit_completed();
    }
    for _ in 0..2 * Limits::EARLY_RESETS_PER_ANSWER {
        rapid(&mut server);
    }
    assert_eq!(server.error(), None);
    rapid(&mut server);
    assert_eq!(server.connection.counters().early_resets, u64::from(BUDGET.burst) + 9);
    assert_ended(&mut server, CALM, "too_many_resets");
}

/// Row 2: what makes us reset streams, in all its forms.
#[test]
fn induced_resets() {
    let open = |id| wire::headers(id, false, wire::REQUEST);
    let ended = |id| wire::headers(id, true, wire::REQUEST);
    type Make<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let ways: [(&str, Make<'_>); 8] = [
        ("malformed request", &|id| wire::headers(id, true, &[("a", "b")])),
        ("zero increment", &|id| [open(id), wire::window_update(id, 0)].concat()),
        ("window overflow", &|id| [ended(id), wire::window_update(id, 0x7fff_ffff)].concat()),
        ("data after the end", &|id| [ended(id), wire::data(id, true, b"x")].concat()),
        ("headers after the end", &|id| [ended(id), ended(id)].concat()),
        ("trailers without end", &|id| [open(id), open(id)].concat()),
        ("bad priority", &|id| [open(id), wire::frame(kind::PRIORITY, 0, id, &[0])].concat()),
        ("content-length", &|id| {
            let fields = [wire::REQUEST, &[("content-length", "3")]].concat();
            [wire::headers(id, false, &fields), wire::data(id, true, b"four")].concat()
        }),
    ];
    for (what, make) in ways {
        let mut server = Subject::server(config());
        server.feed(&open(1));
        let burst = u32::from(BUDGET.burst as u16);
        for n in 0..burst {
            let id = 2 * n + 3;
            server.feed(&make(id));
            let frames = server.frames();
            assert!(wire::reset_of(&frames, id).is_some(), "{what}: {frames:?}");
            assert_eq!(wire::reset_of(&frames, 1), None, "{what}");
        }
        assert_eq!(server.error(), None, "{what}");
        assert_eq!(server.feed(&wire::data(1, false, b"still here")).len(), 1);
        server.feed(&make(2 * burst + 3));
        assert_eq!(server.connection.counters().induced_resets, u64::from(burst) + 1);
        assert_ended(&mut server, CALM, "too_many_stream_errors");
    }
}

/// Resets that the peer did not bring about by breaking a rule are free: ours, and refusals.
#[test]
fn own_resets_are_free() {
    let mut config = config();
    config.limits.max_concurrent_streams = 1;
    let mut server = Subject::server(config);
    for n in 0..1000 {
        let id = 4 * n + 1;
        let input = [
            wire::headers(id, false, wire::REQUEST),
            wire::headers(id + 2, false, wire::REQUEST),
            wire::data(id + 2, true, b"in flight"),
        ];
        assert_eq!(server.feed(&input.concat()).len(), 1);
        let frames = server.frames();
        assert_eq!(wire::reset_of(&frames, id + 2), Some(Reason::REFUSED_STREAM.0));
        match n % 2 {
            0 => server.connection.reset(server.key(id), Reason::CANCEL),
            _ => server.headers(id, &[(":status", "200")], true),
        }
        server.frames();
    }
    assert_eq!(server.error(), None);
    let counters = server.connection.counters();
    assert_eq!((counters.induced_resets, counters.refused_streams), (0, 1000));
}
