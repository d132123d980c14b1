//! HTTP/2 alone: a server's connection with a hundred requests at a time.

use bytes::Bytes;
use ferrpc_http2::{
    Config, Connection, Event, Field, HeadersKind, Role, StreamKey, Time, Transmit,
};

use crate::batches;

/// Cutting frames, decoding headers, handing payload on.
pub(crate) fn receive() {
    let mut ends = Ends::new();
    batches(|count| {
        let input = ends.requests();
        let mut streams = Vec::with_capacity(STREAMS);
        count(&mut || ends.receive(&input, &mut streams));
        ends.respond(&streams);
        ends.responses();
    });
}

/// Headers, a message and trailers for each stream, and the bytes of them all.
pub(crate) fn send() {
    let mut ends = Ends::new();
    batches(|count| {
        let input = ends.requests();
        let mut streams = Vec::with_capacity(STREAMS);
        ends.receive(&input, &mut streams);
        count(&mut || ends.respond(&streams));
        ends.responses();
    });
}

/// Both connections, and what the server has to send.
struct Ends {
    client: Connection,
    server: Connection,
    transmit: Transmit,
    output: Vec<u8>,
}

impl Ends {
    fn new() -> Self {
        Self {
            client: Connection::new(Role::Client, Config::default(), NOW),
            server: Connection::new(Role::Server, Config::default(), NOW),
            transmit: Transmit::new(),
            output: Vec::new(),
        }
    }

    /// What a client sends that starts a hundred calls.
    fn requests(&mut self) -> Vec<u8> {
        for token in 0..STREAMS {
            let key = self.client.open(NOW, REQUEST.map(field), false).expect("within the limits");
            self.client.bind(key, token as u32);
            self.client.send_data(NOW, key, &[0, 0, 0, 0, 26], Bytes::from_static(&[7; 26]), true);
        }
        let mut bytes = Vec::new();
        while self.client.poll_transmit(NOW, &mut self.transmit, CHUNK) {
            bytes.extend(self.transmit.take());
        }
        bytes
    }

    fn receive(&mut self, mut input: &[u8], streams: &mut Vec<StreamKey>) {
        let (mut payload_bytes, mut ended) = (0, 0);
        while let Some(event) = self.server.receive(NOW, &mut input) {
            match event {
                Event::Opened { stream, .. } => {
                    self.server.bind(stream, streams.len() as u32);
                    streams.push(stream);
                }
                Event::Data { token, payload, end } => {
                    payload_bytes += payload.len();
                    ended += usize::from(end);
                    self.server.release(streams[token as usize], payload.len());
                }
                _ => {}
            }
        }
        assert_eq!((streams.len(), ended, payload_bytes), (STREAMS, STREAMS, STREAMS * 31));
    }

    fn respond(&mut self, streams: &[StreamKey]) {
        self.output.clear();
        for stream in streams {
            self.server.send_headers(*stream, RESPONSE.map(field), false);
            let message = Bytes::from_static(&[7; 58]);
            self.server.send_data(NOW, *stream, &[0, 0, 0, 0, 58], message, false);
            self.server.send_trailers(*stream, TRAILERS.map(field));
        }
        while self.server.poll_transmit(NOW, &mut self.transmit, CHUNK) {
            self.output.extend(self.transmit.take());
        }
    }

    /// The client takes them, and the streams are free again.
    fn responses(&mut self) {
        let mut input = self.output.as_slice();
        let mut ended = 0;
        while let Some(event) = self.client.receive(NOW, &mut input) {
            if let Event::Headers { kind: HeadersKind::Trailers, .. } = event {
                ended += 1;
            }
        }
        assert_eq!(ended, STREAMS);
    }
}

fn field((name, value): (&'static str, &'static str)) -> Field<'static> {
    Field { name: name.as_bytes(), value: value.as_bytes(), sensitive: false }
}

const REQUEST: [(&str, &str); 7] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/example.TestService/method"),
    (":authority", "localhost:50051"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "ferrpc/0.1.0"),
];
const RESPONSE: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
const TRAILERS: [(&str, &str); 1] = [("grpc-status", "0")];
const STREAMS: usize = 100;
const CHUNK: usize = 64 << 10;
const NOW: Time = Time::from_nanos(1_000_000_000);
