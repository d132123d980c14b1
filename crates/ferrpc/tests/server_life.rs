//! A server's life: listening, limits, handlers outside the runtime, and its end.

mod caller;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use caller::{Caller, PATIENCE};
use ferrpc::server::{
    CallEnded, CallFuture, Dispatch, ExternalQueue, ExternalReply, HttpResponse, Interceptor,
    ListenAddress, Next, Observer, Routes, Sent, Server, ServerCall,
};
use ferrpc::transport::{ConnectionInfo, StreamIo, in_process};
use ferrpc::{
    Cardinality, Code, Encoding, Metadata, Method, Request, Response, Status, Streaming, codec,
};
use ferrpc_core::Time;
use ferrpc_core::http2::{self, Field, Role, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc};

const ECHO: Method<Bytes, Bytes> = Method::unary("/t.T/Echo", codec::raw(), codec::raw());
const GATE: Method<Bytes, Bytes> = Method::unary("/t.T/Gate", codec::raw(), codec::raw());
const PEER: Method<Bytes, Bytes> = Method::unary("/t.T/Peer", codec::raw(), codec::raw());

fn none() -> Metadata {
    Metadata::new()
}

/// Handlers of /t.T/Gate wait here for a permit; and what counts those that started.
#[derive(Clone)]
struct Gate {
    permits: Arc<Semaphore>,
    started: Arc<AtomicUsize>,
}

fn routes(dispatch: Dispatch) -> (Routes, Gate) {
    let gate = Gate { permits: Arc::new(Semaphore::new(0)), started: Arc::default() };
    let mut routes = Routes::new("t.T");
    routes.unary(
        ECHO,
        |request: Request<Bytes>| async move { Ok(Response::new(request.into_inner())) },
    );
    routes.unary(PEER, |request: Request<Bytes>| async move {
        Ok(Response::new(Bytes::from(request.peer().to_owned())))
    });
    let in_handler = gate.clone();
    routes.unary(GATE, move |request: Request<Bytes>| {
        let gate = in_handler.clone();
        async move {
            gate.started.fetch_add(1, Ordering::SeqCst);
            gate.permits.acquire().await.expect("never closed").forget();
            Ok(Response::new(request.into_inner()))
        }
    });
    for method in ["Echo", "Peer", "Gate"] {
        routes.dispatch(method, dispatch);
    }
    (routes, gate)
}

async fn server() -> (Server, Gate) {
    let (routes, gate) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    (server, gate)
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it happens")
}

// -- the end --------------------------------------------------------------------------------------

#[tokio::test]
async fn a_graceful_end_lets_calls_finish() {
    let (server, gate) = server().await;
    let mut caller = Caller::tcp(&server).await;
    let call = caller.begin("/t.T/Gate", "late");
    caller.unary("/t.T/Echo", "").await;
    let address = server.local_addr().expect("bound");
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(None).await }
    });
    caller.until(|caller| caller.draining).await;
    TcpStream::connect(address).await.expect_err("it does not listen any more");
    gate.permits.add_permits(1);
    assert_eq!(caller.finished(call).await.messages, ["late"]);
    caller.until_closed().await;
    drop(caller);
    patiently(ending).await.expect("no panic");
    patiently(server.wait()).await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test]
async fn a_graceful_end_has_a_limit() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let (routes, _gate) = routes(dispatch);
        let server =
            Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
        let mut caller = Caller::tcp(&server).await;
        let call = caller.begin("/t.T/Gate", "never");
        caller.unary("/t.T/Echo", "").await;
        let ending = tokio::spawn({
            let server = server.clone();
            async move { server.shutdown(Some(Duration::from_millis(20))).await }
        });
        let seen = caller.finished(call).await;
        assert_ne!(seen.code(), Code::Ok);
        drop(caller);
        patiently(ending).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_server_without_connections_ends_at_once() {
    let (server, _) = server().await;
    patiently(server.shutdown(None)).await;
    patiently(server.shutdown(None)).await;
}

#[tokio::test]
async fn idle_connections_end_gracefully() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_connection_idle(Duration::from_millis(20))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    caller.unary("/t.T/Echo", "").await;
    caller.until_closed().await;
}

#[tokio::test]
async fn callers_that_say_nothing_are_sent_away() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .handshake_timeout(Duration::from_millis(20))
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut stream =
        TcpStream::connect(server.local_addr().expect("bound")).await.expect("connects");
    let mut all = Vec::new();
    patiently(stream.read_to_end(&mut all)).await.expect("a clean end");
    assert!(!all.is_empty(), "SETTINGS and GOAWAY at least");
}

