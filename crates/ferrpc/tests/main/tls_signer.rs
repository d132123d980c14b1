//! Private keys that are elsewhere: what is asked of those who sign, and what becomes of a handshake
//! when they do not.
#![cfg(all(unix, feature = "tls"))]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::ChannelBuilder;
use ferrpc::credentials::{
    ChannelCredentials, ClientAuth, ClientTls, Identity, ServerCredentials, ServerTls, Signature,
    SignatureAlgorithm, Signer,
};
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status};
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Notify;

use crate::certificates::{Authority, Issued};
use crate::support::{ECHO, request};

/// Has the key; counts what it is asked for.
#[derive(Clone)]
struct Vault {
    key: Arc<dyn rustls::sign::SigningKey>,
    asked: Arc<Mutex<Vec<SignatureAlgorithm>>>,
    answer: Answer,
}

/// What it does.
#[derive(Clone)]
enum Answer {
    Now,
    /// Later, from another task.
    Later,
    Fail,
    Panic,
    PanicLater,
    Nonsense,
    /// Never; says when it is begun, and when given up.
    Never(Arc<Never>),
}

#[derive(Default)]
struct Never {
    begun: Notify,
    dropped: Notify,
}

impl Never {
    async fn given_up(&self) {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.dropped.notified()).await;
        waited.expect("the signature is given up long before the call would be");
    }
}

impl Vault {
    fn new(issued: &Issued, answer: Answer) -> Self {
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
        Self { key, asked: Arc::default(), answer }
    }

    fn identity(
        issued: &Issued,
        answer: Answer,
    ) -> (Identity, Arc<Mutex<Vec<SignatureAlgorithm>>>) {
        let vault = Self::new(issued, answer);
        let asked = Arc::clone(&vault.asked);
        (Identity::signed_by(&issued.pem, vault).expect("a chain"), asked)
    }
}

impl Signer for Vault {
    fn sign(&self, message: Vec<u8>, algorithm: SignatureAlgorithm) -> Signature {
        self.asked.lock().expect("no panic").push(algorithm);
        let signer = self.key.choose_scheme(&[scheme(algorithm)]).expect("the key can do that");
        let signed = move || signer.sign(&message).map_err(Into::into);
        match self.answer.clone() {
            Answer::Now => Box::pin(std::future::ready(signed())),
            Answer::Later => Box::pin(async move {
                let task = std::thread::spawn(signed);
                // Not with what the thread of a blocking channel has none of.
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if task.is_finished() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                task.join().expect("no panic")
            }),
            Answer::Fail => Box::pin(async { Err("the vault is shut".into()) }),
            Answer::Panic => panic!("a vault that is broken"),
            Answer::PanicLater => Box::pin(async { panic!("a vault that is broken") }),
            Answer::Nonsense => Box::pin(async { Ok(vec![1, 2, 3]) }),
            Answer::Never(never) => {
                never.begun.notify_one();
                Box::pin(Hangs(never))
            }
        }
    }
}

struct Hangs(Arc<Never>);

impl Future for Hangs {
    type Output = Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

fn scheme(algorithm: SignatureAlgorithm) -> SignatureScheme {
    match algorithm {
        SignatureAlgorithm::RsaPssRsaeSha256 => SignatureScheme::RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha256 => SignatureScheme::RSA_PKCS1_SHA256,
        SignatureAlgorithm::EcdsaSecp256r1Sha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureAlgorithm::EcdsaSecp384r1Sha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureAlgorithm::EcdsaSecp521r1Sha512 => SignatureScheme::ECDSA_NISTP521_SHA512,
        other => panic!("{other:?} was not expected"),
    }
}

async fn serve(identity: Identity, auth: ClientAuth) -> (Server, String) {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        let auth = request.auth_context().cloned();
        let names = auth.iter().flat_map(|auth| &*auth.properties);
        let name = names.filter(|(name, _)| name == "x509_common_name").map(|(_, value)| value);
        Ok(Response::new(Bytes::from(name.flatten().copied().collect::<Vec<u8>>())))
    });
    let tls = ServerTls::builder(identity).client_auth(auth).build().expect("an identity");
    let server = Server::builder().add_service(routes).credentials(ServerCredentials::tls(tls));
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let port = server.local_addr().expect("TCP").port();
    (server, format!("localhost:{port}"))
}

