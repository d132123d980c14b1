//! What is sent: the requests, framed as gRPC does, and how many bytes a right answer has.

use std::fmt;
use std::str::FromStr;

use super::programs::Offers;

/// Connections, and calls in flight on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

impl Shape {
    pub(crate) const fn new(connections: usize, streams: usize) -> Self {
        Self { connections, streams }
    }

    /// Calls in flight in all.
    pub(crate) fn in_flight(self) -> usize {
        self.connections * self.streams
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        text.split_once('x')
            .and_then(|(connections, streams)| {
                Some(Self { connections: number(connections)?, streams: number(streams)? })
            })
            .ok_or_else(|| format!("{text:?} is not CONNECTIONSxSTREAMS, 10x100 say"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.connections, self.streams)
    }
}

/// A kind of call, and what goes up and down with it.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// The request's messages, each with its prefix.
    pub(crate) body: Vec<u8>,
    /// Entries of metadata.
    pub(crate) metadata: usize,
    /// `--handler` of the server.
    pub(crate) handler: Option<&'static str>,
    /// Over TLS, to a server of that case's own.
    pub(crate) tls: bool,
    answer: Answer,
    /// Messages that come down in a call.
    pub(crate) messages: usize,
    /// Bytes of payload of a message, where throughput is counted.
    pub(crate) payload: usize,
    /// The flags with which a load client makes this call.
    pub(crate) flags: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Of `example.TestService`, signed with the server's language.
    Signed,
    Bytes(usize),
}

impl Load {
    /// Two short strings up and two down, as the tutorial's callers send.
    pub(crate) fn small() -> Self {
        Self {
            name: "small",
            path: "/example.TestService/method",
            body: framed(&request("py-request2")),
            metadata: 0,
            handler: None,
            tls: false,
            answer: Answer::Signed,
            messages: 1,
            payload: 0,
            flags: Vec::new(),
        }
    }

    /// The small call with ten entries of metadata.
    pub(crate) fn metadata() -> Self {
        let flags = vec!["--metadata".to_owned(), METADATA.to_string()];
        Self { name: "small, 10 entries of metadata", metadata: METADATA, flags, ..Self::small() }
    }

    /// The small call, to a handler that does something first.
    pub(crate) fn handler(handler: &'static str) -> Self {
        let name = match handler {
            "yields" => "small, handler gives way once",
            "sleeps" => "small, handler awaits 1 ms",
            _ => "small, handler computes 1 ms",
        };
        Self { name, handler: Some(handler), ..Self::small() }
    }

    /// The small call over TLS 1.3.
    pub(crate) fn tls() -> Self {
        Self { name: "TLS 1.3, small", tls: true, ..Self::small() }
    }

    /// One small call on each of many connections: the handshake is what it costs.
    pub(crate) fn handshake() -> Self {
        Self { name: "TLS 1.3, one call a connection", ..Self::tls() }
    }

    /// A `request2` of 64 KiB. The answer is the short one: 64 KiB go one way only.
    pub(crate) fn large() -> Self {
        let body = framed(&request(&"x".repeat(64 * 1024)));
        Self { name: "64 KiB up", body, ..Self::small() }
    }

    /// `UnaryCall` with so many bytes up and down.
    pub(crate) fn echo(name: &'static str, size: usize) -> Self {
        let mut message = Vec::new();
        number(&mut message, 2, size);
        bytes(&mut message, 3, &payload(size));
        Self {
            name,
            path: "/grpc.testing.TestService/UnaryCall",
            body: framed(&message),
            answer: Answer::Bytes(reply(size)),
            payload: size,
            flags: vec!["--payload".to_owned(), size.to_string()],
            ..Self::small()
        }
    }

    /// One `StreamingOutputCall` for a thousand messages of eight bytes.
    pub(crate) fn server_stream() -> Self {
        let mut message = Vec::new();
        for _ in 0..MESSAGES {
            bytes(&mut message, 2, &wanted(SMALL));
        }
        Self {
            name: "server streaming of 8 bytes",
            path: "/grpc.testing.TestService/StreamingOutputCall",
            body: framed(&message),
            answer: Answer::Bytes(MESSAGES * reply(SMALL)),
            messages: MESSAGES,
            flags: stream_flags("server-stream"),
            ..Self::small()
        }
    }