// -- addresses ------------------------------------------------------------------------------------

#[tokio::test]
async fn listens_on_several_addresses() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let more = server.bind("localhost:0").await.expect("binds");
    assert!(!more.is_empty());
    let ListenAddress::Tcp(address) = more[0] else { panic!("not TCP: {more:?}") };
    let mut caller = Caller::new(TcpStream::connect(address).await.expect("connects"));
    assert_eq!(caller.unary("/t.T/Echo", "second").await.messages, ["second"]);
    let mut caller = Caller::tcp(&server).await;
    let peer = caller.unary("/t.T/Peer", "").await.messages.remove(0);
    assert!(peer.starts_with(b"ipv4:127.0.0.1:"), "{peer:?}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let ListenAddress::Tcp(given) = server.serve_listener(listener).expect("serves") else {
        panic!("not TCP")
    };
    let mut caller = Caller::new(TcpStream::connect(given).await.expect("connects"));
    assert_eq!(caller.unary("/t.T/Echo", "third").await.messages, ["third"]);
    assert_eq!(server.addresses().len(), 2 + more.len());
}

#[tokio::test]
async fn bind_errors_say_what_to_do() {
    let (server, _) = server().await;
    let address = server.local_addr().expect("bound").to_string();
    let error = server.bind(&address).await.expect_err("in use");
    assert_eq!(error.address(), address);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on {address:?}: ")), "{text}");
    assert!(text.contains("another process listens there"), "{text}");
    for nonsense in ["", "nonsense", "a:b", "/path", "127.0.0.1", "host:99999", "unix:"] {
        let text = server.bind(nonsense).await.expect_err(nonsense).to_string();
        assert!(text.contains("HOST:PORT"), "{text}");
    }
    let text = server.bind("192.0.2.1:0").await.expect_err("not ours").to_string();
    assert!(text.contains("no such address"), "{text}");
}

/// A directory of the test's own, removed at its end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ferrpc-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("can be made");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn serves_unix_sockets_and_cleans_up() {
    let directory = Directory::new("unix");
    let path = directory.0.join("socket");
    let address = format!("unix:{}", path.display());
    // Left behind by somebody who did not clean up.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
    assert!(path.exists());
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind(&address).await.expect("binds");
    assert_eq!(server.addresses(), [ListenAddress::Unix(path.clone())]);
    let mut caller = Caller::new(UnixStream::connect(&path).await.expect("connects"));
    assert_eq!(caller.unary("/t.T/Peer", "").await.messages, ["unix:"]);
    // It is in use now.
    let error = server.bind(&address).await.expect_err("in use");
    assert_eq!(error.io_error().kind(), std::io::ErrorKind::AddrInUse);
    assert!(path.exists());
    drop(caller);
    patiently(server.shutdown(None)).await;
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn serves_abstract_unix_sockets() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("ferrpc-test-{}", std::process::id());
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .bind(&format!("unix-abstract:{name}"))
        .await
        .expect("binds");
    assert_eq!(server.addresses()[0].to_string(), format!("unix-abstract:{name}"));
    let address =
        std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
    let stream = std::os::unix::net::UnixStream::connect_addr(&address).expect("connects");
    stream.set_nonblocking(true).expect("can be set");
    let mut caller = Caller::new(UnixStream::from_std(stream).expect("registers"));
    assert_eq!(caller.unary("/t.T/Echo", "abstract").await.messages, ["abstract"]);
}

#[tokio::test]
async fn serves_streams_within_the_process() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).build();
    let (ours, theirs) = tokio::io::duplex(1000);
    server.serve_io(Box::new(StreamIo::new(ours, "inproc")));
    let mut caller = Caller::new(theirs);
    assert_eq!(caller.unary("/t.T/Peer", "").await.messages, ["inproc"]);
    let large = Bytes::from(vec![1; 1 << 20]);
    assert!(caller.unary("/t.T/Echo", large.clone()).await.messages == [large]);
    assert_eq!(server.local_addr(), None);
    let (ours, theirs) = in_process();
    assert_eq!((ours.peer(), theirs.peer()), ("inproc".to_owned(), "inproc".to_owned()));
    server.serve_io(ours);
    drop(theirs);
    drop(caller);
    patiently(server.shutdown(None)).await;
}

// -- limits ---------------------------------------------------------------------------------------

