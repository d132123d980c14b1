//! A channel in a world that does anything, from seeds: its invariants after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::channel::{
    Channel, ConnectionId, ConnectivityState, Dial, DialId, Event, Pick, Picker, UNWANTED_FOR,
};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::service_config::LoadBalancing;

use super::channel::{Machine, Texts, config};

use ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};

/// What the driver knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Handshake(DialId),
    Current,
    Draining,
}

/// A driver that does what it is told. Calls are what is picked for them: each ends once, on the
/// connection that it has.
struct World {
    channel: Machine,
    balancing: LoadBalancing,
    now: Time,
    random: u64,
    resolving: bool,
    resolved_at: Option<Time>,
    dials: BTreeMap<DialId, Dial<&'static str>>,
    /// Every dial that was ever begun.
    begun: BTreeSet<DialId>,
    connections: BTreeMap<ConnectionId, Known>,
    calls: BTreeMap<u64, ConnectionId>,
    last_call: u64,
    ended: BTreeSet<u64>,
    picker: Arc<Picker<ConnectionId>>,
    state: ConnectivityState,
    asked_at: Option<Time>,
}

const ADDRESSES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

impl World {
    fn new(seed: u64) -> Self {
        let balancing = match seed % 3 {
            0 => LoadBalancing::PickFirst { shuffle: false },
            1 => LoadBalancing::PickFirst { shuffle: true },
            _ => LoadBalancing::RoundRobin,
        };
        Self {
            channel: Channel::new(&config(balancing.clone(), seed), Texts),
            balancing,
            now: Time::from_nanos(1_000_000_000),
            random: seed,
            resolving: false,
            resolved_at: None,
            dials: BTreeMap::new(),
            begun: BTreeSet::new(),
            connections: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_call: 0,
            ended: BTreeSet::new(),
            picker: Arc::new(Picker::empty()),
            state: Idle,
            asked_at: None,
        }
    }

