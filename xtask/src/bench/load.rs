//! h2load, the neutral client: what it sends, and whether every answer came.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::subject::{LOAD_CORE, Subject, pinned};
use crate::process;
use crate::report::Progress;
use crate::workspace::Workspace;

/// Connections, and streams at a time on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

impl Shape {
    /// Enough calls for a second or so of a server's CPU time: its clock ticks 100 times a second.
    pub(crate) fn calls(self) -> usize {
        match (self.connections, self.streams) {
            (_, 50..) => 500_000,
            (50.., _) | (_, 5..) => 150_000,
            _ => 30_000,
        }
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

/// A request of `example.TestService/method`, framed as gRPC does.
pub(crate) struct Payload {
    pub(crate) name: &'static str,
    body: Vec<u8>,
}

impl Payload {
    /// Two short strings, as the tutorial's callers send.
    pub(crate) fn small() -> Self {
        Self { name: "small", body: request("py-request2") }
    }

    /// A `request2` of 64 KiB. The answer is the short one: 64 KiB go one way only.
    pub(crate) fn large() -> Self {
        Self { name: "64 KiB", body: request(&"x".repeat(64 * 1024)) }
    }
}

/// What the server answers, framed: two fields of 27 bytes. With it the count of bytes tells a
/// right answer from an error, which would have no message.
const ANSWER: usize = 5 + 2 * (2 + "res1-py-client->rust-server".len());

/// A framed `example.Request`: a compression flag, a length, and two fields of text.
fn request(request2: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for (field, text) in [(1, "py-request1"), (2, request2)] {
        message.push(field << 3 | 2);
        let mut length = text.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(text.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// The program, and a folder for its files.
pub(crate) struct H2load {
    folder: PathBuf,
}

impl H2load {
    /// Finds h2load, or installs Debian's package.
    pub(crate) fn find(workspace: &Workspace, progress: &Progress) -> Result<Self> {
        let runs = || {
            let mut command = Command::new("h2load");
            process::output(command.arg("--version"), "h2load", process::MINUTE).is_ok()
        };
        if !runs() {
            for arguments in [&["update"][..], &["install", "--yes", "nghttp2-client"]] {
                progress.say(&format!("apt-get {}", arguments.join(" ")));
                let mut command = Command::new("apt-get");
                command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
                process::output(&mut command, "apt-get", process::BUILD).context(
                    "h2load is not there and cannot be installed; it is in Debian's nghttp2-client",
                )?;
            }
            ensure!(runs(), "h2load does not run, though nghttp2-client is installed");
        }
        let folder = workspace.target.join("bench");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder })
    }

    /// Makes the calls; an error unless each was answered, and with the right count of bytes.
    pub(crate) fn run(
        &self,
        subject: &mut Subject,
        shape: Shape,
        calls: usize,
        payload: &Payload,
    ) -> Result<()> {
        let mut command = self.command(subject, shape, calls, payload)?;
        let said = process::output(&mut command, "h2load", LIMIT)?;
        subject.check()?;
        verify(&said, calls).with_context(|| format!("{} at {shape}:\n{said}", subject.name))
    }

    /// As `run`; returns what each call took, in microseconds.
    pub(crate) fn times(
        &self,
        subject: &mut Subject,
        shape: Shape,
        calls: usize,
        payload: &Payload,
    ) -> Result<Vec<u32>> {
        let log = self.folder.join("h2load.log");
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut command = self.command(subject, shape, calls, payload)?;
        command.arg("--log-file").arg(&log);
        let said = process::output(&mut command, "h2load", LIMIT)?;
        subject.check()?;
        verify(&said, calls).with_context(|| format!("{} at {shape}:\n{said}", subject.name))?;
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let times = times(&text).context("h2load's log is not as its manual says")?;
        ensure!(times.len() == calls, "h2load's log has {} of {calls} calls", times.len());
        Ok(times)
    }

    fn command(
        &self,
        subject: &Subject,
        shape: Shape,
        calls: usize,
        payload: &Payload,
    ) -> Result<Command> {
        let body = self.folder.join("body");
        fs::write(&body, &payload.body).with_context(|| body.display().to_string())?;
        let mut command = pinned(LOAD_CORE, "h2load");
        command
            .args(["-t", "1", "-H", "content-type: application/grpc", "-H", "te: trailers"])
            .args(["-c", &shape.connections.to_string(), "-m", &shape.streams.to_string()])
            .args(["-n", &calls.to_string(), "-d"])
            .arg(body)
            .arg(format!("http://{}/example.TestService/method", subject.address()));
        Ok(command)
    }
}

/// Every call has a 2xx and its share of the bytes.
fn verify(said: &str, calls: usize) -> Result<()> {
    let good: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("status codes: ")?.split_once(" 2xx"))
        .and_then(|(number, _)| number.parse().ok())
        .context("h2load counts no status codes")?;
    ensure!(good == calls, "{good} of {calls} calls were answered with 2xx");
    let data: usize = said
        .lines()
        .find_map(|line| line.strip_prefix("traffic: ")?.strip_suffix(") data"))
        .and_then(|line| line.rsplit_once('('))
        .and_then(|(_, number)| number.parse().ok())
        .context("h2load counts no bytes")?;
    if data != calls * ANSWER {
        bail!("{calls} calls brought {data} bytes, {} were expected", calls * ANSWER);
    }
    Ok(())
}

/// The third of three columns: when, status, microseconds.
fn times(log: &str) -> Option<Vec<u32>> {
    log.lines().map(|line| line.split('\t').nth(2)?.parse().ok()).collect()
}

/// A run takes seconds.
const LIMIT: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "requests: 100 total, 100 started, 100 done, 100 succeeded\n\
        status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx\n\
        traffic: 8.97MB (9401180) total, 293.54KB (300580) headers (space savings 95.77%), \
        6.01MB (6300) data\n";

    #[test]
    fn every_answer_counts() {
        verify(SAID, 100).expect("100 answers of 63 bytes");
        verify(SAID, 101).expect_err("one is missing");
        verify(&SAID.replace("(6300)", "(6237)"), 100).expect_err("one is empty");
    }

    #[test]
    fn requests_are_framed() {
        let small = b"\0\0\0\0\x1a\x0a\x0bpy-request1\x12\x0bpy-request2";
        assert_eq!(Payload::small().body, small);
        let large = Payload::large().body;
        assert_eq!(large[5 + 13..5 + 13 + 4], [0x12, 0x80, 0x80, 0x04]);
        assert_eq!(large.len(), 5 + 13 + 4 + 65536);
    }

    #[test]
    fn shapes() {
        assert_eq!("10x100".parse(), Ok(Shape { connections: 10, streams: 100 }));
        "10".parse::<Shape>().expect_err("no streams");
        "0x1".parse::<Shape>().expect_err("no connections");
    }

    #[test]
    fn the_log() {
        assert_eq!(times("1795350044610096\t200\t860\n17\t200\t9\n"), Some(vec![860, 9]));
        assert_eq!(times("17\t200\n"), None);
    }
}
