//! A client under attack by a server, while it calls another one that is honest.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ferrpc_testing::wire;
use xtask_base::peers::Party;
use xtask_base::process::Server;
use xtask_base::usage;

use crate::honest::Calls;
use crate::peer::Hostile;
use crate::rows::meet;
use crate::rows::servers::ClientRow;
use crate::subject::{CONNECTION, FACTOR, Outcome, Peak, STREAM, settled};

/// Has a client call both servers, attacks it by a row, and looks.
pub(crate) fn run(client: &Party, honest: &Party, row: &ClientRow) -> Result<Outcome> {
    let mut honest = Server::start(&mut honest.server(), honest.name)?;
    let hostile = TcpListener::bind("127.0.0.1:0")?;
    let address = hostile.local_addr()?.to_string();
    let mut command: Command = client.victim(&address, honest.address());
    let mut victim = Server::start_at(&mut command, client.name, &address)?;
    let mut peer = accept(&hostile, &mut victim)?;
    let pid = victim.pid();

    peer.send(&wire::settings(&[]));
    let begun = peer.wait(PATIENCE, |seen| !seen.opened.is_empty() || seen.closed);
    ensure!(begun && !peer.ended(), "the client made no call");
    let stream = peer.lock().opened[0];
    peer.streams = 1;
    let (before, cpu) = (settled(pid)?, usage::cpu(pid)?);
    let peak = Peak::watch(pid);
    let begin = Instant::now();
    (row.run)(&mut peer, stream);
    let seen = meet(&mut peer, &row.expected, row.patience);
    let time = peer.lock().changed.map(|at| at.saturating_duration_since(begin));
    let held = peak.stop().saturating_sub(before);
    let cpu = usage::cpu(pid)?.saturating_sub(cpu);
    let sent = peer.sent;
    drop(peer);
    // It comes again, and is let down again.
    drop(accept(&hostile, &mut victim)?);
    thread::sleep(AFTERWARDS);

    let factor = held.saturating_sub(CONNECTION + STREAM) as f64 / sent.max(1) as f64;
    let mut wrong = Vec::new();
    if !seen.as_expected {
        wrong.push(format!("expected {}", row.expected));
    }
    if factor > FACTOR && held > WHOLE_MESSAGE {
        wrong.push(format!("{factor:.1} bytes held a byte"));
    }
    for end in [&mut victim, &mut honest] {
        if let Err(error) = end.check() {
            wrong.push(format!("{error:#}"));
        }
    }
    let (reaction, honest) = (seen.reaction, Calls::default());
    Ok(Outcome { reaction, time, sent, held, kept: 0, before, factor, cpu, honest, wrong })
}

/// The client's next connection.
fn accept(listener: &TcpListener, victim: &mut Server) -> Result<Hostile> {
    listener.set_nonblocking(true)?;
    let until = Instant::now() + PATIENCE;
    loop {
        if let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(false)?;
            return Hostile::accepted(socket);
        }
        victim.check()?;
        ensure!(Instant::now() < until, "the client did not connect");
        thread::sleep(Duration::from_millis(5));
    }
}

/// With room for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time in which honest calls would be lost.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// What one message may have once it is decompressed, and again while it is copied: more than that
/// would be another's.
const WHOLE_MESSAGE: u64 = 16 << 20;
