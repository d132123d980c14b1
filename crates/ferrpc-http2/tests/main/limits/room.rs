//! Row 13, and what its limits must not do: streams that nobody reads hold memory of their own,
//! and keep nobody else from sending.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrpc_http2::{Config, Role};
use ferrpc_testing::wire::{self, Frame, Seen, Subject, kind};

const CHUNK: usize = 16 << 10;
const PER_STREAM: usize = 64 << 10;

/// An end whose streams begin with `window` bytes of credit, and a connection window that is not
/// in the way.
fn subject(role: Role, config: Config, window: u32) -> Subject {
    let mut subject = match role {
        Role::Server => Subject::server(config),
        Role::Client => Subject::client(config),
    };
    subject.feed(&wire::settings(&[(4, window)]));
    subject.feed(&wire::window_update(0, 0x7fff_ffff - 65_535));
    subject
}

/// Opens a stream on which the subject may send.
fn open(subject: &mut Subject, role: Role, id: u32) {
    match role {
        Role::Server => {
            subject.feed(&wire::headers(id, true, wire::REQUEST));
            subject.headers(id, &[(":status", "200")], false);
        }
        Role::Client => assert_eq!(subject.open(wire::REQUEST, false), Ok(id)),
    }
}

fn is_writable(subject: &mut Subject, id: u32) -> bool {
    let key = subject.key(id);
    subject.connection.is_writable(key)
}

/// Sends until the stream is full; how many bytes.
fn fill(subject: &mut Subject, id: u32) -> usize {
    let mut sent = 0;
    while is_writable(subject, id) {
        subject.data(id, &[0; CHUNK], false);
        sent += CHUNK;
    }
    sent
}