#[tokio::test]
async fn calls_over_the_limit_of_handlers_wait_and_then_fail() {
    for dispatch in [Dispatch::Inline, Dispatch::Spawn] {
        let (routes, gate) = routes(dispatch);
        let server = Server::builder()
            .add_service(routes)
            .max_handlers_per_connection(2)
            .bind("127.0.0.1:0")
            .await
            .expect("binds");
        let mut caller = Caller::tcp(&server).await;
        // Two run, eight wait, and the last is too much.
        let mut calls: Vec<_> =
            (0..11).map(|at| caller.begin("/t.T/Gate", at.to_string())).collect();
        let last = calls.pop().expect("eleven");
        let seen = caller.finished(last).await;
        assert_eq!(seen.code(), Code::ResourceExhausted, "{dispatch:?}: {seen:?}");
        assert!(gate.started.load(Ordering::SeqCst) <= 2);
        // One that waits is given up: it never starts.
        let given_up = calls.pop().expect("ten");
        caller.cancel(given_up);
        // Needs no handler, and is answered after the cancellation was seen.
        caller.unary("/t.T/Nothing", "").await;
        gate.permits.add_permits(9);
        for (at, call) in calls.into_iter().enumerate() {
            assert_eq!(caller.finished(call).await.messages, [at.to_string()]);
        }
        assert_eq!(gate.started.load(Ordering::SeqCst), 9);
        gate.permits.add_permits(1);
        assert_eq!(caller.unary("/t.T/Gate", "free").await.messages, ["free"]);
    }
}

#[tokio::test]
async fn the_limit_of_handlers_holds_across_connections() {
    let (routes, gate) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_handlers(1)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut first = Caller::tcp(&server).await;
    let mut second = Caller::tcp(&server).await;
    second.unary("/t.T/Echo", "").await;
    let one = first.begin("/t.T/Gate", "one");
    first.write().await;
    while gate.started.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let two = second.begin("/t.T/Gate", "two");
    second.write().await;
    gate.permits.add_permits(1);
    assert_eq!(first.finished(one).await.messages, ["one"]);
    gate.permits.add_permits(1);
    assert_eq!(second.finished(two).await.messages, ["two"]);
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .max_connections(1)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut first = Caller::tcp(&server).await;
    first.unary("/t.T/Echo", "").await;
    let mut second = Caller::tcp(&server).await;
    let call = second.begin("/t.T/Echo", "waits");
    second.write().await;
    first.unary("/t.T/Echo", "").await;
    assert_eq!(server.connection_count(), 1);
    drop(first);
    assert_eq!(second.finished(call).await.messages, ["waits"]);
}

// -- methods and requests that are not there --------------------------------------------------------

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let (server, _) = server().await;
    let mut caller = Caller::tcp(&server).await;
    let seen = caller.unary("/t.T/Nothing", "").await;
    assert_eq!(seen.code(), Code::Unimplemented);
    assert_eq!(seen.text(), "unknown method Nothing for service t.T");
    let seen = caller.unary("/no.Service/Nothing", "").await;
    assert_eq!((seen.code(), seen.text()), (Code::Unimplemented, "unknown service no.Service"));
}

#[tokio::test]
async fn unknown_methods_can_be_handled_as_bytes() {
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .unknown_method(|request: Request<Streaming<Bytes>>| async move {
            let path = request.path().to_owned();
            let requests = request.into_inner();
            let stream: ferrpc::server::ResponseStream<Bytes> = Box::pin(requests);
            let mut response = Response::new(stream);
            response.metadata_mut().append("x-path", &path).expect("legal");
            Ok(response)
        })
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    let seen = caller.unary("/any.Thing/AtAll", "through").await;
    assert_eq!(seen.messages, ["through"]);
    let path = seen.metadata.as_ref().and_then(|metadata| metadata.value("x-path"));
    assert_eq!(path, Some("/any.Thing/AtAll"));
    let call = caller.start("/any.Thing/AtAll", Cardinality::Bidirectional, &none());
    caller.send(call, "a");
    caller.send(call, "b");
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.messages, ["a", "b"]);
}