    /// Below `bound`.
    fn random(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.random >> 33).expect("31 bits") % bound
    }

    fn any<T: Copy>(&mut self, of: impl Iterator<Item = T>) -> Option<T> {
        let all: Vec<T> = of.collect();
        (!all.is_empty()).then(|| all[self.random(all.len())])
    }

    fn any_connection(&mut self, is: impl Fn(Known) -> bool) -> Option<ConnectionId> {
        let found: Vec<_> =
            self.connections.iter().filter(|(_, known)| is(**known)).map(|(id, _)| *id).collect();
        self.any(found.into_iter())
    }

    fn step(&mut self) {
        match self.random(15) {
            0 => {
                let nanos = self.random(3_000_000_000);
                self.now = self.now + Duration::from_nanos(nanos as u64);
                self.time();
            }
            1 | 2 => {
                let until = self.channel.poll_timeout();
                self.now = self.now.max(until.unwrap_or(Time::ZERO));
                self.time();
            }
            3 => {
                self.asked_at = Some(self.now);
                self.channel.connect(self.now);
            }
            4..=6 => self.call(),
            7 => self.end_call(),
            8 => {
                if std::mem::take(&mut self.resolving) {
                    let answer = self.answer();
                    if answer.as_ref().is_ok_and(|found| !found.is_empty()) {
                        self.resolved_at = Some(self.now);
                    }
                    self.channel.handle_resolved(self.now, answer);
                }
            }
            9 | 10 => {
                let dials: Vec<_> = self.dials.keys().copied().collect();
                let Some(dial) = self.any(dials.into_iter()) else { return };
                if self.random(2) == 0 {
                    self.channel.handle_connected(self.now, dial);
                }
                let known = self.connections.values().any(|known| *known == Known::Handshake(dial));
                if !known {
                    let dialled = self.channel.handle_dialled(dial).expect("it is not abandoned");
                    let new = self.connections.insert(dialled.id, Known::Handshake(dial));
                    assert_eq!(new, None, "an id is used twice");
                }
            }
            11 => {
                if let Some(id) = self.any_connection(|known| matches!(known, Known::Handshake(_)))
                {
                    let Some(Known::Handshake(dial)) = self.connections.get(&id).copied() else {
                        unreachable!()
                    };
                    self.dials.remove(&dial);
                    let ready = self.channel.handle_ready(self.now, id, id);
                    assert!(ready, "what is not wanted was abandoned");
                    self.connections.insert(id, Known::Current);
                }
            }
            12 => {
                let dials: Vec<_> = self.dials.keys().copied().collect();
                let Some(dial) = self.any(dials.into_iter()) else { return };
                let late = self.now >= self.dials[&dial].give_up;
                self.dials.remove(&dial);
                self.connections.retain(|_, known| *known != Known::Handshake(dial));
                let failure = (!late).then(|| "refused".to_owned());
                self.channel.handle_failed(self.now, dial, failure);
            }
            13 => self.lose(),
            _ => match self.random(60) {
                0 => {
                    self.resolving = false;
                    self.dials.clear();
                    self.connections.retain(|_, known| !matches!(known, Known::Handshake(_)));
                    self.channel.handle_interrupted(self.now);
                }
                1 => {
                    self.channel.shut_down();
                    self.resolving = false;
                    for known in self.connections.values_mut() {
                        if *known == Known::Current {
                            *known = Known::Draining;
                        }
                    }
                }
                _ => {}
            },
        }
        self.settle();
        self.check();
    }

    fn time(&mut self) {
        // Whoever dials sees to its time.
        let late = |dial: &&Dial<_>| dial.give_up <= self.now;
        let late: Vec<_> = self.dials.values().filter(late).map(|dial| dial.id).collect();
        for dial in late {
            if self.dials.remove(&dial).is_some() {
                self.connections.retain(|_, known| *known != Known::Handshake(dial));
                self.channel.handle_failed(self.now, dial, None);
                self.settle();
            }
        }
        self.channel.handle_timeout(self.now);
    }

    fn answer(&mut self) -> Result<Vec<&'static str>, String> {
        match self.random(8) {
            0 => Err("no such name".to_owned()),
            1 => Ok(Vec::new()),
            _ => {
                let (from, count) = (self.random(ADDRESSES.len()), 1 + self.random(4));
                Ok(ADDRESSES.iter().cycle().skip(from).take(count).copied().collect())
            }
        }
    }

    fn call(&mut self) {
        // As drivers do: by the picker, and by the machine where that has nothing.
        let picked = self.picker.pick().copied();
        if let Some(id) = picked {
            self.begin(id);
            if self.picker.wants_calls() {
                self.asked_at = Some(self.now);
                self.channel.connect(self.now);
            }
            return;
        }
        let wait_for_ready = self.random(2) == 0;
        self.asked_at = Some(self.now);
        let picked = self.channel.pick(self.now, wait_for_ready);
        let state = self.channel.connectivity();
        match picked {
            Pick::Ready(_) => panic!("a picker was not told of"),
            Pick::Fail(_) => assert!(!wait_for_ready && state == TransientFailure),
            Pick::Wait => {
                assert!(state == Connecting || (state == TransientFailure && wait_for_ready));
                assert!(self.channel.is_busy(), "whoever waits is waited for");
            }
            Pick::Shutdown => assert_eq!(state, Shutdown),
        }
    }

    fn begin(&mut self, id: ConnectionId) {
        assert_eq!(self.connections.get(&id), Some(&Known::Current), "it is not ready");
        self.last_call += 1;
        self.calls.insert(self.last_call, id);
    }

    fn end_call(&mut self) {
        let calls: Vec<_> = self.calls.keys().copied().collect();
        if let Some(call) = self.any(calls.into_iter()) {
            self.calls.remove(&call);
            assert!(self.ended.insert(call), "a call ends once");
        }
    }

    fn lose(&mut self) {
        let Some(id) = self.any_connection(|_| true) else { return };
        let known = self.connections[&id];
        match known {
            // It goes away, and ends with its calls.
            Known::Current if self.random(2) == 0 => {
                assert!(self.channel.handle_unusable(self.now, id));
                self.connections.insert(id, Known::Draining);
            }
            _ => {
                self.connections.remove(&id);
                self.channel.handle_closed(self.now, id, &CloseCause::TransportLost);
                let lost: Vec<_> =
                    self.calls.iter().filter(|(_, on)| **on == id).map(|(call, _)| *call).collect();
                for call in lost {
                    self.calls.remove(&call);
                    assert!(self.ended.insert(call), "a call ends once");
                }
                if let Known::Handshake(dial) = known {
                    self.settle();
                    if self.dials.remove(&dial).is_some() {
                        self.channel.handle_failed(self.now, dial, Some("closed".to_owned()));
                    }
                }
            }
        }
    }

    fn settle(&mut self) {
        while let Some(event) = self.channel.poll_event() {
            match event {
                Event::Resolve => {
                    assert!(!std::mem::replace(&mut self.resolving, true), "two look-ups");
                    if let Some(at) = self.resolved_at {
                        assert!(self.now.since(at) >= Duration::from_secs(30), "too often");
                    }
                }
                Event::Dial(dial) => {
                    let asked = self.asked_at.expect("a dial that nobody asked for");
                    let in_use = !self.picker.is_empty();
                    let limit = UNWANTED_FOR + Duration::from_secs(200);
                    assert!(in_use || self.now.since(asked) <= limit, "nobody wants it");
                    assert!(dial.give_up > self.now);
                    assert!(self.begun.insert(dial.id), "an id is used twice");
                    self.dials.insert(dial.id, dial);
                }
                Event::Abandon(dial) => {
                    assert!(self.dials.remove(&dial).is_some(), "{dial:?} is not under way");
                }
                // Reported closed or failed meanwhile, it is not there any more.
                Event::Close(id) => {
                    if let Some(known) = self.connections.remove(&id) {
                        assert!(matches!(known, Known::Handshake(_)), "only what is not used");
                    }
                }
                Event::Drain(id, _) => {
                    let before = self.connections.insert(id, Known::Draining);
                    assert_eq!(before, Some(Known::Current));
                }
                Event::Picker(picker) => {
                    assert!(
                        !picker.connections().eq(self.picker.connections())
                            || picker.wants_calls() != self.picker.wants_calls(),
                        "the same again"
                    );
                    self.picker = picker;
                }
                Event::State(change) => {
                    assert_eq!(change.before, self.state, "changes form a chain");
                    assert_ne!(change.before, change.after);
                    assert_ne!(change.before, Shutdown);
                    self.state = change.after;
                }
                Event::Failed(_) => {}
            }
        }
    }

    fn check(&self) {
        let state = self.channel.connectivity();
        assert_eq!(state, self.state, "each change is reported");
        let picked: BTreeSet<_> = self.picker.connections().collect();
        let current: BTreeSet<_> = self
            .connections
            .iter()
            .filter(|(_, known)| **known == Known::Current)
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(picked, current, "exactly what is ready is picked");
        assert_eq!(state == Ready, !picked.is_empty());
        if self.balancing != LoadBalancing::RoundRobin {
            assert!(picked.len() <= 1, "two connections");
        }
        for known in self.connections.values() {
            if let Known::Handshake(dial) = known {
                assert!(self.dials.contains_key(dial), "a connection is forgotten");
            }
        }
        match state {
            Connecting | TransientFailure => {
                assert!(self.channel.is_busy(), "nothing would ever happen");
                let runs = self.resolving || !self.dials.is_empty();
                assert!(runs || self.channel.poll_timeout().is_some(), "nothing would wake it");
            }
            Shutdown => assert!(!self.channel.is_busy() && self.dials.is_empty()),
            _ => {}
        }
        // What is picked from one snapshot is spread within one call.
        let mut counts = BTreeMap::new();
        for _ in 0..2 * picked.len() + 1 {
            if let Some(id) = self.picker.pick() {
                *counts.entry(*id).or_insert(0_usize) += 1;
            }
        }
        let (least, most) = (counts.values().min(), counts.values().max());
        assert_eq!(counts.len(), picked.len());
        assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{counts:?}");
    }
}

