//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What to do, how often, how much at a time.
#[derive(Debug)]
pub struct Options {
    /// The server's HOST:PORT.
    pub connect: String,
    /// Connections and calls in flight.
    pub shape: Shape,
    /// Calls in all.
    pub calls: usize,
    /// Calls made before, which do not count.
    pub warm_up: usize,
    /// Messages of a streaming call, each way if both stream.
    pub messages: usize,
    /// Bytes of each message; 0 is the small call of `example.TestService`.
    pub payload: usize,
    /// What kind of call.
    pub mode: Mode,
    /// Metadata entries sent along with each call.
    pub metadata: usize,
    /// tokio's current-thread runtime.
    pub current_thread: bool,
    /// Flow-control windows larger than the messages, rather than the library's defaults.
    pub big_windows: bool,
    /// TLS, with the roots in this file.
    pub tls_ca: Option<PathBuf>,
}

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `example.TestService/method`, or `UnaryCall` if there is a payload.
    Unary,
    /// `StreamingOutputCall`.
    ServerStream,
    /// `FullDuplexCall`.
    Bidi,
}

/// Connections, and calls in flight on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connections.
    pub connections: usize,
    /// Calls in flight on each.
    pub streams: usize,
}

pub(crate) const USAGE: &str = "usage: --connect HOST:PORT [--shape CxS] [--calls N] [--warm-up N]
    [--mode unary|server-stream|bidi] [--payload BYTES] [--messages N] [--metadata N]
    [--current-thread] [--big-windows] [--tls-ca FILE]";

impl Options {
    /// Reads the arguments; `Err` says what is wrong with them.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            connect: String::new(),
            shape: Shape { connections: 1, streams: 1 },
            calls: 10_000,
            warm_up: usize::MAX,
            messages: 1000,
            payload: 0,
            mode: Mode::Unary,
            metadata: 0,
            current_thread: false,
            big_windows: false,
            tls_ca: None,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--connect" => options.connect = value()?,
                "--shape" => options.shape = parsed(&flag, &value()?)?,
                "--calls" => options.calls = parsed(&flag, &value()?)?,
                "--warm-up" => options.warm_up = parsed(&flag, &value()?)?,
                "--messages" => options.messages = parsed(&flag, &value()?)?,
                "--payload" => options.payload = parsed(&flag, &value()?)?,
                "--mode" => options.mode = parsed(&flag, &value()?)?,
                "--metadata" => options.metadata = parsed(&flag, &value()?)?,
                "--current-thread" => options.current_thread = true,
                "--tls-ca" => options.tls_ca = Some(value()?.into()),
                "--big-windows" => options.big_windows = true,
                _ => return Err(format!("unknown argument: {flag}")),
            }
        }
        if options.connect.is_empty() {
            return Err("--connect HOST:PORT is needed".to_owned());
        }
        if options.calls == 0 {
            return Err("--calls must be at least 1".to_owned());
        }
        if i32::try_from(options.payload).is_err() {
            return Err("--payload is too large for one message".to_owned());
        }
        if options.warm_up == usize::MAX {
            options.warm_up = options.calls.div_ceil(10);
        }
        Ok(options)
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{flag} {text}: {error}"))
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unary" => Ok(Self::Unary),
            "server-stream" => Ok(Self::ServerStream),
            "bidi" => Ok(Self::Bidi),
            _ => Err("not unary, server-stream or bidi"),
        }
    }
}

impl FromStr for Shape {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        text.split_once('x')
            .and_then(|(connections, streams)| {
                Some(Self { connections: number(connections)?, streams: number(streams)? })
            })
            .ok_or("not CONNECTIONSxCALLS, 10x100 say")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.connections, self.streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags() {
        let options = parse("--connect h:1 --shape 10x100 --calls 55 --mode bidi --big-windows")
            .expect("all of them are known");
        assert_eq!(options.shape, Shape { connections: 10, streams: 100 });
        assert_eq!((options.calls, options.warm_up), (55, 6));
        assert_eq!(options.mode, Mode::Bidi);
        assert!(options.big_windows);
    }

    #[test]
    fn wrong_flags() {
        for text in ["", "--connect", "--connect h:1 --shape 0x1", "--connect h:1 --calls 0"] {
            parse(text).expect_err(text);
        }
        parse("--connect h:1 --mode none").expect_err("no such mode");
    }
}
