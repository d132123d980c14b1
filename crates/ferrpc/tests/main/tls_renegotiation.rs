//! Renegotiation inside an established session of TLS 1.2: the first request is declined, as RFC 5246
//! has it, the second ends the connection; nobody else notices.
#![cfg(feature = "tls")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::credentials::{ChannelCredentials, ClientTls, ServerCredentials, ServerTls};
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundPlainMessage,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ConnectionTrafficSecrets, ContentType, ExtractedSecrets, ProtocolVersion, SupportedCipherSuite,
};

use crate::certificates::Authority;
use crate::support::ECHO;
use crate::warnings::Warnings;

/// A session whose records are written by hand: rustls would not write these.
struct ByHand {
    stream: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    sent: u64,
    received: u64,
    input: Vec<u8>,
}

impl ByHand {
    /// Takes an established session over.
    fn new(stream: TcpStream, secrets: ExtractedSecrets) -> Self {
        let SupportedCipherSuite::Tls12(suite) = TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        else {
            panic!("a suite of TLS 1.2");
        };
        let parts = |secrets: ConnectionTrafficSecrets| match secrets {
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (AeadKey::from(<[u8; 32]>::try_from(key.as_ref()).expect("its length")), iv)
            }
            _ => panic!("the suite that was asked for"),
        };
        let ((sent, tx), (received, rx)) = (secrets.tx, secrets.rx);
        let (key, iv) = parts(tx);
        let encrypter = suite.aead_alg.encrypter(key, iv.as_ref(), &[]);
        let (key, iv) = parts(rx);
        let decrypter = suite.aead_alg.decrypter(key, iv.as_ref());
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        Self { stream, encrypter, decrypter, sent, received, input: Vec::new() }
    }

    fn send(&mut self, typ: ContentType, payload: &[u8]) -> io::Result<()> {
        let version = ProtocolVersion::TLSv1_2;
        let message = OutboundPlainMessage { typ, version, payload: payload.into() };
        let sealed = self.encrypter.encrypt(message, self.sent).expect("it can be encrypted");
        self.sent += 1;
        self.stream.write_all(&sealed.encode())
    }

    /// The next record; `None` at the end.
    fn receive(&mut self) -> Option<(ContentType, Vec<u8>)> {
        loop {
            if self.input.len() >= 5 {
                let length = usize::from(u16::from_be_bytes([self.input[3], self.input[4]]));
                if self.input.len() >= 5 + length {
                    let record: Vec<u8> = self.input.drain(..5 + length).collect();
                    let (typ, mut payload) = (ContentType::from(record[0]), record[5..].to_vec());
                    let version = ProtocolVersion::TLSv1_2;
                    let sealed = InboundOpaqueMessage::new(typ, version, &mut payload);
                    let plain = self.decrypter.decrypt(sealed, self.received).expect("in order");
                    self.received += 1;
                    return Some((plain.typ, plain.payload.to_vec()));
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("neither bytes nor an end: {error}"),
            }
        }
    }

    /// The next record that is no data.
    fn receive_alert(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.receive()? {
                (ContentType::ApplicationData, _) => {}
                (ContentType::Alert, alert) => return Some(alert),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites = vec![TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    Arc::new(provider)
}

fn caller(authority: &Authority) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
    roots.add(root).expect("a root");
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.enable_secret_extraction = true;
    rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name"))
        .expect("a client")
}

/// A caller with an established session, and the hello that would begin another one in it.
fn established(address: SocketAddr, authority: &Authority) -> (ByHand, Vec<u8>) {
    let mut record = Vec::new();
    caller(authority).write_tls(&mut record).expect("a vector");
    let mut tls = caller(authority);
    let mut stream = TcpStream::connect(address).expect("accepted");
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).expect("a handshake in order");
    }
    let session = ByHand::new(stream, tls.dangerous_extract_secrets().expect("secrets"));
    (session, record.split_off(5))
}

