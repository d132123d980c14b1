//! The addresses of a scenario, and the peers that play its scripts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use socket2::Socket;

use super::PATIENCE;
use super::connection::{Connection, Log};
use super::line::{Line, secured};
use super::place::{Held, Place, Transport};
use super::scenario::Scenario;
use super::script::Script;

/// A scenario's servers, for one run of it.
#[derive(Debug)]
pub struct Host {
    transport: Transport,
    places: Vec<Held>,
    shared: Arc<Shared>,
    /// By the positions of their addresses.
    listeners: BTreeMap<usize, Listener>,
}

/// What the peers of a scenario saw in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections that were accepted.
    pub connections: usize,
    /// Requests on all of them.
    pub requests: usize,
    /// Requests on that which saw the fewest.
    pub fewest: usize,
    /// Bytes of requests, the five before each message included.
    pub received: usize,
    /// The codes of RST_STREAM, in order.
    pub resets: Vec<String>,
    /// What kept scripts from being played to their ends.
    pub faults: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    scripts: Mutex<VecDeque<Script>>,
    peers: Mutex<Vec<JoinHandle<Log>>>,
    meetings: Arc<Meetings>,
}

/// Where the scripts of both sides wait for each other.
#[derive(Debug, Default)]
pub(super) struct Meetings {
    state: Mutex<(BTreeSet<String>, BTreeSet<String>)>,
    changed: Condvar,
}

#[derive(Debug)]
struct Listener {
    socket: Socket,
    thread: JoinHandle<()>,
}

impl Host {
    /// Begins to play a scenario.
    ///
    /// # Errors
    /// If there is no socket for it.
    pub fn start(scenario: &Scenario, transport: Transport) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            transport: scenario.peer_speaks.unwrap_or(transport),
            scripts: Mutex::new(scenario.peer.iter().cloned().collect()),
            peers: Mutex::default(),
            meetings: Arc::default(),
        });
        let places = if transport == Transport::InProcess {
            Vec::new()
        } else {
            let places = scenario.addresses.iter().map(|place| Held::new(*place, transport));
            places.collect::<io::Result<_>>()?
        };
        let mut host = Self { transport, places, shared, listeners: BTreeMap::new() };
        for at in 0..host.places.len() {
            if host.places[at].place == Place::Peer {
                host.listen_at(at)?;
            }
        }
        Ok(host)
    }

    /// What a channel connects to.
    pub fn target(&self) -> String {
        match (self.transport, self.places.as_slice()) {
            (Transport::InProcess, _) => "inproc:peer".to_owned(),
            (_, [one]) => one.name.clone(),
            (_, many) => {
                let names: Vec<_> = many.iter().map(|held| held.name.as_str()).collect();
                format!("ipv4:{}", names.join(","))
            }
        }
    }

    /// The addresses, in the order of the scenario, as texts show them.
    pub fn addresses(&self) -> Vec<String> {
        if self.transport == Transport::InProcess {
            return vec![self.target()];
        }
        self.places.iter().map(|held| held.name.clone()).collect()
    }

    /// The peer's address, the first of several, begins to listen, or to refuse.
    ///
    /// # Errors
    /// If the address is taken.
    pub fn listen(&mut self, listen: bool) -> io::Result<()> {
        let peer = |held: &Held| matches!(held.place, Place::Peer | Place::Later);
        let Some(at) = self.places.iter().position(peer) else { return Ok(()) };
        if let Some(listener) = self.listeners.remove(&at) {
            listener.stop();
        }
        if listen { self.listen_at(at) } else { self.places[at].refuse() }
    }

    fn listen_at(&mut self, at: usize) -> io::Result<()> {
        let socket = self.places[at].listener()?;
        let accepts = socket.try_clone()?;
        let shared = Arc::clone(&self.shared);
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = accepts.accept() {
                shared.accept(stream.into());
            }
        });
        self.listeners.insert(at, Listener { socket, thread });
        Ok(())
    }

    /// Makes connections that do not come from an address: the client's ends of them.
    pub fn pipes(&self) -> impl Fn() -> io::Result<UnixStream> + Send + Sync + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            let (ours, theirs) = UnixStream::pair()?;
            shared.accept(ours.into());
            Ok(theirs)
        }
    }

    /// Waits until a peer comes to `meet NAME`.
    ///
    /// # Errors
    /// If none does in time.
    pub fn meet(&self, name: &str) -> io::Result<()> {
        let meetings = &self.shared.meetings;
        meetings.wait(name, "the peer", |(met, _)| met.contains(name))
    }

    /// Lets a peer go on from `meet NAME`, now or when it comes there.
    pub fn release(&self, name: &str) {
        let meetings = &self.shared.meetings;
        meetings.lock().1.insert(name.to_owned());
        meetings.changed.notify_all();
    }

    /// Once the client has gone: what the peers saw.
    ///
    /// # Panics
    /// If one of them did.
    pub fn finish(mut self) -> Seen {
        self.stop();
        let mut seen = Seen::default();
        let peers = std::mem::take(&mut *lock(&self.shared.peers));
        for peer in peers {
            let log = peer.join().expect("no panic");
            let fewest = if seen.connections == 0 { usize::MAX } else { seen.fewest };
            seen.fewest = fewest.min(log.requests);
            seen.connections += 1;
            seen.requests += log.requests;
            seen.received += log.received;
            seen.resets.extend(log.resets);
            seen.faults.extend(log.fault);
        }
        seen
    }

    fn stop(&mut self) {
        std::mem::take(&mut self.listeners).into_values().for_each(Listener::stop);
    }
}

impl Listener {
    fn stop(self) {
        // Its thread hears of that as an error.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.thread.join();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn accept(&self, stream: OwnedFd) {
        let script = lock(&self.scripts).pop_front();
        let (transport, meetings) = (self.transport, Arc::clone(&self.meetings));
        let peer = thread::spawn(move || {
            let line = line(stream, transport);
            match (line, script) {
                (Ok(line), Some(script)) => Connection::play(line, &script, &meetings),
                (Ok(_), None) => Log { fault: Some(ONE_MORE.to_owned()), ..Log::default() },
                (Err(error), _) => Log { fault: Some(error.to_string()), ..Log::default() },
            }
        });
        lock(&self.peers).push(peer);
    }
}

fn line(stream: OwnedFd, transport: Transport) -> io::Result<Box<dyn Line>> {
    let line: Box<dyn Line> = match transport {
        Transport::Tcp | Transport::Tls => {
            let stream = TcpStream::from(stream);
            stream.set_nodelay(true)?;
            if transport == Transport::Tls { secured(stream)? } else { Box::new(stream) }
        }
        Transport::Unix | Transport::InProcess => Box::new(UnixStream::from(stream)),
    };
    line.set_patience(PATIENCE)?;
    Ok(line)
}

impl Meetings {
    /// A peer's side.
    pub(super) fn meet(&self, name: &str) -> io::Result<()> {
        self.lock().0.insert(name.to_owned());
        self.changed.notify_all();
        self.wait(name, "the client", |(_, released)| released.contains(name))
    }

    fn wait(
        &self,
        name: &str,
        whom: &str,
        holds: impl Fn(&(BTreeSet<String>, BTreeSet<String>)) -> bool,
    ) -> io::Result<()> {
        let wait = self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| !holds(state));
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        if holds(&state) {
            return Ok(());
        }
        Err(io::Error::other(format!("at {name:?} one waited in vain for {whom}")))
    }

    fn lock(&self) -> MutexGuard<'_, (BTreeSet<String>, BTreeSet<String>)> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const ONE_MORE: &str = "one connection more than the scenario has";