fn to(target: &str, authority: &Authority, identity: Option<Identity>) -> ChannelBuilder {
    let mut tls = ClientTls::builder().roots(authority.roots());
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let credentials = ChannelCredentials::tls(tls.build().expect("roots"));
    Channel::builder(target).credentials(credentials)
}

async fn ask(channel: ChannelBuilder) -> Result<Bytes, Status> {
    let channel = channel.connect_lazy().expect("a target");
    channel.unary(&ECHO, request()).await.map(|response| response.message().clone())
}

/// The same by the blocking channel.
async fn ask_blocking(channel: ChannelBuilder) -> Result<Bytes, Status> {
    let asking = tokio::task::spawn_blocking(move || {
        let channel = ferrpc_blocking::Channel::new(channel).expect("a target");
        channel.unary(&ECHO, request()).map(|response| response.message().clone())
    });
    asking.await.expect("no panic")
}

#[tokio::test]
async fn clients_with_keys_of_all_kinds() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]).identity();
    let (_server, target) = serve(server, ClientAuth::Required(authority.roots())).await;
    for (kind, expect) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureAlgorithm::EcdsaSecp256r1Sha256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, SignatureAlgorithm::EcdsaSecp384r1Sha384),
        (&rcgen::PKCS_ECDSA_P521_SHA512, SignatureAlgorithm::EcdsaSecp521r1Sha512),
        (&rcgen::PKCS_RSA_SHA256, SignatureAlgorithm::RsaPssRsaeSha256),
    ] {
        let client = authority.issue_keyed(kind, &["client"]);
        for answer in [Answer::Now, Answer::Later] {
            let (identity, asked) = Vault::identity(&client, answer);
            let name = ask(to(&target, &authority, Some(identity.clone()))).await;
            assert_eq!(name.expect("it is let in"), "client");
            let name = ask_blocking(to(&target, &authority, Some(identity))).await;
            assert_eq!(name.expect("it is let in"), "client");
            assert_eq!(*asked.lock().expect("no panic"), [expect, expect]);
        }
    }
}

/// A server that speaks TLS 1.2 only, for one handshake: how many certificates it got, or its error.
fn old_server(authority: &Authority) -> (String, mpsc::Receiver<Result<usize, String>>) {
    let pair = authority.issue(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
    roots.add(der).expect("a root");
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("roots"))
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.pem.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM"),
        )
        .expect("an identity");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let target = format!("localhost:{}", listener.local_addr().expect("TCP").port());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).expect("a server");
        let result = tls.complete_io(&mut stream).map_err(|error| error.to_string());
        let result = result.map(|_| {
            assert_eq!(tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
            tls.peer_certificates().map_or(0, <[_]>::len)
        });
        sender.send(result).expect("somebody waits");
        let _ = stream.write(&[]);
        let _ = stream.read(&mut [0; 1024]);
    });
    (target, receiver)
}

#[tokio::test]
async fn tls_1_2() {
    let authority = Authority::new("root");
    for (kind, expect) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureAlgorithm::EcdsaSecp256r1Sha256),
        (&rcgen::PKCS_RSA_SHA256, SignatureAlgorithm::RsaPssRsaeSha256),
    ] {
        let client = authority.issue_keyed(kind, &["client"]);
        let (identity, asked) = Vault::identity(&client, Answer::Later);
        let (target, done) = old_server(&authority);
        let error = ask(to(&target, &authority, Some(identity))).await;
        error.expect_err("that server knows no HTTP/2");
        assert_eq!(done.recv().expect("an end"), Ok(1));
        assert_eq!(*asked.lock().expect("no panic"), [expect]);
    }
}

#[tokio::test]
async fn servers_have_them_too() {
    let authority = Authority::new("root");
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256] {
        let (identity, asked) =
            Vault::identity(&authority.issue_keyed(kind, &["localhost"]), Answer::Later);
        let (_server, target) = serve(identity, ClientAuth::None).await;
        let channel = to(&target, &authority, None).connect_lazy().expect("a target");
        channel.unary(&ECHO, request()).await.expect("it answers");
        channel.unary(&ECHO, request()).await.expect("it answers");
        assert_eq!(asked.lock().expect("no panic").len(), 1, "one handshake");
    }
}

