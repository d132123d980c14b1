//! Peers that abuse handshakes: they are bounded, said once, and others do not notice.
#![cfg(feature = "tls")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::credentials::{
    ChannelCredentials, ClientAuth, ClientTls, ServerCredentials, ServerTls,
};
use ferrpc::server::{Routes, Server, ServerBuilder};
use ferrpc::{Channel, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::Authority;
use crate::support::{ECHO, until};
use crate::warnings::Warnings;

struct Host {
    server: Server,
    address: SocketAddr,
    authority: Authority,
}

async fn host(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Host {
    let authority = Authority::new("root");
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        Ok(Response::new(request.into_inner()))
    });
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity())
        .client_auth(ClientAuth::Optional(authority.roots()));
    let tls = ServerCredentials::tls(tls.build().expect("an identity"));
    let builder = Server::builder().add_service(routes).credentials(tls);
    let server = change(builder).bind("127.0.0.1:0").await.expect("bound");
    let address = server.local_addr().expect("TCP");
    Host { server, address, authority }
}

impl Host {
    fn channel(&self) -> Channel {
        let tls = ClientTls::builder().roots(self.authority.roots()).build().expect("roots");
        Channel::builder(format!("localhost:{}", self.address.port()))
            .credentials(ChannelCredentials::tls(tls))
            .connect_lazy()
            .expect("a target")
    }

    async fn stranger(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the listener listens")
    }
}

async fn call(channel: &Channel) {
    let mut request = Request::new(Bytes::from_static(b"x"));
    request.set_timeout(Duration::from_secs(20));
    channel.unary(&ECHO, request).await.expect("honest callers are served");
}

/// Whether the other side closes the connection within the time, whatever it sends before.
async fn closed(stream: &mut TcpStream, within: Duration) -> bool {
    let read = async {
        let mut bytes = [0; 4096];
        while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
    };
    tokio::time::timeout(within, read).await.is_ok()
}

/// A handshake that goes no further ends after its time; one byte now and then does not help.
#[tokio::test]
async fn stalled_handshakes() {
    let host = host(|builder| builder.handshake_timeout(Duration::from_millis(300))).await;
    let channel = host.channel();
    call(&channel).await;
    let mut silent = host.stranger().await;
    let mut dribbling = host.stranger().await;
    let began = Instant::now();
    let dribble = async {
        // The head of a record with a hello of 512 bytes, that comes byte by byte.
        for byte in [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3].into_iter().chain([7; 500]) {
            if dribbling.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    };
    let (ended, dribbled) = tokio::join!(closed(&mut silent, Duration::from_secs(10)), dribble);
    assert!(ended, "a silent handshake ends");
    assert!(dribbled < Duration::from_secs(8), "dribbling does not buy time: {dribbled:?}");
    call(&channel).await;
    assert_eq!(host.server.connection_count(), 1);
}

/// More silent connections than handshakes may run: those that came first go, and honest callers
/// get in at once.
#[tokio::test]
async fn floods_of_silent_connections() {
    let host = host(|builder| builder.max_handshakes(16)).await;
    let mut strangers = Vec::new();
    for _ in 0..200 {
        strangers.push(host.stranger().await);
    }
    let began = Instant::now();
    call(&host.channel()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "no wait for handshakes to time out");
    let mut ended = 0;
    for stranger in &mut strangers {
        ended += usize::from(closed(stranger, Duration::from_millis(1)).await);
    }
    assert!(ended >= 200 - 16, "{ended} of 200 ended");
}

/// Handshakes that are begun in earnest and given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_hellos() {
    let host = host(|builder| builder.max_handshakes(32)).await;
    let channel = host.channel();
    call(&channel).await;
    let hello = hello(&host.authority, |_| {});
    let flood: Vec<_> = (0..8)
        .map(|_| {
            let (address, hello) = (host.address, hello.clone());
            tokio::spawn(async move {
                for _ in 0..40 {
                    let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                    let _ = stream.write_all(&hello).await;
                }
            })
        })
        .collect();
    // A connection that is open answers meanwhile; so does one that is new.
    for _ in 0..50 {
        call(&channel).await;
    }
    call(&host.channel()).await;
    for task in flood {
        task.await.expect("no panic");
    }
    until("only the honest connections remain", || host.server.connection_count() <= 2).await;
}