/// What a plain GET is answered with: the status and the body.
async fn get(server: &Server, path: &str) -> (Vec<u8>, Vec<u8>) {
    let mut stream =
        TcpStream::connect(server.local_addr().expect("bound")).await.expect("connects");
    let mut client = http2::Connection::new(Role::Client, http2::Config::default(), Time::ZERO);
    let field = |name: &'static [u8], value| Field { name, value, sensitive: false };
    let fields = [
        field(b":method", b"GET".as_slice()),
        field(b":scheme", b"http"),
        field(b":authority", b"test.local"),
        field(b":path", path.as_bytes()),
    ];
    client.open(Time::ZERO, fields, true).expect("a stream is free");
    let (mut status, mut body, mut done) = (Vec::new(), Vec::new(), false);
    let mut transmit = Transmit::new();
    while !done {
        client.poll_transmit(Time::ZERO, &mut transmit, usize::MAX);
        stream.write_all(&transmit.take()).await.expect("written");
        let mut buffer = [0; 4096];
        let count = patiently(stream.read(&mut buffer)).await.expect("read");
        let mut input = &buffer[..count];
        while let Some(event) = client.receive(Time::ZERO, &mut input) {
            match event {
                http2::Event::Headers { fields, end, .. } => {
                    status = fields.value(b":status").expect("there is one").to_vec();
                    done |= end;
                }
                http2::Event::Data { payload, end, .. } => {
                    body.extend_from_slice(payload);
                    done |= end;
                }
                _ => {}
            }
        }
    }
    (status, body)
}

#[tokio::test]
async fn plain_http_is_answered() {
    let (server, _) = server().await;
    let (status, body) = get(&server, "/").await;
    assert_eq!(status, b"404");
    assert_eq!(body, b"This is a gRPC server; there is nothing else here.\n");
    let (routes, _) = routes(Dispatch::Auto);
    let server = Server::builder()
        .add_service(routes)
        .fallback(|request| match request.path() {
            "/" => HttpResponse::text(200, format!("{} is fine\n", request.method())),
            _ => panic!("also answered"),
        })
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    assert_eq!(get(&server, "/").await, (b"200".to_vec(), b"GET is fine\n".to_vec()));
    assert_eq!(get(&server, "/x").await.0, b"500");
}

// -- around handlers --------------------------------------------------------------------------------

/// Lets calls through that know the password, and signs replies.
struct Guard;

struct User(String);

impl Interceptor for Guard {
    fn intercept(&self, mut call: ServerCall, next: Next) -> CallFuture {
        let Some(user) = call.metadata().value("x-user").map(str::to_owned) else {
            return Box::pin(async { Err(Status::new(Code::Unauthenticated, "who are you?")) });
        };
        call.extensions_mut().insert(User(user));
        Box::pin(async move {
            let mut reply = next.run(call).await?;
            reply.trailing_mut().append("x-signed", "yes").expect("legal");
            Ok(reply)
        })
    }
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Observer for Log {
    fn call_started(&self, method: &str) {
        self.push(format!("started {method}"));
    }

    fn call_ended(&self, call: &CallEnded<'_>) {
        self.push(format!("ended {} {}", call.method, call.code));
    }

    fn connection_opened(&self, _: &ConnectionInfo) {
        self.push("opened".to_owned());
    }

    fn connection_closed(&self, _: &ConnectionInfo, _: &str) {
        self.push("closed".to_owned());
    }
}

#[tokio::test]
async fn interceptors_and_observers_see_all_calls() {
    let log = Arc::new(Log::default());
    let mut routes = Routes::new("t.T");
    routes.unary(ECHO, |request: Request<Bytes>| async move {
        let user = request.extensions().value::<User>().expect("the guard put it there");
        Ok(Response::new(Bytes::from(user.0.clone())))
    });
    let server = Server::builder()
        .add_service(routes)
        .interceptor(Arc::new(Guard))
        .observer(Arc::clone(&log) as _)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let mut caller = Caller::tcp(&server).await;
    assert_eq!(caller.unary("/t.T/Echo", "").await.code(), Code::Unauthenticated);
    let mut metadata = Metadata::new();
    metadata.append("x-user", "ada").expect("legal");
    let call = caller.start("/t.T/Echo", Cardinality::Unary, &metadata);
    caller.send(call, "");
    caller.half_close(call);
    let seen = caller.finished(call).await;
    assert_eq!(seen.messages, ["ada"]);
    assert_eq!(seen.trailing().value("x-signed"), Some("yes"));
    drop(caller);
    patiently(server.shutdown(None)).await;
    let lines = log.0.lock().expect("not poisoned").clone();
    assert_eq!(
        lines,
        [
            "opened",
            "started /t.T/Echo",
            "ended /t.T/Echo UNAUTHENTICATED",
            "started /t.T/Echo",
            "ended /t.T/Echo OK",
            "closed",
        ]
    );
}

// -- handlers outside the runtime ---------------------------------------------------------------------

/// Threads that wait for calls sleep here.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("not poisoned") = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let rung = self.rung.lock().expect("not poisoned");
        let (mut rung, _) =
            self.changed.wait_timeout_while(rung, PATIENCE, |rung| !*rung).expect("not poisoned");
        *rung = false;
    }
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Waits on the calling thread.
fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        bell.wait();
    }
}