#[test]
fn whatever_happens_its_rules_hold() {
    for seed in 0..600 {
        // Shown where a rule is broken.
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
    }
}

/// Backends die, stall, refuse and come back; in the end all are there. Then the channel has a
/// connection to each, without a call's help once there was one.
#[test]
fn round_robin_comes_back_to_all_backends() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut world = World::new(3 * seed + 2);
        for _ in 0..200 {
            world.step();
        }
        if world.channel.connectivity() == Shutdown {
            continue;
        }
        for _ in 0..2000 {
            world.asked_at = Some(world.now);
            world.channel.connect(world.now);
            world.settle();
            if std::mem::take(&mut world.resolving) {
                world.channel.handle_resolved(world.now, Ok(vec!["a", "b", "c"]));
                world.settle();
            }
            for dial in world.dials.keys().copied().collect::<Vec<_>>() {
                let at = |known: &Known| *known == Known::Handshake(dial);
                if !world.dials.contains_key(&dial) || world.connections.values().any(at) {
                    continue;
                }
                let dialled = world.channel.handle_dialled(dial).expect("it is wanted");
                world.connections.insert(dialled.id, Known::Handshake(dial));
            }
            let handshakes: Vec<_> = world.connections.iter().map(|(id, is)| (*id, *is)).collect();
            for (id, known) in handshakes {
                if let Known::Handshake(dial) = known {
                    world.dials.remove(&dial);
                    assert!(world.channel.handle_ready(world.now, id, id));
                    world.connections.insert(id, Known::Current);
                    world.settle();
                }
            }
            world.check();
            if !world.channel.is_busy() {
                break;
            }
            let until = world.channel.poll_timeout().unwrap_or(world.now);
            world.now = world.now.max(until);
            world.channel.handle_timeout(world.now);
            world.settle();
        }
        assert!(!world.channel.is_busy(), "it never rests");
        assert_eq!(world.channel.connectivity(), Ready);
        assert!(!world.picker.wants_calls());
    }
}