/// Asks twice to renegotiate: how the server took it.
fn renegotiate(address: SocketAddr, authority: &Authority) {
    let (mut session, hello) = established(address, authority);
    let data = ContentType::ApplicationData;
    session.send(data, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("sent");
    session.send(ContentType::Handshake, &hello).expect("sent");
    assert_eq!(session.receive_alert().as_deref(), Some(&[1, NO_RENEGOTIATION][..]));
    // The session goes on.
    session.send(data, b"\0\0\x08\x06\0\0\0\0\0pingpong").expect("sent");
    loop {
        let (typ, payload) = session.receive().expect("it is open");
        assert_eq!(typ, ContentType::ApplicationData);
        if payload.windows(8).any(|bytes| bytes == b"pingpong") {
            break;
        }
    }
    session.send(ContentType::Handshake, &hello).expect("sent");
    while let Some(alert) = session.receive_alert() {
        assert_ne!(alert, [1, NO_RENEGOTIATION], "once is enough");
    }
}

async fn host(authority: &Authority) -> (Server, SocketAddr) {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        Ok(Response::new(request.into_inner()))
    });
    let tls = ServerTls::builder(authority.issue(&["localhost"]).identity());
    let tls = ServerCredentials::tls(tls.build().expect("an identity"));
    let server = Server::builder().add_service(routes).credentials(tls);
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let address = server.local_addr().expect("TCP");
    (server, address)
}

fn channel(address: SocketAddr, authority: &Authority) -> Channel {
    let tls = ClientTls::builder().roots(authority.roots()).build().expect("roots");
    Channel::builder(format!("localhost:{}", address.port()))
        .credentials(ChannelCredentials::tls(tls))
        .connect_lazy()
        .expect("a target")
}

async fn call(channel: &Channel) -> Result<(), Status> {
    let mut request = Request::new(Bytes::from_static(b"x"));
    request.set_timeout(Duration::from_secs(20));
    channel.unary(&ECHO, request).await.map(drop)
}

#[tokio::test]
async fn callers_that_renegotiate() {
    let warnings = Warnings::default();
    let _guard = warnings.listen();
    let authority = Arc::new(Authority::new("root"));
    let (_server, address) = host(&authority).await;
    let honest = channel(address, &authority);
    call(&honest).await.expect("it is served");
    for _ in 0..5 {
        let authority = Arc::clone(&authority);
        let attack = tokio::task::spawn_blocking(move || renegotiate(address, &authority));
        attack.await.expect("it is refused");
        call(&honest).await.expect("its connection is unhurt");
    }
    call(&channel(address, &authority)).await.expect("others get in");
    let said = warnings.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("the caller asks again for a renegotiation"), "{said:?}");
}

/// A server that asks twice for a renegotiation, once it has read something.
fn asking_server(authority: &Authority) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
    let pair = authority.issue(&["localhost"]);
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.pem.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM"),
        )
        .expect("an identity");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.enable_secret_extraction = true;
    config.send_tls13_tickets = 0;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("TCP");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).expect("a server");
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).expect("a handshake in order");
        }
        let secrets = tls.dangerous_extract_secrets().expect("secrets");
        let mut session = ByHand::new(stream, secrets);
        session.send(ContentType::ApplicationData, b"\0\0\0\x04\0\0\0\0\0").expect("sent");
        session.send(ContentType::Handshake, &HELLO_REQUEST).expect("sent");
        let alert = session.receive_alert().expect("an answer");
        session.send(ContentType::Handshake, &HELLO_REQUEST).expect("sent");
        while session.receive_alert().is_some() {}
        alert
    });
    (address, server)
}

#[tokio::test]
async fn servers_that_ask_for_it() {
    let authority = Authority::new("root");
    for blocking in [false, true] {
        let (address, server) = asking_server(&authority);
        let error = match blocking {
            false => call(&channel(address, &authority)).await.expect_err("it ends"),
            true => {
                let tls = ClientTls::builder().roots(authority.roots()).build().expect("roots");
                let channel = Channel::builder(format!("localhost:{}", address.port()))
                    .credentials(ChannelCredentials::tls(tls));
                let asking = tokio::task::spawn_blocking(move || {
                    let mut request = Request::new(Bytes::new());
                    request.set_timeout(Duration::from_secs(20));
                    let channel = ferrpc_blocking::Channel::new(channel).expect("a target");
                    channel.unary(&ECHO, request).expect_err("it ends")
                });
                asking.await.expect("no panic")
            }
        };
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        let alert = tokio::task::spawn_blocking(|| server.join()).await.expect("no panic");
        assert_eq!(alert.expect("no panic"), [1, NO_RENEGOTIATION]);
    }
}

/// RFC 5246, sections 7.2.2 and 7.4.1.1.
const NO_RENEGOTIATION: u8 = 100;
const HELLO_REQUEST: [u8; 4] = [0; 4];
