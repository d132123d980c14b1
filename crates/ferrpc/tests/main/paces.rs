//! Streams of every size, read at once or slowly, through every API and over every socket: each runs
//! to its end. The event loop here does nothing that it was not told to do, so that work which was
//! made and not sent is a test that fails.
#![cfg(all(unix, feature = "tls"))]

use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::client::{Channel, ChannelBuilder};
use ferrpc::credentials::{ChannelCredentials, ClientTls, ServerCredentials, ServerTls};
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::{Cardinality, Code, Method, Request, Response, Status, Streaming, codec};
use ferrpc_blocking::{
    self as blocking, Driven, Pumped, PushError, RawCall, RawMethod, RawOptions, Waited,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::runtime::Runtime;

use crate::certificates::Authority;
use crate::support::{Messages, messages};

static FEED: Method<Bytes, Bytes> =
    Method::server_streaming("/t.T/Feed", codec::raw(), codec::raw());
static SINK: Method<Bytes, Bytes> =
    Method::client_streaming("/t.T/Sink", codec::raw(), codec::raw());
static CHAT: Method<Bytes, Bytes> = Method::bidirectional("/t.T/Chat", codec::raw(), codec::raw());

/// Bytes of a message, and how many of them.
const SIZES: [(usize, usize); 6] =
    [(0, 2000), (1, 2000), (2000, 500), (70_000, 30), (1 << 20, 4), ((4 << 20) - 100, 2)];

/// Who reads so pauses behind each of its first messages.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES: usize = 20;

/// Nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Unix,
    Tls,
}

/// How many messages came, and their bytes.
type Sum = (usize, usize);

// -- the server -----------------------------------------------------------------------------------

struct Host {
    runtime: Runtime,
    server: Option<Server>,
    target: String,
    credentials: Option<ChannelCredentials>,
}

fn numbers(text: &[u8]) -> [usize; 3] {
    let mut numbers = std::str::from_utf8(text).expect("ASCII").split(' ');
    std::array::from_fn(|_| numbers.next().expect("three").parse().expect("a number"))
}

/// Bytes, messages, and whether the other side is slow.
fn order(size: usize, count: usize, slow: bool) -> Bytes {
    format!("{size} {count} {}", usize::from(slow)).into()
}

