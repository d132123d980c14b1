//! How the byte stream is cut must make no difference.

use ferrpc_http2::Role;
use ferrpc_testing::wire::{self, Frame, Seen, Subject, flag, kind};
use proptest::prelude::*;

use super::config;

/// A client's side of a conversation with a bit of everything that leaves a server alive.
fn client_script() -> Vec<u8> {
    let block = wire::block(&[wire::REQUEST, &[("long", "x")]].concat());
    let (first, second) = block.split_at(7);
    let padded =
        |payload: &[u8], padding: u8| [&[padding], payload, &vec![0; padding.into()]].concat();
    [
        wire::client_hello(),
        wire::frame(kind::SETTINGS, flag::ACK, 0, &[]),
        wire::headers(1, false, wire::REQUEST),
        wire::data(1, false, b"hello"),
        wire::frame(kind::DATA, flag::PADDED, 1, &padded(b"padded", 9)),
        wire::frame(kind::DATA, flag::PADDED, 1, &padded(b"", 200)),
        wire::frame(kind::DATA, flag::PADDED, 1, &padded(b"", 0)),
        wire::frame(kind::HEADERS, flag::END_STREAM, 3, first),
        wire::frame(kind::CONTINUATION, 0, 3, &[]),
        wire::frame(kind::CONTINUATION, flag::END_HEADERS, 3, second),
        wire::data(3, false, b"after the end: its stream is reset"),
        wire::data(3, true, b"and what is in flight is dropped"),
        wire::frame(0xbe, 0x55, 77, b"unknown"),
        wire::frame(0xef, 0, 0, b""),
        wire::ping(*b"12345678"),
        wire::frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 9]),
        wire::frame(kind::PRIORITY, 0, 3, &[0, 0, 0]),
        wire::frame(kind::PRIORITY, 0, 3, &[]),
        wire::frame(kind::HEADERS, flag::PADDED | flag::PRIORITY | flag::END_HEADERS, 5, &{
            let mut payload = vec![3, 0, 0, 0, 1, 16];
            payload.extend(wire::block(wire::REQUEST));
            payload.extend([0; 3]);
            payload
        }),
        wire::window_update(0, 100),
        wire::window_update(5, 100),
        wire::window_update(5, 0),
        wire::headers(7, false, wire::REQUEST),
        wire::frame(kind::DATA, flag::PADDED | flag::END_STREAM, 7, &padded(b"end", 3)),
        wire::reset(7, 8),
        wire::headers(9, false, wire::REQUEST),
        wire::frame(kind::DATA, flag::PADDED | flag::END_STREAM, 9, &padded(b"", 2)),
        wire::headers(11, false, &[wire::REQUEST, &[("content-length", "3")]].concat()),
        wire::data(11, false, b"more than three"),
        wire::headers(13, false, wire::REQUEST),
        wire::data(13, false, b""),
        wire::headers(13, true, &[("trailer", "value")]),
        wire::settings(&[(4, 1000), (0xabcd, 7)]),
        wire::headers(15, false, &[(":method", "POST")]),
        wire::data(1, true, b"bye"),
    ]
    .concat()
}

/// A server's side of a conversation with a client that has opened streams 1, 3 and 5.
fn server_script() -> Vec<u8> {
    [
        wire::settings(&[(3, 100), (5, 20_000)]),
        wire::frame(kind::SETTINGS, flag::ACK, 0, &[]),
        wire::headers(1, false, &[(":status", "100")]),
        wire::headers(1, false, &[(":status", "200"), ("a", "b")]),
        wire::frame(kind::DATA, flag::PADDED, 1, &[2, 1, 2, 3, 0, 0]),
        wire::data(1, false, b"data"),
        wire::headers(1, true, &[("grpc-status", "0")]),
        wire::headers(3, true, &[(":status", "404")]),
        wire::reset(3, 0),
        wire::data(5, false, b"data before headers"),
        wire::go_away(5, 0, "bye"),
    ]
    .concat()
}

fn subject(role: Role) -> Subject {
    let mut subject = Subject::new(role, config());
    if role == Role::Client {
        for id in [1, 3, 5] {
            assert_eq!(subject.open(wire::REQUEST, id == 1), Ok(id));
        }
    }
    subject
}