#[tokio::test]
async fn calls_can_be_handled_by_threads_of_ones_own() {
    let bell = Arc::new(Bell::default());
    let queue = ExternalQueue::new({
        let bell = Arc::clone(&bell);
        move || bell.ring()
    });
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Unary", Cardinality::Unary, Arc::clone(&queue));
    routes.external("/t.T/Stream", Cardinality::Bidirectional, Arc::clone(&queue));
    let server = Server::builder()
        .add_service(routes)
        .compression(Encoding::Gzip)
        .bind("127.0.0.1:0")
        .await
        .expect("binds");
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let (queue, bell, stop) = (Arc::clone(&queue), Arc::clone(&bell), Arc::clone(&stop));
        move || {
            let mut calls = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                if queue.pop(32, &mut calls) == 0 {
                    bell.wait();
                    continue;
                }
                let mut replies = Vec::new();
                for mut call in calls.drain(..) {
                    if call.path() == "/t.T/Unary" {
                        let message = call.take_message().expect("sound");
                        if message == "drop" {
                            continue;
                        }
                        let reply = match &message[..] {
                            b"fail" => {
                                ExternalReply::Status(Status::new(Code::Aborted, "so be it"))
                            }
                            _ => ExternalReply::Message {
                                initial: Metadata::new(),
                                message,
                                compression: None,
                                trailing: Metadata::new(),
                            },
                        };
                        replies.push((call, reply));
                        continue;
                    }
                    assert_eq!(call.send_metadata(Metadata::new(), None), Sent::Ready);
                    loop {
                        let Ok(message) = wait(|cx| call.poll_message(cx)) else { break };
                        let Some(message) = message else {
                            call.reply(ExternalReply::Status(Status::ok()));
                            break;
                        };
                        wait(|cx| call.poll_send_ready(cx)).expect("goes on");
                        assert_ne!(call.send_message(message), Sent::Gone);
                    }
                }
                ExternalQueue::reply_all(replies);
            }
        }
    });
    let mut caller = Caller::tcp(&server).await;
    let calls: Vec<_> =
        (0..50).map(|at| caller.begin("/t.T/Unary", vec![b'a'; at * 100])).collect();
    for (at, call) in calls.into_iter().enumerate() {
        let seen = caller.finished(call).await;
        assert_eq!(seen.messages, [vec![b'a'; at * 100]]);
        assert_eq!(seen.encoding, Encoding::Gzip);
    }
    let seen = caller.unary("/t.T/Unary", "fail").await;
    assert_eq!((seen.code(), seen.text()), (Code::Aborted, "so be it"));
    assert_eq!(caller.unary("/t.T/Unary", "drop").await.code(), Code::Unknown);
    let call = caller.start("/t.T/Stream", Cardinality::Bidirectional, &none());
    for turn in 1..=100 {
        caller.send(call, vec![b'b'; 10_000]);
        caller.until(|caller| caller.calls[&call].messages.len() == turn).await;
    }
    caller.half_close(call);
    assert_eq!(caller.finished(call).await.code(), Code::Ok);
    stop.store(true, Ordering::SeqCst);
    bell.ring();
    worker.join().expect("no panic");
}

#[tokio::test]
async fn calls_outside_the_runtime_hear_of_their_cancellation() {
    let (sender, mut arrived) = mpsc::unbounded_channel();
    let queue = ExternalQueue::new(move || {
        let _ = sender.send(());
    });
    let mut routes = Routes::new("t.T");
    routes.external("/t.T/Unary", Cardinality::Unary, Arc::clone(&queue));
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    let mut caller = Caller::tcp(&server).await;
    let call = caller.begin("/t.T/Unary", "");
    caller.write().await;
    patiently(arrived.recv()).await.expect("a call");
    let mut calls = Vec::new();
    assert_eq!(queue.pop(10, &mut calls), 1);
    caller.cancel(call);
    caller.write().await;
    let taken = calls.pop().expect("one");
    let status = patiently(std::future::poll_fn(|cx| taken.poll_cancelled(cx))).await;
    assert_eq!(status.code(), Code::Cancelled);
    drop(taken);
    // One that waits and is given up leaves the queue, so that the second is the first in it.
    let call = caller.begin("/t.T/Unary", "given up");
    caller.write().await;
    patiently(arrived.recv()).await.expect("a call");
    caller.cancel(call);
    caller.begin("/t.T/Unary", "next");
    caller.write().await;
    patiently(arrived.recv()).await.expect("another call");
    assert_eq!(queue.pop(10, &mut calls), 1);
    assert_eq!(calls[0].take_message().expect("sound"), "next");
}