fn ids(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

fn payload(frames: &[Frame], id: u32) -> usize {
    let of_stream = |frame: &&Frame| frame.kind == kind::DATA && frame.stream == id;
    frames.iter().filter(of_stream).map(|frame| frame.payload.len()).sum()
}

/// As many streams as there may be stand still, some from the start and some in the middle, for an
/// hour. Another one goes on meanwhile, and none of them is reset. Then they are read after all.
#[test]
fn streams_that_are_not_read_stop_nobody() {
    for (role, window) in [(Role::Server, 0), (Role::Server, 20_000), (Role::Client, 0)] {
        let mut subject = subject(role, Config::default(), window);
        for id in ids(999) {
            open(&mut subject, role, id);
            assert!(fill(&mut subject, id) >= PER_STREAM);
            subject.frames();
            // Behind what the window took.
            fill(&mut subject, id);
        }
        subject.frames();
        assert!(subject.connection.accounts().queued >= 999 * (PER_STREAM - 20_000));
        let live = 2 * 999 + 1;
        open(&mut subject, role, live);
        let mut delivered = 0;
        for _ in 0..60 {
            subject.feed(&wire::window_update(live, 100_000));
            delivered += fill(&mut subject, live);
            assert!(payload(&subject.frames(), live) > 0);
            let seen = subject.advance(Duration::from_secs(60));
            assert!(seen.iter().all(|event| *event == Seen::Writable { id: live }), "{seen:?}");
        }
        assert!(delivered > 50 * 65_535, "{delivered}");
        assert_eq!(subject.connection.open_streams(), 1000);
        assert_eq!(subject.connection.counters().stalled_streams, 0);
        for id in ids(999) {
            let seen = subject.feed(&wire::window_update(id, 1 << 20));
            assert!(seen.iter().all(|event| matches!(event, Seen::Writable { .. })), "{seen:?}");
            assert!(payload(&subject.frames(), id) >= PER_STREAM - 20_000);
        }
        subject.connection.assert_accounts();
    }
}

/// A stream is told to wait for each of the reasons, and hears once that the reason is gone.
#[test]
fn each_reason_to_wait_ends() {
    let mut config = Config::default();
    config.limits.send_memory = 2 * PER_STREAM;
    let mut server = subject(Role::Server, config, 0);
    for id in ids(5) {
        open(&mut server, Role::Server, id);
    }
    let writable = |id| Seen::Writable { id };
    // Its own queue.
    fill(&mut server, 1);
    fill(&mut server, 3);
    assert_eq!(server.feed(&wire::window_update(1, 40_000)), []);
    server.frames();
    assert_eq!(server.events(), [writable(1)]);
    // Memory: for streams without credit, and none else.
    fill(&mut server, 1);
    fill(&mut server, 5);
    for _ in 0..3 {
        assert!(!is_writable(&mut server, 7) && !is_writable(&mut server, 9));
    }
    assert_eq!(server.feed(&wire::window_update(9, 30_000)), [writable(9)]);
    assert!(is_writable(&mut server, 9) && !is_writable(&mut server, 7));
    assert_eq!(fill(&mut server, 9), 2 * CHUNK);
    assert_eq!(payload(&server.frames(), 9), 30_000);
    assert!(!is_writable(&mut server, 9), "it is like the others now");
    assert_eq!(server.events(), []);
    // Memory that becomes free.
    server.feed(&wire::window_update(3, 1 << 20));
    server.frames();
    let mut seen = server.events();
    seen.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(seen, [3, 5, 7, 9].map(writable));
    assert!(is_writable(&mut server, 7));
    // A stream of another peer's mind: its window comes by SETTINGS.
    fill(&mut server, 3);
    fill(&mut server, 7);
    let mut woken = server.feed(&wire::settings(&[(4, 1 << 20)]));
    server.frames();
    woken.extend(server.events());
    for id in ids(5) {
        assert!(is_writable(&mut server, id), "{id}");
    }
    assert!(woken.contains(&writable(7)), "{woken:?}");
    server.connection.assert_accounts();
}

/// The connection's output is a reason of its own, in the order in which streams came.
#[test]
fn output_that_is_not_taken_stops_all_in_turn() {
    let mut server = subject(Role::Server, Config::default(), 1 << 20);
    for id in ids(40) {
        open(&mut server, Role::Server, id);
    }
    let full: usize = ids(40).map(|id| fill(&mut server, id)).sum();
    // One message may be too much for each that had none yet.
    assert!(full <= (1 << 20) + CHUNK, "{full}");
    let waiting: Vec<u32> = ids(40).filter(|id| !is_writable(&mut server, *id)).collect();
    assert_eq!(waiting.len(), 40);
    server.frames();
    let woken: Vec<Seen> = server.events();
    assert_eq!(woken.len(), 40, "{woken:?}");
    server.connection.assert_accounts();
}

/// Streams that all have data and credit send a frame each in turn, and what is small waits for no
/// more than one frame of each.
#[test]
fn turns() {
    const STREAMS: u32 = 50;
    for role in [Role::Server, Role::Client] {
        let mut subject = subject(role, Config::default(), 1 << 20);
        for id in ids(STREAMS) {
            open(&mut subject, role, id);
            subject.data(id, &[0; 10 * CHUNK], false);
        }
        let small = 2 * STREAMS + 1;
        open(&mut subject, role, small);
        subject.data(small, b"small", true);
        let frames = subject.frames();
        let sent: Vec<u32> =
            frames.iter().filter(|frame| frame.kind == kind::DATA).map(|f| f.stream).collect();
        let ahead = sent.iter().position(|id| *id == small).expect("it went out");
        assert!(ahead <= STREAMS as usize, "{ahead}");
        let mut last: BTreeMap<u32, usize> = BTreeMap::new();
        for (at, id) in sent.iter().enumerate() {
            if let Some(before) = last.insert(*id, at) {
                let between = &sent[before + 1..at];
                let others = ids(STREAMS).filter(|other| between.contains(other)).count();
                assert_eq!(others, STREAMS as usize - 1, "at {at}");
            }
        }
        assert_eq!(sent.len(), STREAMS as usize * 10 + 1);
    }
}

/// Requests are begun as tokens come, and a request that was answered brings its own back.
#[test]
fn starts() {
    let mut config = Config::default();
    config.limits.starts = ferrpc_http2::Budget { burst: 10, per_second: 200 };
    let mut server = Subject::server(config);
    let start = |server: &mut Subject| server.connection.may_start(server.now);
    for _ in 0..1000 {
        assert!(start(&mut server));
        server.connection.credit_completed();
    }
    for _ in 0..10 {
        assert!(start(&mut server));
    }
    assert!(!start(&mut server) && !start(&mut server));
    let ms = Duration::from_millis;
    assert_eq!(server.advance(ms(9)), []);
    assert_eq!(server.advance(ms(1)), [Seen::MayStart], "some at a time");
    assert_eq!(server.advance(ms(1000)), [], "said once");
    assert_eq!((0..20).filter(|_| start(&mut server)).count(), 10, "the burst at the most");
    server.connection.credit_completed();
    assert_eq!(server.events(), [Seen::MayStart]);
    assert!(start(&mut server));
    server.connection.assert_accounts();
}

/// A server whose answers, on so many streams, fill a memory of a MiB and are not read.
fn with_full_memory(streams: u32) -> Subject {
    let mut config = Config::default();
    config.limits.send_memory = 1 << 20;
    let mut server = subject(Role::Server, config, 0);
    for id in ids(streams) {
        open(&mut server, Role::Server, id);
        fill(&mut server, id);
    }
    server
}

/// While answers that are not read take all memory, no request is begun that would add to it.
#[test]
fn starts_wait_for_memory() {
    let mut server = with_full_memory(20);
    assert!(!server.connection.may_start(server.now));
    assert_eq!(server.advance(Duration::from_secs(14)), []);
    assert!(server.connection.wants_read(), "credit comes by reading");
    for id in ids(10) {
        server.feed(&wire::window_update(id, 1 << 20));
    }
    server.frames();
    let offered = |events: Vec<Seen>| events.contains(&Seen::MayStart);
    assert!(offered(server.events()));
    assert!(server.connection.may_start(server.now));
}

/// A peer that takes a byte of each answer now and then, below what resets the first: those that
/// wait for memory are not forgotten.
#[test]
fn starts_do_not_wait_for_ever() {
    let mut server = with_full_memory(16);
    assert!(!server.connection.may_start(server.now));
    // Just below the limit, and there it stays.
    server.feed(&wire::window_update(1, 100));
    server.frames();
    assert!(server.connection.accounts().queued < 1 << 20);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.extend(server.advance(Duration::from_secs(15)));
        ids(16).for_each(|id| {
            server.feed(&wire::window_update(id, 1));
        });
        server.frames();
    }
    assert!(seen.contains(&Seen::MayStart), "{seen:?}");
    // A quarter of the memory, and no more of them than that takes.
    assert_eq!(server.connection.counters().stalled_streams, 4);
    assert!(server.connection.may_start(server.now));
}

/// Limits of next to nothing slow a stream down, and do not stop it.
#[test]
fn the_smallest_limits_stop_nobody() {
    for (name, limit) in ["send_buffer_per_stream", "send_buffer", "send_memory"]
        .into_iter()
        .flat_map(|name| (0..6).map(move |limit| (name, limit)))
    {
        let mut config = Config::default();
        assert!(config.limits.set(name, limit));
        let mut server = subject(Role::Server, config, 0);
        ids(2).for_each(|id| open(&mut server, Role::Server, id));
        let mut sent = [0; 2];
        for _ in 0..20 {
            for (id, sent) in ids(2).zip(&mut sent) {
                if is_writable(&mut server, id) {
                    server.data(id, &[0; 1000], false);
                    *sent += 1;
                }
                server.feed(&wire::window_update(id, 1000));
            }
            server.frames();
            // Whoever is not writable is told when it is.
            server.events();
        }
        assert!(sent.iter().all(|sent| *sent > 5), "{name} {limit}: {sent:?}");
        server.connection.assert_accounts();
    }
}
