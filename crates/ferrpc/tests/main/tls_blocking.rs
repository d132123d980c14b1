//! TLS, credentials and proxies of the blocking channel.
#![cfg(all(unix, feature = "tls"))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::Proxy;
use ferrpc::credentials::{
    AccessToken, Blocking, CallContext, ChannelCredentials, ClientAuth, ClientTls, LocalKind,
    PluginError, ServerCredentials, ServerTls, TlsFiles,
};
use ferrpc::server::{Routes, Server};
use ferrpc::{Code, Metadata, Request, Response, Status};
use ferrpc_blocking::Channel;
use tokio::runtime::Runtime;

use crate::certificates::Authority;
use crate::support::{ECHO, HANG};

/// A server on a runtime of its own.
struct Host {
    _runtime: Runtime,
    port: u16,
}

fn serve(credentials: ServerCredentials) -> Host {
    let runtime = Runtime::new().expect("a runtime");
    let mut routes = Routes::new("t");
    routes
        .unary(ECHO.clone(), |request: Request<Bytes>| async move {
            let mut response = Response::new(request.message().clone());
            for name in ["authorization", "x-url"] {
                if let Some(value) = request.metadata().value(name) {
                    response.trailing_mut().append(name, value).expect("legal");
                }
            }
            Ok(response)
        })
        .unary(HANG.clone(), |_: Request<Bytes>| std::future::pending());
    let server = Server::builder().add_service(routes).credentials(credentials);
    let server = server.max_receive_message(64 << 20);
    let server = runtime.block_on(server.bind("127.0.0.1:0")).expect("bound");
    let port = server.local_addr().expect("TCP").port();
    Host { _runtime: runtime, port }
}

impl Host {
    fn channel(&self, credentials: ChannelCredentials) -> Channel {
        Channel::new(
            ferrpc::Channel::builder(format!("localhost:{}", self.port))
                .credentials(credentials)
                .max_receive_message(64 << 20),
        )
        .expect("a target")
    }
}

fn tls(authority: &Authority, auth: ClientAuth) -> ServerCredentials {
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity()).client_auth(auth);
    ServerCredentials::tls(tls.build().expect("an identity"))
}

fn trusting(authority: &Authority) -> ChannelCredentials {
    let tls = ClientTls::builder().roots(authority.roots());
    ChannelCredentials::tls(tls.build().expect("roots"))
}

fn ask(channel: &Channel, message: Bytes) -> Result<Response<Bytes>, Status> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(20));
    channel.unary(&ECHO, request)
}