async fn sink(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let slow = request.metadata().value("slow").is_some();
    let mut requests = request.into_inner();
    let (mut count, mut bytes) = (0, 0);
    while let Some(message) = requests.message().await? {
        (count, bytes) = (count + 1, bytes + message.len());
        if slow && count <= PAUSES {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(Response::new(format!("{bytes} {count} 0").into()))
}

async fn feed(request: Request<Bytes>) -> Result<Response<ResponseStream<Bytes>>, Status> {
    let [size, count, _] = numbers(request.message());
    let list = (0..count).map(move |_| Ok(Bytes::from(vec![7; size])));
    let stream: ResponseStream<Bytes> = Box::pin(messages(list));
    Ok(Response::new(stream))
}

async fn chat(
    request: Request<Streaming<Bytes>>,
) -> Result<Response<ResponseStream<Bytes>>, Status> {
    let stream: ResponseStream<Bytes> = Box::pin(request.into_inner());
    Ok(Response::new(stream))
}

impl Host {
    fn start(way: Way) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mut routes = Routes::new("t.T");
        routes
            .server_streaming(FEED.clone(), feed)
            .client_streaming(SINK.clone(), sink)
            .bidirectional(CHAT.clone(), chat);
        let mut server = Server::builder().add_service(routes).max_receive_message(8 << 20);
        let mut credentials = None;
        if way == Way::Tls {
            let authority = Authority::new("ca");
            let identity = authority.issue(&["localhost"]).identity();
            let tls = ServerTls::builder(identity).build().expect("a certificate");
            server = server.credentials(ServerCredentials::tls(tls));
            let tls = ClientTls::builder().roots(authority.roots()).build().expect("roots");
            credentials = Some(ChannelCredentials::tls(tls));
        }
        let path = std::env::temp_dir().join(format!("ferrpc-paces-{}", rand()));
        let place = match way {
            Way::Unix => format!("unix:{}", path.display()),
            _ => "127.0.0.1:0".to_owned(),
        };
        let server = runtime.block_on(server.bind(&place)).expect("bound");
        let target = match way {
            Way::Unix => place,
            _ => format!("localhost:{}", server.local_addr().expect("TCP").port()),
        };
        Self { runtime, server: Some(server), target, credentials }
    }

    fn channel(&self) -> ChannelBuilder {
        let builder = Channel::builder(self.target.clone()).max_receive_message(8 << 20);
        match &self.credentials {
            Some(credentials) => builder.credentials(credentials.clone()),
            None => builder,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        self.server = None;
    }
}

fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

// -- the clients ----------------------------------------------------------------------------------

trait Client {
    fn down(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status>;
    fn up(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status>;
    fn both(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status>;
}

fn requests(size: usize, count: usize) -> Messages<Bytes> {
    messages((0..count).map(move |_| Bytes::from(vec![7; size])))
}

fn upload<T>(requests: T, slow: bool) -> Request<T> {
    let mut request = Request::new(requests);
    if slow {
        request.metadata_mut().insert("slow", "1").expect("legal");
    }
    request.set_timeout(PATIENCE);
    request
}

fn sum_of(response: &[u8]) -> Sum {
    let [bytes, count, _] = numbers(response);
    (count, bytes)
}

struct Tasks<'a>(&'a Host, Channel);

impl Tasks<'_> {
    async fn read(mut responses: Streaming<Bytes>, slow: bool) -> Result<Sum, Status> {
        let (mut count, mut bytes) = (0, 0);
        while let Some(message) = responses.message().await? {
            (count, bytes) = (count + 1, bytes + message.len());
            if slow && count <= PAUSES {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok((count, bytes))
    }
}

impl Client for Tasks<'_> {
    fn down(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        self.0.runtime.block_on(async {
            let request = upload(order(size, count, slow), false);
            Self::read(self.1.server_streaming(&FEED, request).await?.into_inner(), slow).await
        })
    }

    fn up(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        self.0.runtime.block_on(async {
            let request = upload(requests(size, count), slow);
            let response = self.1.client_streaming(&SINK, request).await?;
            Ok(sum_of(response.message()))
        })
    }

    fn both(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        self.0.runtime.block_on(async {
            let request = upload(requests(size, count), false);
            Self::read(self.1.bidirectional(&CHAT, request).await?, slow).await
        })
    }
}

struct Threads(blocking::Channel);

impl Threads {
    fn read(mut responses: blocking::Responses<Bytes>, slow: bool) -> Result<Sum, Status> {
        let (mut count, mut bytes) = (0, 0);
        while let Some(message) = responses.message()? {
            (count, bytes) = (count + 1, bytes + message.len());
            if slow && count <= PAUSES {
                thread::sleep(PAUSE);
            }
        }
        Ok((count, bytes))
    }
}

impl Client for Threads {
    fn down(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let request = upload(order(size, count, slow), false);
        Self::read(self.0.server_streaming(&FEED, request)?, slow)
    }

    fn up(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let response = self.0.client_streaming(&SINK, upload(requests(size, count).0, slow))?;
        Ok(sum_of(response.message()))
    }

    fn both(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let (mut sender, responses) = self.0.bidirectional(&CHAT, upload((), false))?;
        thread::scope(|scope| {
            let sends = scope.spawn(move || {
                requests(size, count).0.iter().try_for_each(|message| sender.send(message))?;
                sender.finish();
                Ok::<(), Status>(())
            });
            let sum = Self::read(responses, slow)?;
            sends.join().expect("no panic")?;
            Ok(sum)
        })
    }
}

/// An event loop that sleeps until it is told that there is something to do.
struct Loop {
    channel: blocking::Channel,
    told: mpsc::Receiver<Told>,
    tells: mpsc::Sender<Told>,
    driven: Vec<(Driven, OwnedFd, Pumped)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Channel,
    Call,
}

struct Bell(mpsc::Sender<Told>, Told);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // The loop may be over.
        let _ = self.0.send(self.1);
    }
}

impl Loop {
    fn new(channel: blocking::Channel) -> Self {
        let (tells, told) = mpsc::channel();
        channel.drive(Waker::from(Arc::new(Bell(tells.clone(), Told::Channel))));
        Self { channel, told, tells, driven: Vec::new() }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::new(Bell(self.tells.clone(), Told::Call)))
    }

    /// Sleeps until there is something to do, and does it.
    fn turn(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let told = self.told.recv_timeout(Duration::from_millis(1));
            if told == Ok(Told::Channel) {
                while let Some(driven) = self.channel.adopt() {
                    let socket = driven.socket().expect("another descriptor");
                    self.driven.push((driven, socket, Pumped { again: true, ..Pumped::default() }));
                }
            }
            let mut pumped_any = false;
            for (driven, socket, pumped) in &mut self.driven {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, pumped.read);
                flags.set(PollFlags::OUT, pumped.write);
                let mut fds = [PollFd::new(socket, flags)];
                poll(&mut fds, Some(&Timespec::default())).expect("it can be asked");
                let ready = fds[0].revents();
                let readable = pumped.again || ready.contains(PollFlags::IN);
                let writable = ready.contains(PollFlags::OUT);
                if told == Ok(Told::Channel) || readable || writable {
                    *pumped = driven.pump(readable, writable);
                    pumped_any = true;
                }
            }
            self.driven.retain(|(_, _, pumped)| !pumped.over);
            if told.is_ok() || pumped_any {
                return;
            }
            assert!(Instant::now() < end, "it sleeps for ever");
        }
    }

    fn call(&self, method: &Method<Bytes, Bytes>, message: Option<Bytes>, slow: bool) -> RawCall {
        let cardinality = if message.is_some() {
            Cardinality::ServerStreaming
        } else {
            Cardinality::Bidirectional
        };
        let mut options = RawOptions { message, watched: true, ..RawOptions::default() };
        if slow {
            options.metadata.insert("slow", "1").expect("legal");
        }
        let method = RawMethod::new(method.path(), cardinality);
        self.channel.start_raw(&method, options).expect("no interceptor")
    }

    /// Sends these, and reads what comes.
    fn exchange(
        &mut self,
        call: &RawCall,
        list: Messages<Bytes>,
        slow: bool,
    ) -> Result<(Sum, Bytes), Status> {
        let waker = self.waker();
        let mut list = list.0.into_iter();
        let (mut late, mut sent) = (None, false);
        let (mut count, mut bytes, mut last) = (0, 0, Bytes::new());
        loop {
            let mut idle = true;
            while !sent {
                let pushed = match late.take() {
                    Some(message) => call.poll_push_again(message, &waker),
                    None => match list.next() {
                        Some(message) => call.poll_push(message, &waker),
                        None => {
                            call.half_close();
                            sent = true;
                            break;
                        }
                    },
                };
                match pushed {
                    Ok(()) => idle = false,
                    Err(PushError::Over(_)) => sent = true,
                    Err(PushError::Late(message)) => {
                        late = Some(message);
                        break;
                    }
                }
            }
            match call.poll_message(&waker) {
                Waited::Ready(message) => {
                    (count, bytes, last) = (count + 1, bytes + message.len(), message);
                    idle = false;
                    if slow && count <= PAUSES {
                        thread::sleep(PAUSE);
                    }
                }
                Waited::Over(outcome) if outcome.status().is_ok() => {
                    return Ok(((count, bytes), last));
                }
                Waited::Over(outcome) => return Err(outcome.status().clone()),
                Waited::Late => {}
            }
            if idle {
                self.turn();
            }
        }
    }
}