fn script(role: Role) -> Vec<u8> {
    match role {
        Role::Client => server_script(),
        Role::Server => client_script(),
    }
}

/// Events and output of a conversation that arrives cut at these places.
fn run(role: Role, cuts: &[usize]) -> (Vec<Seen>, Vec<Frame>) {
    let script = script(role);
    let mut subject = subject(role);
    let mut seen = Vec::new();
    let mut at = 0;
    for &cut in cuts.iter().chain(&[script.len()]) {
        seen.extend(subject.feed(&script[at..cut.max(at)]));
        seen.extend(subject.feed(&[]));
        subject.connection.assert_accounts();
        at = at.max(cut);
    }
    (Seen::joined(seen), subject.frames())
}

#[test]
fn byte_by_byte() {
    for role in [Role::Server, Role::Client] {
        let whole = run(role, &[]);
        assert!(whole.0.len() > 8, "{whole:?}");
        let every: Vec<usize> = (0..script(role).len()).collect();
        assert_eq!(run(role, &every), whole);
    }
}

#[test]
fn cut_once_anywhere() {
    for role in [Role::Server, Role::Client] {
        let whole = run(role, &[]);
        for cut in 0..script(role).len() {
            assert_eq!(run(role, &[cut]), whole, "cut at {cut}");
        }
    }
}

proptest! {
    #[test]
    fn cut_at_random(mut cuts in prop::collection::vec(0_usize..1200, 0..60), client: bool) {
        let role = if client { Role::Client } else { Role::Server };
        let length = script(role).len();
        cuts.iter_mut().for_each(|cut| *cut %= length);
        cuts.sort_unstable();
        prop_assert_eq!(run(role, &cuts), run(role, &[]));
    }

    /// Whatever was taken of the output in one go, the bytes are the same.
    #[test]
    fn output_in_pieces(pieces in prop::collection::vec(1_usize..3000, 1..50), most in 1_usize..40_000) {
        let talk = |take: &mut dyn FnMut(&mut Subject) -> Vec<u8>| {
            let mut server = Subject::server(config());
            let mut out = Vec::new();
            for id in (1..20).step_by(2) {
                server.feed(&wire::headers(id, true, wire::REQUEST));
                server.headers(id, &[(":status", "200")], false);
                server.data(id, &vec![id as u8; 700 * id as usize], id % 3 == 0);
                if id % 3 != 0 {
                    server.trailers(id, &[("grpc-status", "0")]);
                }
            }
            for _ in 0..10_000 {
                out.extend(take(&mut server));
            }
            out
        };
        let whole = talk(&mut Subject::output);
        let mut transmit = ferrpc_http2::Transmit::new();
        let mut sizes = pieces.iter().cycle();
        let cut = talk(&mut |server| {
            server.connection.poll_transmit(server.now, &mut transmit, most);
            let mut all = Vec::new();
            let mut slices = [std::io::IoSlice::new(&[]); 7];
            let filled = transmit.chunks(&mut slices);
            for slice in &slices[..filled] {
                all.extend_from_slice(slice);
            }
            all.truncate(*sizes.next().expect("endless"));
            transmit.advance(all.len());
            all
        });
        prop_assert_eq!(by_stream(&cut), by_stream(&whole));
    }
}

/// The bytes of data and the ends of each stream: in which turn streams send depends on when
/// output is taken.
fn by_stream(bytes: &[u8]) -> Vec<(u32, Vec<u8>, usize)> {
    let mut streams: Vec<(u32, Vec<u8>, usize)> = Vec::new();
    for frame in wire::parse(bytes) {
        let index = streams.iter().position(|stream| stream.0 == frame.stream);
        let index = index.unwrap_or_else(|| {
            streams.push((frame.stream, Vec::new(), 0));
            streams.len() - 1
        });
        let stream = &mut streams[index];
        if frame.kind == kind::DATA {
            stream.1.extend(&frame.payload);
        }
        if frame.kind == kind::HEADERS || frame.flags & flag::END_STREAM != 0 {
            stream.2 += 1;
        }
    }
    streams.sort();
    streams
}
