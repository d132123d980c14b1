//! A server under attack: its memory and CPU time, beside an honest caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use xtask_base::peers::Party;
use xtask_base::process::Server;
use xtask_base::usage;

use crate::honest::{Calls, Honest};
use crate::rows::{Attack, Expected, Row};

/// What one row did to one server.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) reaction: String,
    /// From the first hostile byte.
    pub(crate) time: Option<Duration>,
    /// Bytes sent, and connections and streams that they were sent on.
    pub(crate) sent: u64,
    /// Bytes that the server held at most, above what it had before.
    pub(crate) held: u64,
    /// The same after the attack was over; what the allocator keeps for the next is in it.
    pub(crate) kept: u64,
    pub(crate) before: u64,
    /// Bytes held for each byte received, allowances taken off.
    pub(crate) factor: f64,
    pub(crate) cpu: Duration,
    pub(crate) honest: Calls,
    /// What is not as it should be.
    pub(crate) wrong: Vec<String>,
}

/// Starts a server, attacks it by a row, and looks.
pub(crate) fn run(party: &Party, row: &Row, quick: bool) -> Result<Outcome> {
    let mut server = Server::start(&mut party.server(), party.name)?;
    let address = server.address().to_owned();
    let honest = Honest::start(&address)?;
    // Threads, code and buffers that the first calls and connections of a process need.
    warm_up(&address)?;
    honest.make(CALLS);
    let pid = server.pid();
    let (before, cpu) = (settled(pid)?, usage::cpu(pid)?);
    let peak = Peak::watch(pid);

    // What others do, they do at once or not at all; they are not waited for.
    let patience = match row.by_time() || is_ours(party.name) {
        true => row.patience,
        false => OTHERS,
    };
    let mut attack = Attack::new(&address, quick);
    let begin = Instant::now();
    let attacked = (row.run)(&mut attack);
    let seen = attack.settle(&row.expected, patience);
    let time = attack.reacted().map(|at| at.saturating_duration_since(begin));
    honest.make(CALLS);
    let held = peak.stop().saturating_sub(before);
    let cpu = usage::cpu(pid)?.saturating_sub(cpu);
    let (sent, connections, streams) = attack.sent();
    drop(attack);
    let kept = after(pid, before)?;
    // What an allocator keeps for the next time is used the next time, once each of its heaps has
    // some; what is lost grows each time.
    let mut grown = Vec::new();
    let mut last = kept;
    let mut is_back = kept <= before + before / 10;
    while !is_back && grown.len() < ROUNDS {
        let mut again = Attack::new(&address, quick);
        (row.run)(&mut again)?;
        again.settle(&row.expected, patience.min(AGAIN));
        drop(again);
        let now = after(pid, last)?;
        grown.push(now.saturating_sub(last) >> 10);
        is_back = now <= last + last / 10;
        last = now;
    }
    honest.make(CALLS);
    let honest = honest.stop()?;

    let allowed = CONNECTION * u64::from(connections) + STREAM * u64::from(streams);
    let factor = held.saturating_sub(allowed) as f64 / sent.max(1) as f64;
    let mut wrong = Vec::new();
    if let Err(error) = attacked {
        wrong.push(format!("{error:#}"));
    }
    if let Err(error) = server.check() {
        wrong.push(format!("{error:#}"));
    }
    if !seen.as_expected {
        wrong.push(format!("expected {}", row.expected));
    }
    match row.most {
        Some(most) if held > most => {
            wrong.push(format!("held {} MiB, {} allowed", held >> 20, most >> 20));
        }
        None if factor > FACTOR => wrong.push(format!("{factor:.1} bytes held a byte")),
        _ => {}
    }
    wrong.extend(honest.lost.iter().map(|error| format!("an honest call: {error}")));
    if !is_back {
        wrong.push(format!("{} KiB kept, and each time more: {grown:?}", kept >> 10));
    }
    let kept = kept.saturating_sub(before);
    let reaction = seen.reaction;
    Ok(Outcome { reaction, time, sent, held, kept, before, factor, cpu, honest, wrong })
}

/// Whether a server is one of those that have to stand.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with("ferrpc")
}

/// Many calls at once on some connections, all answered.
fn warm_up(address: &str) -> Result<()> {
    for _ in 0..3 {
        let mut attack = Attack::new(address, true);
        crate::rows::warm_up(&mut attack)?;
        attack.settle(&Expected::Status("0"), Duration::from_secs(10));
    }
    Ok(())
}

/// Resident memory once it stays the same.
pub(crate) fn settled(pid: u32) -> Result<u64> {
    let mut last = usage::resident(pid)?;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(25));
        let now = usage::resident(pid)?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

/// Resident memory once it is back, or does not come back.
fn after(pid: u32, before: u64) -> Result<u64> {
    let until = Instant::now() + BACK;
    loop {
        let now = usage::resident(pid)?;
        if now <= before + before / 10 || Instant::now() > until {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(25));
    }
}

/// Looks at the memory of a process all the time.
pub(crate) struct Peak {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Peak {
    pub(crate) fn watch(pid: u32) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = thread::spawn({
            let (stop, most) = (Arc::clone(&stop), Arc::clone(&most));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(usage::resident(pid).unwrap_or(0), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        Self { stop, most, thread }
    }

    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.most.load(Ordering::Relaxed)
    }
}

/// What an honest caller makes before, during and after an attack.
const CALLS: usize = 30;
/// What a connection and a stream may cost whatever they send.
pub(crate) const CONNECTION: u64 = 256 << 10;
pub(crate) const STREAM: u64 = 1 << 10;
/// What a server may hold for each byte that it received beyond that.
pub(crate) const FACTOR: f64 = 8.0;
/// For a reaction that was seen once.
const AGAIN: Duration = Duration::from_secs(3);
/// For those of servers that are not ours.
const OTHERS: Duration = Duration::from_millis(1500);
/// How often an attack is made again, until no more is kept than before.
const ROUNDS: usize = 6;
/// How long memory may take to come back.
const BACK: Duration = Duration::from_secs(3);
