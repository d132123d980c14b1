//! The asynchronous channel.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferrpc::client::{Channel, ConnectivityState};
use ferrpc::resolver::Target;
use ferrpc::transport::{Io, StreamIo};
use ferrpc::{Status, Stream, Streaming};
use ferrpc_testing::apis::{Call, Host, Kind, Settings, Transport};
use futures_util::{StreamExt, stream};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::{
    Asked, BOTH, CLIENT, Client, Ended, Read, Running, SERVER, UNARY, builder, message, messages,
    request,
};

struct Tasks {
    channel: Channel,
    states: Arc<Mutex<Vec<String>>>,
    asked: Asked,
    watcher: Option<JoinHandle<()>>,
    runtime: Arc<Runtime>,
}

pub(crate) fn make(host: &Host, settings: &Settings, transport: Transport) -> Box<dyn Client> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut builder = builder(host, settings, transport);
    if transport == Transport::InProcess {
        let pipe = host.pipes();
        builder = builder.connector(move |_: &Target| {
            let pipe = pipe();
            async move { Ok(piped(pipe?)) as io::Result<Box<dyn Io>> }
        });
    }
    let channel = builder.connect_lazy().expect("a target");
    Box::new(Tasks {
        channel,
        states: Arc::default(),
        asked: Asked::default(),
        watcher: None,
        runtime: Arc::new(runtime),
    })
}

/// A pipe within the process to a peer that has a thread.
fn piped(peer: std::os::unix::net::UnixStream) -> Box<dyn Io> {
    peer.set_nonblocking(true).expect("a socket");
    let mut peer = UnixStream::from_std(peer).expect("in a runtime");
    let (ours, mut theirs) = tokio::io::duplex(PIPE_BYTES);
    tokio::spawn(async move {
        // Its end is that of either side.
        let _ = tokio::io::copy_bidirectional(&mut theirs, &mut peer).await;
    });
    Box::new(StreamIo::new(ours, "inproc"))
}

impl Client for Tasks {
    fn call(&self, kind: Kind, call: &Call) -> Box<dyn Running> {
        let (channel, call, asked) = (self.channel.clone(), call.clone(), self.asked.clone());
        let task = self.runtime.spawn(async move {
            let mut read = Read::default();
            let result = exchange(channel, &asked, kind, &call, &mut read).await;
            match result {
                Ok(true) => Ended::dropped(read),
                Ok(false) => Ended::new(Ok(()), read),
                Err(status) => Ended::new(Err(status), read),
            }
        });
        Box::new(Task { task, runtime: Arc::clone(&self.runtime) })
    }

    fn state(&self) -> ConnectivityState {
        self.channel.state()
    }

    fn connect(&self) {
        let _runtime = self.runtime.enter();
        self.channel.start_connecting();
    }

    fn close(&self) {
        self.channel.close();
    }

    fn watch(&mut self) {
        let (channel, states) = (self.channel.clone(), Arc::clone(&self.states));
        let mut state = channel.state();
        note(&states, state);
        self.watcher = Some(self.runtime.spawn(async move {
            while state != ConnectivityState::Shutdown {
                state = channel.state_changed(state).await;
                note(&states, state);
            }
        }));
    }

    fn asked(&self) -> usize {
        self.asked.count()
    }

    fn watched(&self) -> Vec<String> {
        self.states.lock().expect("no panic").clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // It has a clone of the channel.
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
            let _ = self.runtime.block_on(watcher);
        }
    }
}

fn note(states: &Mutex<Vec<String>>, state: ConnectivityState) {
    states.lock().expect("no panic").push(state.name().to_owned());
}

/// A call from its beginning to its end; true: it was dropped in the middle.
async fn exchange(
    channel: Channel,
    asked: &Asked,
    kind: Kind,
    call: &Call,
    read: &mut Read,
) -> Result<bool, Status> {
    let response = match kind {
        Kind::Unary => channel.unary(&UNARY, request(message(call), call, asked)).await?,
        Kind::ClientStreaming => {
            channel.client_streaming(&CLIENT, request(requests(call), call, asked)).await?
        }
        Kind::ServerStreaming => {
            let response =
                channel.server_streaming(&SERVER, request(message(call), call, asked)).await?;
            drop(channel);
            return responses(response.into_inner(), call, read).await;
        }
        Kind::Bidirectional => {
            let stream = channel.bidirectional(&BOTH, request(requests(call), call, asked)).await?;
            drop(channel);
            return responses(stream, call, read).await;
        }
    };
    read.count(response.message());
    Ok(false)
}

fn requests(call: &Call) -> impl Stream<Item = Bytes> + Send + 'static + use<> {
    let list = stream::iter(messages(call));
    let rest =
        if call.open { stream::pending().left_stream() } else { stream::empty().right_stream() };
    list.chain(rest)
}

async fn responses(
    mut stream: Streaming<Bytes>,
    call: &Call,
    read: &mut Read,
) -> Result<bool, Status> {
    while call.take.is_none_or(|take| read.messages < take) {
        let next = stream.message().await;
        let Ok(Some(message)) = next else {
            // Behind an end and behind an error there is nothing.
            assert!(matches!(stream.message().await, Ok(None)), "it does not stay at its end");
            return next.map(|_| false);
        };
        read.count(&message);
        if let Some(pause) = call.pace.wait(read.messages) {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(true)
}

struct Task {
    task: JoinHandle<Ended>,
    /// Of its channel, which may be gone.
    runtime: Arc<Runtime>,
}

impl Running for Task {
    fn cancel(&mut self) {
        self.task.abort();
    }

    fn end(self: Box<Self>) -> Ended {
        match self.runtime.block_on(self.task) {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => Ended::dropped(Read::default()),
            Err(error) => panic!("{error}"),
        }
    }
}

const PIPE_BYTES: usize = 64 << 10;
