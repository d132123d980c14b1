//! The blocking channel.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use ferrpc::Status;
use ferrpc::client::ConnectivityState;
use ferrpc_blocking::{Channel, Requests, Responses};
use ferrpc_testing::apis::{Call, Host, Kind, Settings, Transport};

use crate::client::{
    Asked, BOTH, CLIENT, Client, Ended, Read, Running, SERVER, UNARY, builder, message, messages,
    request,
};

struct Threads {
    channel: Channel,
    states: Arc<Mutex<Vec<String>>>,
    asked: Asked,
}

pub(crate) fn make(host: &Host, settings: &Settings, transport: Transport) -> Box<dyn Client> {
    let channel = Channel::new(builder(host, settings, transport)).expect("a target");
    Box::new(Threads { channel, states: Arc::default(), asked: Asked::default() })
}

impl Client for Threads {
    fn call(&self, kind: Kind, call: &Call) -> Box<dyn Running> {
        let (channel, call, asked) = (self.channel.clone(), call.clone(), self.asked.clone());
        Box::new(Thread(thread::spawn(move || {
            let mut read = Read::default();
            match exchange(channel, &asked, kind, &call, &mut read) {
                Ok(true) => Ended::dropped(read),
                Ok(false) => Ended::new(Ok(()), read),
                Err(status) => Ended::new(Err(status), read),
            }
        })))
    }

    fn state(&self) -> ConnectivityState {
        self.channel.state()
    }

    fn connect(&self) {
        self.channel.try_to_connect();
    }

    fn close(&self) {
        self.channel.close();
    }

    fn watch(&mut self) {
        let states = Arc::clone(&self.states);
        let note = move |state: ConnectivityState| {
            states.lock().expect("no panic").push(state.name().to_owned());
        };
        self.channel.watch(note, false);
    }

    fn asked(&self) -> usize {
        self.asked.count()
    }

    fn watched(&self) -> Vec<String> {
        self.states.lock().expect("no panic").clone()
    }
}

/// A call from its beginning to its end; true: it was dropped in the middle.
fn exchange(
    channel: Channel,
    asked: &Asked,
    kind: Kind,
    call: &Call,
    read: &mut Read,
) -> Result<bool, Status> {
    let response = match kind {
        Kind::Unary => channel.unary(&UNARY, request(message(call), call, asked))?,
        Kind::ClientStreaming => {
            channel.client_streaming(&CLIENT, request(messages(call), call, asked))?
        }
        Kind::ServerStreaming => {
            let stream = channel.server_streaming(&SERVER, request(message(call), call, asked))?;
            drop(channel);
            return responses(stream, call, read);
        }
        Kind::Bidirectional => {
            let (sender, stream) = channel.bidirectional(&BOTH, request((), call, asked))?;
            drop(channel);
            // The other half is used by another thread.
            return thread::scope(|scope| {
                let sends = scope.spawn(|| send(sender, call));
                let result = responses(stream, call, read);
                drop(sends.join().expect("no panic"));
                result
            });
        }
    };
    read.count(response.message());
    Ok(false)
}

/// Sends the requests. Those that do not end are given back: dropped, they would cancel the call.
fn send(mut sender: Requests<Bytes>, call: &Call) -> Option<Requests<Bytes>> {
    for message in messages(call) {
        // What the call ended with is for the other half to tell.
        if let Err(status) = sender.send(&message) {
            assert!(!status.is_ok(), "an error that is none");
            return Some(sender);
        }
    }
    if call.open {
        return Some(sender);
    }
    sender.finish();
    None
}

fn responses(mut stream: Responses<Bytes>, call: &Call, read: &mut Read) -> Result<bool, Status> {
    while call.take.is_none_or(|take| read.messages < take) {
        let next = stream.message();
        let Ok(Some(message)) = next else {
            // Behind an end and behind an error there is nothing.
            assert!(matches!(stream.message(), Ok(None)), "it does not stay at its end");
            return next.map(|_| false);
        };
        read.count(&message);
        if let Some(pause) = call.pace.wait(read.messages) {
            thread::sleep(pause);
        }
    }
    Ok(true)
}

struct Thread(JoinHandle<Ended>);

impl Running for Thread {
    fn cancel(&mut self) {
        unreachable!("scenarios that cancel are not run here");
    }

    fn end(self: Box<Self>) -> Ended {
        self.0.join().expect("no panic")
    }
}
