//! Resident memory of connections that have shaken hands and then do nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::marks::{Comparison, Mark};
use super::subject::{self, Subject};
use crate::process;
use crate::report::Progress;
use crate::workspace::Workspace;

/// KiB per connection, each round on fresh servers.
pub(crate) fn measure(
    workspace: &Workspace,
    peers_only: bool,
    rounds: usize,
    progress: &Progress,
) -> Result<Comparison> {
    raise_descriptors()?;
    let mut figures = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        let mut subjects = subject::start(workspace, peers_only)?;
        for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
            progress
                .detail(&format!("idle connections, round {round} of {rounds}: {}", subject.name));
            figures.push(of(subject)?);
        }
    }
    Ok(Comparison {
        what: format!("resident memory per idle connection, {CONNECTIONS} of them"),
        unit: "KiB",
        mark: Some(Mark::AtMost(16.0)),
        figures,
    })
}

fn of(subject: &mut Subject) -> Result<f64> {
    // What the first connections set up once is not the connections' own.
    let warm = open(subject, WARM)?;
    let before = subject.resident()?;
    let idle = open(subject, CONNECTIONS)?;
    thread::sleep(SETTLE);
    let after = subject.resident()?;
    subject.check()?;
    drop((warm, idle));
    Ok(after.saturating_sub(before) as f64 / CONNECTIONS as f64)
}

fn open(subject: &Subject, connections: usize) -> Result<Vec<TcpStream>> {
    let what = |number| format!("{}: idle connection {number} of {connections}", subject.name);
    (1..=connections)
        .map(|number| connect(subject.address()).with_context(|| what(number)))
        .collect()
}

/// Connects, exchanges settings, and sees its own acknowledged.
fn connect(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(process::MINUTE))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
    let (mut settings, mut acknowledged) = (false, false);
    while !(settings && acknowledged) {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        ensure!(length <= 1 << 14, "a frame of {length} bytes in the handshake");
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload)?;
        match (head[3], head[4] & 1) {
            (SETTINGS, 0) => {
                settings = true;
                stream.write_all(b"\0\0\0\x04\x01\0\0\0\0")?;
            }
            (SETTINGS, _) => acknowledged = true,
            // The server's window update, say.
            _ => {}
        }
    }
    Ok(stream)
}

/// Our limit on open files is the servers' too, since they are started by us.
fn raise_descriptors() -> Result<()> {
    let mut command = Command::new("prlimit");
    let own = std::process::id().to_string();
    let limit = format!("--nofile={DESCRIPTORS}:");
    command.args(["--pid", &own, &limit]);
    process::output(&mut command, "raising the limit on open files", process::MINUTE)?;
    Ok(())
}

const CONNECTIONS: usize = 1000;
const WARM: usize = 20;
const DESCRIPTORS: usize = 2000;
/// For what the server does after the last handshake.
const SETTLE: Duration = Duration::from_millis(500);
const SETTINGS: u8 = 4;