/// Callers that say hello, are answered, and go no further: the oldest of them give their places to
/// honest ones long before their time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_handshakes_that_are_half_done() {
    let forever = Duration::from_secs(3600);
    let host = host(|builder| builder.max_handshakes(16).handshake_timeout(forever)).await;
    let hello = hello(&host.authority, |_| {});
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = host.stranger().await;
        stranger.write_all(&hello).await.expect("it is open");
        strangers.push(stranger);
    }
    for _ in 0..10 {
        call(&host.channel()).await;
    }
    until("all but the newest were dropped", || host.server.connection_count() <= 26).await;
}

/// A client's first message.
fn hello(authority: &Authority, change: impl FnOnce(&mut rustls::ClientConfig)) -> Vec<u8> {
    let mut bytes = Vec::new();
    client(authority, change).write_tls(&mut bytes).expect("a vector");
    bytes
}

fn client(
    authority: &Authority,
    change: impl FnOnce(&mut rustls::ClientConfig),
) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes());
    roots.add(der.expect("PEM")).expect("a root");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    change(&mut config);
    rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name"))
        .expect("a client")
}

/// What is no TLS ends at once, whatever it is, before the handshake and after it.
#[tokio::test]
async fn junk() {
    let host = host(|builder| builder).await;
    let channel = host.channel();
    call(&channel).await;
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    let mut samples = vec![
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        // Records that are too long, of unknown kinds, empty.
        vec![22, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff],
        vec![99, 3, 3, 0, 1, 0],
        [22, 3, 3, 0, 0].repeat(100),
        // An alert, application data, a change of ciphers that nobody asked for.
        vec![21, 3, 3, 0, 2, 2, 40],
        vec![23, 3, 3, 0, 3, 1, 2, 3],
        [20, 3, 3, 0, 1, 1].repeat(50),
    ];
    samples.extend((0..40).map(|_| (0..600).map(|_| random()).collect()));
    // A hello with a bit turned somewhere.
    let hello = hello(&host.authority, |_| {});
    for _ in 0..60 {
        let mut turned = hello.clone();
        let at = (usize::from(random()) << 8 | usize::from(random())) % turned.len();
        turned[at] ^= 1 << (random() % 8);
        samples.push(turned);
    }
    for sample in samples {
        let mut stream = host.stranger().await;
        let _ = stream.write_all(&sample).await;
        // Where it was a whole hello after all, the server answers and waits.
        let _ = stream.shutdown().await;
        assert!(closed(&mut stream, Duration::from_secs(20)).await, "{sample:02x?}");
    }
    call(&channel).await;
    call(&host.channel()).await;
}

/// Renegotiation (TLS 1.2) and junk on a connection that is open.
#[tokio::test]
async fn junk_after_the_handshake() {
    let host = host(|builder| builder).await;
    let channel = host.channel();
    call(&channel).await;
    for junk in [
        // What a renegotiation would begin with, were it not encrypted.
        hello(&host.authority, |_| {}),
        // A record that does not decrypt.
        [&[23, 3, 3, 0, 64][..], &[9; 64]].concat(),
        vec![0; 64],
    ] {
        let address = host.address;
        let mut tls = client(&host.authority, |_| {});
        let ended = tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(address).expect("accepted");
            tls.complete_io(&mut stream).expect("a handshake in order");
            stream.write_all(&junk).expect("it is open");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
            let mut bytes = [0; 4096];
            loop {
                match stream.read(&mut bytes) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
                }
            }
        });
        assert!(ended.await.expect("no panic"), "the server ends it");
    }
    call(&channel).await;
}

/// A hundred handshakes that fail are one line in the log; those who only knock are none.
#[tokio::test]
async fn failures_are_said_once() {
    let warnings = Warnings::default();
    let _guard = warnings.listen();
    let host = host(|builder| builder).await;
    for _ in 0..20 {
        drop(host.stranger().await);
    }
    for _ in 0..100 {
        let mut stream = host.stranger().await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("accepted");
        assert!(closed(&mut stream, Duration::from_secs(20)).await);
    }
    let said = warnings.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("expected TLS, the caller speaks plaintext HTTP/2"), "{said:?}");
    assert!(said[0].contains("ipv4:127.0.0.1:"), "{said:?}");
}
