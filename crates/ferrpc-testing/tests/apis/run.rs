//! Runs a scenario.

use std::collections::{HashMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use ferrpc_testing::apis::{End, Host, Kind, PATIENCE, Scenario, Step, Transport};

use crate::client::{Api, Client, Ended, Running};

/// Whether an API has what the scenario is about.
pub(crate) fn is_for(scenario: &Scenario, api: Api, transport: Transport) -> bool {
    scenario.is_for(api.name)
        && scenario.transports.contains(&transport)
        && (transport != Transport::InProcess || api.has_connectors)
        && scenario.kinds.iter().any(|kind| has(scenario, api, *kind))
}

fn has(scenario: &Scenario, api: Api, kind: Kind) -> bool {
    let cancels = scenario.client.iter().any(|step| step.cancel.is_some());
    let stands_still = scenario.client.iter().any(|step| step.with.open);
    (api.cancels || !cancels) && (api.sends_apart || !stands_still || kind != Kind::ClientStreaming)
}

/// Runs it with each of its kinds of call. Where it is known to fail, it must.
pub(crate) fn check(scenario: &Scenario, api: Api, transport: Transport) -> Result<(), String> {
    let known = scenario.failing.get(api.name);
    let mut faults = Vec::new();
    for kind in scenario.kinds.iter().copied().filter(|kind| has(scenario, api, *kind)) {
        if let Err(fault) = once(scenario, api, transport, kind) {
            faults.push(format!("{kind:?}: {fault}"));
            if known.is_some() {
                break;
            }
        }
    }
    match (known, faults.is_empty()) {
        (None, true) | (Some(_), false) => Ok(()),
        (None, false) => Err(faults.join("\n")),
        (Some(what), true) => {
            Err(format!("it is said to fail here ({what}), and does not: take that out"))
        }
    }
}

fn once(scenario: &Scenario, api: Api, transport: Transport, kind: Kind) -> Result<(), String> {
    let host = Host::start(scenario, transport).map_err(|error| error.to_string())?;
    let mut client = (api.make)(&host, &scenario.channel, transport);
    if !scenario.states.is_empty() {
        client.watch();
    }
    let addresses = host.addresses();
    // Where it is known to fail it is to fail soon.
    let known = scenario.failing.contains_key(api.name);
    let patience = if known { PATIENCE / 40 } else { PATIENCE };
    let client = Some(client);
    let mut play = Play { kind, host, client, calls: HashMap::new(), patience };
    let mut faults = Vec::new();
    for step in scenario.steps() {
        if let Err(fault) = play.step(&step, &addresses) {
            faults.push(fault);
        }
    }
    let Play { host, client, calls, .. } = play;
    drop(calls);
    if let Some(client) = client {
        if let Err(fault) = expect_states(scenario, api, &*client) {
            faults.push(fault);
        }
        let asked = client.asked();
        if scenario.asked.is_some_and(|expected| asked != expected) {
            faults.push(format!("credentials were asked {asked} times"));
        }
    }
    let seen = host.finish();
    if scenario.received.is_some_and(|expected| seen.received != expected) {
        faults.push(format!("the peer received {} bytes", seen.received));
    }
    faults.extend(seen.faults.iter().map(|fault| format!("the peer, {fault}")));
    let expected = scenario.connections.unwrap_or(scenario.peer.len());
    if seen.connections != expected {
        faults.push(format!("{} connections, not {expected}", seen.connections));
    }
    if scenario.requests.is_some_and(|expected| seen.requests != expected) {
        faults.push(format!("{} requests", seen.requests));
    }
    if seen.fewest < scenario.each {
        faults.push(format!("a connection saw {} requests", seen.fewest));
    }
    if !scenario.any_resets && seen.resets != scenario.resets {
        faults.push(format!("the client reset streams with {:?}", seen.resets));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

struct Play {
    kind: Kind,
    host: Host,
    /// None: it was dropped.
    client: Option<Box<dyn Client>>,
    calls: HashMap<String, Box<dyn Running>>,
    /// For a state.
    patience: Duration,
}

impl Play {
    fn client(&self) -> &dyn Client {
        self.client.as_deref().expect("it was not dropped")
    }

    fn step(&mut self, step: &Step, addresses: &[String]) -> Result<(), String> {
        if let Some(name) = &step.call {
            let call = self.client().call(self.kind, &step.with);
            self.calls.insert(name.clone(), call);
        }
        if let Some(count) = step.calls {
            self.many(count, step, addresses)?;
        }
        if let Some(name) = &step.cancel {
            self.calls.get_mut(name).expect("a call that was begun").cancel();
        }
        if let Some(name) = &step.ends {
            let call = self.calls.remove(name).expect("a call that was begun");
            expect_end(name, &step.end, self.kind, addresses, &call.end())?;
        }
        if let Some(name) = &step.meet {
            self.host.meet(name).map_err(|error| error.to_string())?;
        }
        if let Some(name) = &step.release {
            self.host.release(name);
        }
        if let Some(listen) = step.listen {
            self.host.listen(listen).map_err(|error| error.to_string())?;
        }
        if step.connect {
            self.client().connect();
        }
        if let Some(state) = &step.state {
            let reached = || self.client().state().name() == state;
            until(&format!("the state {state}"), self.patience, reached)?;
        }
        if step.close {
            self.client().close();
        }
        if step.leave {
            self.client = None;
        }
        Ok(())
    }
}

impl Play {
    /// Many calls, some at a time.
    fn many(&self, count: usize, step: &Step, addresses: &[String]) -> Result<(), String> {
        let mut running = VecDeque::new();
        for number in 0..count {
            if running.len() == step.at_once.max(1) {
                self.oldest_ends(&mut running, step, addresses)?;
            }
            running.push_back((number, self.client().call(self.kind, &step.with)));
        }
        while !running.is_empty() {
            self.oldest_ends(&mut running, step, addresses)?;
        }
        Ok(())
    }

    fn oldest_ends(
        &self,
        running: &mut VecDeque<(usize, Box<dyn Running>)>,
        step: &Step,
        addresses: &[String],
    ) -> Result<(), String> {
        let Some((number, call)) = running.pop_front() else { return Ok(()) };
        expect_end(&format!("call {number}"), &step.end, self.kind, addresses, &call.end())
    }
}

fn expect_end(
    name: &str,
    end: &End,
    kind: Kind,
    addresses: &[String],
    ended: &Ended,
) -> Result<(), String> {
    let filled = |text: &String| {
        let text = text.replace("{address}", addresses.first().map_or("", |name| name));
        let numbered = addresses.iter().enumerate();
        numbered.fold(text, |text, (at, name)| text.replace(&format!("{{{at}}}"), name))
    };
    let details = end.details.as_ref().map(filled);
    let same_text = match (&details, &ended.details) {
        (Some(expected), Some(details)) => expected == details,
        _ => true,
    };
    let same_count = !kind.streams_responses()
        || end.messages.is_none_or(|expected| expected == ended.read.messages);
    let same_bytes = end.bytes.is_none_or(|expected| expected == ended.read.bytes);
    if ended.code.name() == end.code && same_text && same_count && same_bytes {
        return Ok(());
    }
    Err(format!("{name} ended with {} {:?}, {:?}", ended.code, ended.details, ended.read))
}

/// A watcher that may miss states has seen some of them, and the last.
fn expect_states(scenario: &Scenario, api: Api, client: &dyn Client) -> Result<(), String> {
    if scenario.states.is_empty() {
        return Ok(());
    }
    let fits = || {
        let seen = client.watched();
        let mut rest = scenario.states.iter();
        seen.last() == scenario.states.last()
            && seen.iter().all(|state| rest.any(|expected| expected == state))
            && (!api.tells_all || seen == scenario.states)
    };
    until("the states", PATIENCE, fits).map_err(|_| format!("a watcher saw {:?}", client.watched()))
}

fn until(what: &str, patience: Duration, holds: impl Fn() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > patience {
            return Err(format!("one waited in vain for {what}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