#[test]
fn calls_of_all_sizes() {
    let authority = Authority::new("root");
    let host = serve(tls(&authority, ClientAuth::None));
    let channel = host.channel(trusting(&authority));
    for size in [0, 1, 5000, 16 << 10, 70_000, 1 << 20, 20 << 20] {
        let message = Bytes::from(vec![7; size]);
        let response = ask(&channel, message.clone()).expect("it answers");
        assert!(response.message() == &message, "{size}");
    }
    // Many threads, among them one that is alone now and then.
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let channel = channel.clone();
            thread::spawn(move || {
                for at in 0..100 {
                    let message = Bytes::from(vec![number; at * 1000]);
                    let response = ask(&channel, message.clone()).expect("it answers");
                    assert!(response.message() == &message);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let mut hurried = Request::new(Bytes::new());
    hurried.set_timeout(Duration::from_millis(50));
    let status = channel.unary(&HANG, hurried).expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

fn refused(outcome: Result<Response<Bytes>, Status>, part: &str) {
    let status = outcome.expect_err("it is refused");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(part), "{part:?} is not in {status}");
}

#[test]
fn who_is_refused_and_why() {
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    let host = serve(tls(&ours, ClientAuth::Required(ours.roots())));
    let known = ours.issue(&["client"]).identity();
    let known = ClientTls::builder().roots(ours.roots()).identity(known).build().expect("roots");
    ask(&host.channel(ChannelCredentials::tls(known)), Bytes::new()).expect("it is known");
    refused(
        ask(&host.channel(trusting(&ours)), Bytes::new()),
        "the server expects a client certificate, the channel has none",
    );
    refused(ask(&host.channel(trusting(&theirs)), Bytes::new()), "unknown issuer");
    let plain = serve(ServerCredentials::insecure());
    refused(
        ask(&plain.channel(trusting(&ours)), Bytes::new()),
        "expected TLS, the server speaks plaintext HTTP/2",
    );
    refused(
        ask(&plain.channel(ChannelCredentials::local(LocalKind::Unix)), Bytes::new()),
        "expected a unix socket, this is ipv4:127.0.0.1",
    );
}

/// A server that accepts and says nothing does not hold a call longer than its deadline.
#[test]
fn a_handshake_that_stalls() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let authority = Authority::new("root");
    let channel = ferrpc::Channel::builder(format!("localhost:{port}"));
    let channel = channel.credentials(trusting(&authority));
    let channel = Channel::new(channel.connect_timeout(Duration::from_millis(200)));
    let channel = channel.expect("a target");
    let status = ask(&channel, Bytes::new()).expect_err("nobody answers");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    drop(listener);
}

#[test]
fn call_credentials() {
    let authority = Authority::new("root");
    let host = serve(tls(&authority, ClientAuth::None));
    let plugin = Blocking::new(|context: &CallContext| {
        let mut metadata = Metadata::new();
        metadata.append("x-url", &context.service_url)?;
        Ok(metadata)
    });
    let credentials = trusting(&authority).with_call_credentials(AccessToken::new("t"));
    let channel = host.channel(credentials.with_call_credentials(plugin));
    let response = ask(&channel, Bytes::new()).expect("it answers");
    assert_eq!(response.trailing().value("authorization"), Some("Bearer t"));
    let url = format!("https://localhost:{}/t", host.port);
    assert_eq!(response.trailing().value("x-url"), Some(&*url));

    let failing = |_: CallContext| async { Err::<Metadata, _>(PluginError::new("no")) };
    let channel = host.channel(trusting(&authority).with_call_credentials(failing));
    refused(ask(&channel, Bytes::new()), "Getting metadata from plugin failed with error: no");
    let hanging = |_: CallContext| std::future::pending::<Result<Metadata, PluginError>>();
    let channel = host.channel(trusting(&authority).with_call_credentials(hanging));
    let mut hurried = Request::new(Bytes::new());
    hurried.set_timeout(Duration::from_millis(50));
    let status = channel.unary(&ECHO, hurried).expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");

    let plain = serve(ServerCredentials::insecure());
    let insecure = ChannelCredentials::insecure().with_call_credentials(AccessToken::new("t"));
    let status = ask(&plain.channel(insecure), Bytes::new()).expect_err("it is not secure");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}

#[test]
fn watched_files() {
    let folder = std::env::temp_dir().join(format!("ferrpc-tlsb-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of ours");
    let roots = folder.join("roots.pem");
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    std::fs::write(&roots, &theirs.pem).expect("a folder of ours");
    let host = serve(tls(&ours, ClientAuth::None));
    let files = TlsFiles::new().roots(&roots).interval(Duration::ZERO);
    let credentials = files.into_channel().expect("it is there");
    refused(ask(&host.channel(credentials.clone()), Bytes::new()), "unknown issuer");
    std::fs::write(&roots, format!("{}{}", theirs.pem, ours.pem)).expect("a folder of ours");
    ask(&host.channel(credentials), Bytes::new()).expect("the new root");
    std::fs::remove_dir_all(&folder).expect("a folder of ours");
}

/// TLS to the server through a proxy.
#[test]
fn by_proxy() {
    let authority = Authority::new("root");
    let host = serve(tls(&authority, ClientAuth::None));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let port = host.port;
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a caller");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"CONNECT server.invalid:9 HTTP/1.1\r\n"));
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("a reader");
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it runs");
        let (mut from, mut to) =
            (client.try_clone().expect("fds"), server.try_clone().expect("fds"));
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    let channel = Channel::new(
        ferrpc::Channel::builder("server.invalid:9")
            .credentials(trusting(&authority))
            .server_name("localhost")
            .proxy(Proxy::http(format!("http://{address}"))),
    )
    .expect("a target");
    assert_eq!(ask(&channel, Bytes::from_static(b"x")).expect("it answers").message(), "x");

    let nobody = ferrpc::Channel::builder("server.invalid:9");
    let nobody = Channel::new(nobody.proxy(Proxy::http("http://127.0.0.1:1")));
    refused(ask(&nobody.expect("a target"), Bytes::new()), "cannot reach the proxy 127.0.0.1:1");
}