impl Client for Loop {
    fn down(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let call = self.call(&FEED, Some(order(size, count, slow)), false);
        Ok(self.exchange(&call, messages([]), slow)?.0)
    }

    fn up(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let call = self.call(&SINK, None, slow);
        Ok(sum_of(&self.exchange(&call, requests(size, count), false)?.1))
    }

    fn both(&mut self, size: usize, count: usize, slow: bool) -> Result<Sum, Status> {
        let call = self.call(&CHAT, None, false);
        Ok(self.exchange(&call, requests(size, count), slow)?.0)
    }
}

// -- the tests ------------------------------------------------------------------------------------

fn all(client: &mut dyn Client) {
    for (size, count) in SIZES {
        for slow in [false, true] {
            let expected = Ok((count, count * size));
            let seen = [
                client.down(size, count, slow),
                client.up(size, count, slow),
                client.both(size, count, slow),
            ]
            .map(|result| result.map_err(|status| (status.code(), status.to_string())));
            let expected: [Result<Sum, (Code, String)>; 3] =
                [expected.clone(), expected.clone(), expected];
            assert_eq!(seen, expected, "{count} messages of {size} bytes, slow: {slow}");
        }
    }
}

fn tasks(way: Way) {
    let host = Host::start(way);
    let entered = host.runtime.enter();
    let channel = host.channel().connect_lazy().expect("a target");
    drop(entered);
    all(&mut Tasks(&host, channel));
}

fn threads(way: Way) {
    let host = Host::start(way);
    all(&mut Threads(blocking::Channel::new(host.channel()).expect("a target")));
}

fn event_loop(way: Way) {
    let host = Host::start(way);
    all(&mut Loop::new(blocking::Channel::new(host.channel()).expect("a target")));
}

#[test]
fn tasks_by_tcp() {
    tasks(Way::Tcp);
}

#[test]
fn tasks_by_unix_socket() {
    tasks(Way::Unix);
}

#[test]
fn tasks_by_tls() {
    tasks(Way::Tls);
}

#[test]
fn threads_by_tcp() {
    threads(Way::Tcp);
}

#[test]
fn threads_by_unix_socket() {
    threads(Way::Unix);
}

#[test]
fn threads_by_tls() {
    threads(Way::Tls);
}

#[test]
fn an_event_loop_by_tcp() {
    event_loop(Way::Tcp);
}

#[test]
fn an_event_loop_by_unix_socket() {
    event_loop(Way::Unix);
}

#[test]
fn an_event_loop_by_tls() {
    event_loop(Way::Tls);
}