#[tokio::test]
async fn resumed_sessions_need_no_signature() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]).identity();
    let (_server, target) = serve(server, ClientAuth::Required(authority.roots())).await;
    let (identity, asked) = Vault::identity(&authority.issue(&["client"]), Answer::Now);
    let tls = ClientTls::builder().roots(authority.roots()).identity(identity);
    let tls = tls.build().expect("roots");
    for _ in 0..3 {
        let credentials = ChannelCredentials::tls(tls.clone());
        let name = ask(Channel::builder(&*target).credentials(credentials)).await;
        assert_eq!(name.expect("it is let in"), "client");
    }
    assert_eq!(asked.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn signers_that_fail() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]).identity();
    let (_server, target) = serve(server, ClientAuth::Required(authority.roots())).await;
    let client = authority.issue(&["client"]);
    for (answer, text) in [
        (Answer::Fail, "TLS: our signer gave no signature: the vault is shut"),
        (Answer::Panic, "TLS: our signer gave no signature: the signer panicked"),
        (Answer::PanicLater, "TLS: our signer gave no signature: the signer panicked"),
        (Answer::Nonsense, "TLS: the server ended the handshake: decrypt error"),
    ] {
        let (identity, _) = Vault::identity(&client, answer);
        for outcome in [
            ask(to(&target, &authority, Some(identity.clone()))).await,
            ask_blocking(to(&target, &authority, Some(identity))).await,
        ] {
            let status = outcome.expect_err("it is not let in");
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(status.message().contains(text), "{status}");
        }
    }
    // A server that fails in this way is one that ends the handshake.
    let (identity, _) = Vault::identity(&authority.issue(&["localhost"]), Answer::Fail);
    let (_server, target) = serve(identity, ClientAuth::None).await;
    let status = ask(to(&target, &authority, None)).await.expect_err("no handshake");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

/// One that never answers is given up with its handshake, and hurts nobody else.
#[tokio::test]
async fn signers_that_hang() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]).identity();
    let (_server, target) = serve(server, ClientAuth::Required(authority.roots())).await;
    let client = authority.issue(&["client"]);
    let good = to(&target, &authority, Some(client.identity())).connect_lazy().expect("a target");
    good.unary(&ECHO, request()).await.expect("it is let in");

    // The time is over.
    for blocking in [false, true] {
        let never = Arc::new(Never::default());
        let (identity, _) = Vault::identity(&client, Answer::Never(Arc::clone(&never)));
        let channel = to(&target, &authority, Some(identity));
        let channel = channel.connect_timeout(Duration::from_millis(200));
        let outcome = match blocking {
            false => ask(channel).await,
            true => ask_blocking(channel).await,
        };
        assert_eq!(outcome.expect_err("no signature").code(), Code::Unavailable);
        never.given_up().await;
        good.unary(&ECHO, request()).await.expect("its connection is unhurt");
    }

    // The channel goes.
    let never = Arc::new(Never::default());
    let (identity, _) = Vault::identity(&client, Answer::Never(Arc::clone(&never)));
    let channel = to(&target, &authority, Some(identity)).connect_lazy().expect("a target");
    let asking = tokio::spawn(async move { channel.unary(&ECHO, request()).await });
    never.begun.notified().await;
    asking.abort();
    let _ = asking.await;
    never.given_up().await;

    let never = Arc::new(Never::default());
    let (identity, _) = Vault::identity(&client, Answer::Never(Arc::clone(&never)));
    let channel =
        ferrpc_blocking::Channel::new(to(&target, &authority, Some(identity))).expect("a target");
    let asking = tokio::task::spawn_blocking({
        let channel = channel.clone();
        move || channel.unary(&ECHO, request())
    });
    never.begun.notified().await;
    channel.close();
    asking.await.expect("no panic").expect_err("closed");
    never.given_up().await;
}

#[test]
fn chains_that_nobody_signs_for() {
    let authority = Authority::new("root");
    let answer = |pem: &str, text: &str| {
        let signer = Vault::new(&authority.issue(&["client"]), Answer::Now);
        let error = Identity::signed_by(pem, signer).expect_err("of no use").to_string();
        assert!(error.contains(text), "{error}");
    };
    answer("junk", "the certificate chain: there is no certificate in PEM");
    let edwards = authority.issue_keyed(&rcgen::PKCS_ED25519, &["client"]);
    answer(&edwards.pem, "the certificate has another kind of key");
}