    /// One `FullDuplexCall` with a thousand messages of eight bytes each way.
    pub(crate) fn bidi() -> Self {
        let mut message = Vec::new();
        bytes(&mut message, 2, &wanted(SMALL));
        bytes(&mut message, 3, &payload(SMALL));
        Self {
            name: "both ways, 8 bytes",
            path: "/grpc.testing.TestService/FullDuplexCall",
            body: framed(&message).repeat(MESSAGES),
            answer: Answer::Bytes(MESSAGES * reply(SMALL)),
            messages: MESSAGES,
            flags: stream_flags("bidi"),
            ..Self::small()
        }
    }

    /// The same, called something else: where it is not sent as it is.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The bytes of messages in a right answer. With them the count of bytes tells a right answer
    /// from an error, which has no message.
    pub(crate) fn answer(&self, language: &str) -> usize {
        match self.answer {
            Answer::Signed => PREFIX + 2 * (2 + format!("res1-py-client->{language}-server").len()),
            Answer::Bytes(bytes) => bytes,
        }
    }

    /// Whether a server can be asked for it.
    pub(crate) fn fits(&self, offers: Offers) -> bool {
        match offers {
            Offers::Handlers => true,
            Offers::All => self.handler.is_none() && !self.tls,
            Offers::SmallUnary => {
                self.handler.is_none()
                    && !self.tls
                    && self.messages == 1
                    && self.body.len() < 16 << 10
            }
            Offers::Echo => self.name == "small",
        }
    }
}

fn stream_flags(mode: &str) -> Vec<String> {
    let (messages, size) = (MESSAGES.to_string(), SMALL.to_string());
    ["--mode", mode, "--messages", &messages, "--payload", &size].map(str::to_owned).to_vec()
}

/// An `example.Request`.
fn request(request2: &str) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, b"py-request1");
    bytes(&mut message, 2, request2.as_bytes());
    message
}

/// A `Payload` of so many bytes.
fn payload(size: usize) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 2, &vec![0; size]);
    message
}

/// `ResponseParameters` that ask for a message of so many bytes.
fn wanted(size: usize) -> Vec<u8> {
    let mut message = Vec::new();
    number(&mut message, 1, size);
    message
}

/// The length of a framed `SimpleResponse` or `StreamingOutputCallResponse`: a payload in field 1.
fn reply(size: usize) -> usize {
    let mut message = Vec::new();
    bytes(&mut message, 1, &payload(size));
    PREFIX + message.len()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

fn bytes(message: &mut Vec<u8>, field: u8, value: &[u8]) {
    message.push(field << 3 | 2);
    varint(message, value.len());
    message.extend_from_slice(value);
}

fn number(message: &mut Vec<u8>, field: u8, value: usize) {
    message.push(field << 3);
    varint(message, value);
}

fn varint(message: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// A compression flag and a length.
const PREFIX: usize = 5;
const METADATA: usize = 10;
const MESSAGES: usize = 1000;
const SMALL: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_framed() {
        let small = b"\0\0\0\0\x1a\x0a\x0bpy-request1\x12\x0bpy-request2";
        assert_eq!(Load::small().body, small);
        let large = Load::large().body;
        assert_eq!(large[5 + 13..5 + 13 + 4], [0x12, 0x80, 0x80, 0x04]);
        assert_eq!(large.len(), 5 + 13 + 4 + 65536);
        let echo = Load::echo("three", 3);
        assert_eq!(echo.body, b"\0\0\0\0\x09\x10\x03\x1a\x05\x12\x03\0\0\0");
    }

    #[test]
    fn answers() {
        assert_eq!(Load::small().answer("rust"), 63);
        assert_eq!(Load::small().answer("go"), 59);
        assert_eq!(Load::echo("three", 3).answer("go"), 5 + 2 + 2 + 3);
        assert_eq!(Load::server_stream().answer("go"), 1000 * (5 + 2 + 2 + 8));
    }

    #[test]
    fn who_can_be_asked() {
        assert!(Load::small().fits(Offers::Echo));
        assert!(!Load::metadata().fits(Offers::Echo));
        assert!(Load::metadata().fits(Offers::SmallUnary));
        assert!(!Load::large().fits(Offers::SmallUnary));
        assert!(!Load::handler("sleeps").fits(Offers::All));
        assert!(!Load::tls().fits(Offers::All) && Load::tls().fits(Offers::Handlers));
    }

    #[test]
    fn shapes() {
        assert_eq!("10x100".parse(), Ok(Shape { connections: 10, streams: 100 }));
        "10".parse::<Shape>().expect_err("no streams");
        "0x1".parse::<Shape>().expect_err("no connections");
    }
}
