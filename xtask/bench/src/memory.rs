//! Resident memory of connections that have shaken hands and then do nothing, and of calls that
//! wait for their first message. The client is made of frames written by hand: whatever a library
//! would do beside them is not the server's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::subject::Subject;
use crate::process;

/// KiB per idle connection of a fresh server.
pub(crate) fn per_connection(subject: &mut Subject) -> Result<f64> {
    // What the first connections set up once is not the connections' own.
    let warm = open(subject, WARM)?;
    let before = settled(subject)?;
    let idle = open(subject, CONNECTIONS)?;
    let after = settled(subject)?;
    drop((warm, idle));
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}

/// KiB per call in flight of a fresh server: `StreamingInputCall`s whose headers came and whose
/// first message did not. They are ended then, and each must be answered.
pub(crate) fn per_call(subject: &mut Subject) -> Result<f64> {
    let mut connections = open(subject, CALL_CONNECTIONS)?;
    // A call on each that is over: what a connection sets up for its first is not a call's own.
    for connection in &mut connections {
        connection.start(1)?;
        connection.end(1)?;
        connection.answers(1)?;
    }
    let before = settled(subject)?;
    for connection in &mut connections {
        for number in 1..=CALLS_EACH {
            connection.start(1 + 2 * number)?;
        }
    }
    let after = settled(subject)?;
    for connection in &mut connections {
        for number in 1..=CALLS_EACH {
            connection.end(1 + 2 * number)?;
        }
    }
    for connection in &mut connections {
        connection.answers(CALLS_EACH as usize)?;
    }
    let calls = CALL_CONNECTIONS * CALLS_EACH as usize;
    Ok(after.saturating_sub(before) as f64 / calls as f64)
}

fn settled(subject: &mut Subject) -> Result<u64> {
    thread::sleep(SETTLE);
    subject.check()?;
    subject.resident()
}

fn open(subject: &Subject, connections: usize) -> Result<Vec<Connection>> {
    let what = |number| format!("connection {number} of {connections}");
    (1..=connections)
        .map(|number| Connection::open(subject.address()).with_context(|| what(number)))
        .collect()
}

struct Connection(TcpStream);

impl Connection {
    /// Connects, exchanges settings, and sees its own acknowledged.
    fn open(address: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
        let mut connection = Self(stream);
        let (mut settings, mut acknowledged) = (false, false);
        while !(settings && acknowledged) {
            let frame = connection.frame()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => settings = true,
                SETTINGS => acknowledged = true,
                // The server's window update, say.
                _ => {}
            }
        }
        Ok(connection)
    }

    /// The headers of a call.
    fn start(&mut self, stream: u32) -> Result<()> {
        self.write(HEADERS, END_HEADERS, stream, &header_block())
    }

    /// The end of its requests: there are none.
    fn end(&mut self, stream: u32) -> Result<()> {
        self.write(DATA, END_STREAM, stream, &[])
    }

    /// Reads until so many calls have ended. Each has sent a message of no fields: a refusal has
    /// no message.
    fn answers(&mut self, calls: usize) -> Result<()> {
        let (mut messages, mut ended) = (0, 0);
        while ended < calls {
            let frame = self.frame()?;
            ensure!(frame.kind != RST_STREAM, "stream {} was reset", frame.stream);
            ensure!(frame.kind != GOAWAY, "the connection was ended");
            if frame.kind == DATA && frame.payload == [0; 5] {
                messages += 1;
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                ended += 1;
            }
        }
        ensure!(messages == calls, "{messages} of {calls} calls were answered");
        Ok(())
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        Ok(self.0.write_all(&frame)?)
    }

    /// The next frame; settings and pings are acknowledged.
    fn frame(&mut self) -> Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).context("waiting for a frame")?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        ensure!(length <= 1 << 14, "a frame of {length} bytes");
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        if frame.flags & ACK == 0 {
            match frame.kind {
                SETTINGS => self.write(SETTINGS, ACK, 0, &[])?,
                PING => self.write(PING, ACK, 0, &frame.payload)?,
                _ => {}
            }
        }
        Ok(frame)
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// HPACK without a dynamic table and without Huffman: the same block for each call.
fn header_block() -> Vec<u8> {
    // :method POST and :scheme http of the static table.
    let mut block = vec![0x83, 0x86];
    // A literal whose name is :authority (1), :path (4), content-type (31), or spelled out.
    let literals: [(&[u8], Option<&str>, &str); 4] = [
        (&[0x01], None, "localhost"),
        (&[0x04], None, "/grpc.testing.TestService/StreamingInputCall"),
        (&[0x0f, 0x10], None, "application/grpc"),
        (&[0x00], Some("te"), "trailers"),
    ];
    for (index, name, value) in literals {
        block.extend(index);
        for part in name.into_iter().chain([value]) {
            block.push(part.len() as u8);
            block.extend(part.as_bytes());
        }
    }
    block
}

/// Our limit on open files is the servers' too, since they are started by us.
pub(crate) fn raise_descriptors() -> Result<()> {
    let mut command = Command::new("prlimit");
    let own = std::process::id().to_string();
    let limit = format!("--nofile={DESCRIPTORS}:");
    command.args(["--pid", &own, &limit]);
    process::output(&mut command, "raising the limit on open files", process::MINUTE)?;
    Ok(())
}

pub(crate) const CONNECTIONS: usize = 1000;
pub(crate) const CALL_CONNECTIONS: usize = 10;
/// As many as every server allows on a connection: 100 are the usual limit.
pub(crate) const CALLS_EACH: u32 = 100;
const WARM: usize = 20;
const DESCRIPTORS: usize = 4096;
/// For what the server does after the last frame.
const SETTLE: Duration = Duration::from_millis(500);
/// For one frame.
const PATIENCE: Duration = Duration::from_secs(20);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_literals() {
        let block = header_block();
        assert!(block.starts_with(b"\x83\x86\x01\x09localhost\x04\x2c/grpc.testing."));
        assert!(block.ends_with(b"\x0f\x10\x10application/grpc\x00\x02te\x08trailers"));
    }
}
