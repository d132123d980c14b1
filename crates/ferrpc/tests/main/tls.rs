//! TLS of our client and our server: who is let in, what is said of those who are not, what handlers
//! learn of their callers.
#![cfg(feature = "tls")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::credentials::{
    ChannelCredentials, ClientAuth, ClientTls, Identity, LocalKind, ServerCredentials, ServerTls,
    SessionCache, TlsFiles,
};
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::certificates::{Authority, Issued, self_signed};
use crate::support::ECHO;

/// Answers with the auth context, a line a property.
fn routes() -> Routes {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        let mut text = String::new();
        for (name, value) in request.auth_context().iter().flat_map(|auth| &*auth.properties) {
            text.push_str(&format!("{name}={}\n", String::from_utf8_lossy(value)));
        }
        Ok(Response::new(Bytes::from(text)))
    });
    routes
}

async fn serve(credentials: ServerCredentials) -> (Server, String) {
    let server = Server::builder().add_service(routes()).credentials(credentials);
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let port = server.local_addr().expect("TCP").port();
    (server, format!("localhost:{port}"))
}

fn server_tls(issued: &Issued) -> ServerCredentials {
    ServerCredentials::tls(ServerTls::builder(issued.identity()).build().expect("an identity"))
}

fn wanting(issued: &Issued, auth: ClientAuth) -> ServerCredentials {
    let tls = ServerTls::builder(issued.identity()).client_auth(auth);
    ServerCredentials::tls(tls.build().expect("an identity"))
}

fn trusting(authority: &Authority) -> ChannelCredentials {
    channel_tls(authority, None)
}

fn channel_tls(authority: &Authority, identity: Option<Identity>) -> ChannelCredentials {
    let mut tls = ClientTls::builder().roots(authority.roots());
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    ChannelCredentials::tls(tls.build().expect("roots"))
}

async fn ask(target: &str, credentials: ChannelCredentials) -> Result<String, Status> {
    let channel = Channel::builder(target).credentials(credentials).connect_lazy();
    ask_on(&channel.expect("a target")).await
}

async fn ask_on(channel: &Channel) -> Result<String, Status> {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(20));
    let response = channel.unary(&ECHO, request).await?;
    Ok(String::from_utf8_lossy(response.message()).into_owned())
}

/// The call fails with UNAVAILABLE, and its details have all these parts.
fn refused(outcome: Result<String, Status>, parts: &[&str]) {
    let status = outcome.expect_err("it is refused");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    for part in parts {
        assert!(status.message().contains(part), "{part:?} is not in: {status}");
    }
}

#[tokio::test]
async fn facts_of_a_connection() {
    let authority = Authority::new("root");
    let (_server, target) = serve(server_tls(&authority.issue(&["localhost"]))).await;
    let facts = ask(&target, trusting(&authority)).await.expect("it answers");
    let expect = "transport_security_type=ssl\nsecurity_level=TSI_PRIVACY_AND_INTEGRITY\n\
                  ssl_session_reused=false\nssl_tls_version=TLSv1.3\n\
                  ssl_negotiated_key_exchange_group=X25519MLKEM768\n\
                  ssl_requested_server_name=localhost\n";
    assert_eq!(facts, expect);
}

#[tokio::test]
async fn identities_of_callers() {
    let authority = Authority::new("root");
    let auth = ClientAuth::Required(authority.roots());
    let (_server, target) = serve(wanting(&authority.issue(&["localhost"]), auth)).await;
    let client = authority.named_client();
    let facts = ask(&target, channel_tls(&authority, Some(client.identity()))).await;
    let facts = facts.expect("it answers");
    let pem = client.pem.replace("\r\n", "\n");
    for line in [
        &format!("x509_pem_cert={pem}"),
        "x509_common_name=a.example\n",
        "x509_subject_alternative_name=a.example\nx509_subject_alternative_name=10.1.2.3\n\
         x509_subject_alternative_name=spiffe://x/y\nx509_subject_alternative_name=a@b.example\n\
         peer_dns=a.example\npeer_ip=10.1.2.3\npeer_uri=spiffe://x/y\npeer_email=a@b.example\n\
         peer_spiffe_id=spiffe://x/y\n",
    ] {
        assert!(facts.contains(line), "{line} is not in {facts}");
    }
    assert!(facts.contains("O=Org\\, Inc"), "{facts}");
}

#[tokio::test]
async fn client_certificates() {
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    let server = ours.issue(&["localhost"]);
    let required = wanting(&server, ClientAuth::Required(ours.roots()));
    let (_server, target) = serve(required).await;
    let known = || Some(ours.issue(&["client"]).identity());
    let stranger = || Some(theirs.issue(&["stranger"]).identity());
    ask(&target, channel_tls(&ours, known())).await.expect("it is known");
    refused(
        ask(&target, trusting(&ours)).await,
        &["the server expects a client certificate, the channel has none"],
    );
    refused(
        ask(&target, channel_tls(&ours, stranger())).await,
        &["the server refuses our client certificate"],
    );
    let purpose = ours.for_servers_only().identity();
    refused(
        ask(&target, channel_tls(&ours, Some(purpose))).await,
        &["the server refuses our client certificate"],
    );

    let optional = wanting(&server, ClientAuth::Optional(ours.roots()));
    let (_server, target) = serve(optional).await;
    let facts = ask(&target, channel_tls(&ours, known())).await.expect("it is known");
    assert!(facts.contains("x509_common_name=client"), "{facts}");
    let facts = ask(&target, trusting(&ours)).await.expect("none is needed");
    assert!(!facts.contains("x509"), "{facts}");
    refused(
        ask(&target, channel_tls(&ours, stranger())).await,
        &["the server refuses our client certificate"],
    );
}

#[tokio::test]
async fn refused_servers() {
    let authority = Authority::new("our root");
    let other = Authority::new("another root");

    let (_server, target) = serve(server_tls(&authority.issue(&["a.example", "10.9.8.7"]))).await;
    refused(
        ask(&target, trusting(&authority)).await,
        &["wrong name: expected localhost, the server's certificate is for a.example, 10.9.8.7"],
    );
    // The name that is expected may be another than the one that leads there.
    let channel = Channel::builder(&*target).credentials(trusting(&authority));
    let channel = channel.server_name("a.example").connect_lazy().expect("a target");
    let facts = ask_on(&channel).await.expect("it has that name");
    assert!(facts.contains("ssl_requested_server_name=a.example"), "{facts}");
    let channel = Channel::builder(&*target).credentials(trusting(&authority));
    let channel = channel.authority("a.example:1").connect_lazy().expect("a target");
    ask_on(&channel).await.expect("it has that name");

    let (_server, target) = serve(server_tls(&other.issue(&["localhost"]))).await;
    refused(
        ask(&target, trusting(&authority)).await,
        &[
            "unknown issuer: expected one of 1 trusted roots",
            "(CN=localhost) was issued by CN=another root",
        ],
    );

    let (_server, target) = serve(server_tls(&authority.expired())).await;
    refused(ask(&target, trusting(&authority)).await, &["expired:", "valid until Feb  3 0"]);
    let (_server, target) = serve(server_tls(&authority.not_yet_valid())).await;
    refused(ask(&target, trusting(&authority)).await, &["not yet valid:", "valid from Feb  3 0"]);
}

#[tokio::test]
async fn self_signed_certificates_may_be_their_own_roots() {
    for ca in [false, true] {
        let issued = self_signed(ca);
        let (_server, target) = serve(server_tls(&issued)).await;
        let roots = ferrpc::credentials::Roots::from_pem(&issued.pem).expect("PEM");
        let tls = || ClientTls::builder().roots(roots.clone()).build().expect("roots");
        ask(&target, ChannelCredentials::tls(tls())).await.expect("it is trusted as it is");
        // Its name and its dates count all the same.
        let channel = Channel::builder(target).credentials(ChannelCredentials::tls(tls()));
        let channel = channel.server_name("b.example").connect_lazy().expect("a target");
        refused(ask_on(&channel).await, &["wrong name: expected b.example"]);
    }
}

#[tokio::test]
async fn peers_without_tls() {
    let authority = Authority::new("root");
    let (_plain, target) = serve(ServerCredentials::insecure()).await;
    refused(
        ask(&target, trusting(&authority)).await,
        &["expected TLS, the server speaks plaintext HTTP/2", "insecure credentials"],
    );
    // What answers every connection in the words of HTTP/1.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let target = format!("localhost:{}", listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    refused(
        ask(&target, trusting(&authority)).await,
        &["expected TLS, the server speaks plaintext HTTP/1"],
    );
    let (_server, target) = serve(server_tls(&authority.issue(&["localhost"]))).await;
    refused(ask(&target, ChannelCredentials::insecure()).await, &["does it expect TLS?"]);
}

#[tokio::test]
async fn https_targets_use_the_usual_roots() {
    let authority = Authority::new("root");
    let (_server, target) = serve(server_tls(&authority.issue(&["localhost"]))).await;
    let channel = Channel::builder(format!("https://{target}")).connect_lazy().expect("a target");
    let status = ask_on(&channel).await.expect_err("nobody trusts it");
    // Where the system has roots, none of them is ours.
    assert!(
        status.message().contains("unknown issuer") || status.message().contains("has no root"),
        "{status}"
    );
    let channel = Channel::builder(format!("https://{target}")).credentials(trusting(&authority));
    ask_on(&channel.connect_lazy().expect("a target")).await.expect("it is trusted");
    let insecure =
        Channel::builder("https://localhost").credentials(ChannelCredentials::insecure());
    assert!(insecure.connect_lazy().is_err());
}

#[tokio::test]
async fn sessions_are_resumed() {
    let authority = Authority::new("root");
    let (_server, target) = serve(server_tls(&authority.issue(&["localhost"]))).await;
    let credentials = trusting(&authority);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let facts = ask(&target, credentials.clone()).await.expect("it answers");
        seen.push(facts.contains("ssl_session_reused=true"));
    }
    assert_eq!(seen, [false, true, true]);

    let tls = ClientTls::builder().roots(authority.roots());
    let tls = tls.session_cache(SessionCache::disabled()).build().expect("roots");
    for _ in 0..2 {
        let facts = ask(&target, ChannelCredentials::tls(tls.clone())).await.expect("it answers");
        assert!(facts.contains("ssl_session_reused=false"), "{facts}");
    }
}

#[tokio::test]
async fn several_identities() {
    let authority = Authority::new("root");
    let tls = ServerTls::builder(authority.issue(&["a.example"]).identity())
        .identity(authority.issue(&["b.example"]).identity());
    let (_server, target) = serve(ServerCredentials::tls(tls.build().expect("two"))).await;
    for name in ["a.example", "b.example"] {
        let channel = Channel::builder(&*target).credentials(trusting(&authority));
        let channel = channel.server_name(name).connect_lazy().expect("a target");
        ask_on(&channel).await.expect("it has that name");
    }
    let channel = Channel::builder(&*target).credentials(trusting(&authority));
    let channel = channel.server_name("c.example").connect_lazy().expect("a target");
    refused(ask_on(&channel).await, &["is for a.example"]);
}

#[tokio::test]
async fn a_source_is_asked_before_each_handshake() {
    let authority = Authority::new("root");
    let identity = |name: &str| authority.issue(&[name, "localhost"]).identity();
    let tls = |name: &str| ServerTls::builder(identity(name)).build().expect("an identity");
    let asked = Arc::new(AtomicUsize::new(0));
    let second = tls("second");
    let source = {
        let asked = Arc::clone(&asked);
        move || {
            let time = asked.fetch_add(1, Ordering::SeqCst);
            let second = second.clone();
            async move {
                tokio::task::yield_now().await;
                match time {
                    0 => Ok(None),
                    1 => Ok(Some(second)),
                    2 => Err("no".into()),
                    _ => panic!("a source that panics"),
                }
            }
        }
    };
    let (server, target) = serve(ServerCredentials::tls_from(tls("first"), source)).await;
    let connect = |name: &'static str| {
        let channel = Channel::builder(&*target).credentials(trusting(&authority));
        channel.server_name(name).connect_lazy().expect("a target")
    };
    let first = connect("first");
    ask_on(&first).await.expect("the initial one");
    ask_on(&connect("second")).await.expect("the new one");
    ask_on(&connect("second")).await.expect("still the new one, after an error");
    ask_on(&connect("second")).await.expect("still the new one, after a panic");
    refused(ask_on(&connect("first")).await, &["wrong name"]);
    // The connection of old goes on.
    ask_on(&first).await.expect("it lives");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    // A caller that sends nothing is no reason to ask.
    let stranger = TcpStream::connect(server.local_addr().expect("TCP")).await.expect("accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stranger);
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).expect("a folder of ours");
}

#[tokio::test]
async fn files_are_watched_by_servers_and_clients() {
    let folder = std::env::temp_dir().join(format!("ferrpc-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of ours");
    let [chain, key, roots] = ["chain.pem", "key.pem", "roots.pem"].map(|name| folder.join(name));
    let (old, new) = (Authority::new("old root"), Authority::new("new root"));
    let first = old.issue(&["localhost"]);
    write(&chain, &first.pem);
    write(&key, &first.key);
    write(&roots, &old.pem);
    let files = TlsFiles::new().identity(&chain, &key).interval(Duration::ZERO);
    let (_server, target) = serve(files.into_server().expect("they are there")).await;
    let watching = TlsFiles::new().roots(&roots).interval(Duration::ZERO);
    let watching = watching.into_channel().expect("it is there");

    let early = Channel::builder(&*target).credentials(watching.clone());
    let early = early.connect_lazy().expect("a target");
    ask_on(&early).await.expect("the old root");

    // Half of a change is none.
    let second = new.issue(&["localhost"]);
    write(&chain, &second.pem);
    ask(&target, watching.clone()).await.expect("still the old root");
    write(&key, &second.key);
    refused(ask(&target, watching.clone()).await, &["unknown issuer", "CN=new root"]);
    write(&roots, &new.pem);
    ask(&target, watching).await.expect("the new root");
    ask_on(&early).await.expect("the connection of old goes on");
    std::fs::remove_dir_all(&folder).expect("a folder of ours");
}

#[tokio::test]
async fn credentials_that_are_no_use() {
    let authority = Authority::new("root");
    let (one, two) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let check = |outcome: Result<Identity, _>, part: &str| {
        let error: ferrpc::credentials::CredentialsError = outcome.expect_err("no use");
        assert!(error.to_string().contains(part), "{error}");
    };
    check(Identity::from_pem("junk", &one.key), "the certificate chain: there is no certificate");
    check(Identity::from_pem(&one.pem, "junk"), "the private key is no PEM");
    check(Identity::from_pem(&one.pem, &two.key), "cannot be used together");
    // As gRPC has it, a channel with such credentials exists, and says so when it connects.
    let error = ferrpc::credentials::Roots::from_pem("junk").expect_err("no use");
    refused(
        ask("localhost:1", ChannelCredentials::tls_or_error(Err(error))).await,
        &["localhost:1"],
    );
    let (_server, target) = serve(ServerCredentials::insecure()).await;
    let error = ferrpc::credentials::Roots::from_pem("junk").expect_err("no use");
    refused(
        ask(&target, ChannelCredentials::tls_or_error(Err(error))).await,
        &["the channel's credentials cannot be used: the root certificates"],
    );
}

#[tokio::test]
async fn addresses_with_credentials_of_their_own() {
    let authority = Authority::new("root");
    let (server, plain) = serve(ServerCredentials::insecure()).await;
    let secure = server_tls(&authority.issue(&["localhost"]));
    let bound = server.bind_with("127.0.0.1:0", secure).await.expect("bound");
    let target = bound[0].to_string().replace("127.0.0.1", "localhost");
    assert_eq!(ask(&plain, ChannelCredentials::insecure()).await.expect("it answers"), "");
    ask(&target, trusting(&authority)).await.expect("it answers");
}

#[tokio::test]
async fn local_credentials() {
    let (_server, target) = serve(ServerCredentials::local(LocalKind::Tcp)).await;
    let facts = ask(&target, ChannelCredentials::local(LocalKind::Tcp)).await.expect("it is local");
    assert_eq!(facts, "transport_security_type=local\nsecurity_level=TSI_PRIVACY_AND_INTEGRITY\n");
    refused(
        ask(&target, ChannelCredentials::local(LocalKind::Unix)).await,
        &["expected a unix socket, this is ipv4:127.0.0.1:"],
    );
    let (_server, target) = serve(ServerCredentials::local(LocalKind::Unix)).await;
    ask(&target, ChannelCredentials::insecure()).await.expect_err("the server refuses it");
}

#[tokio::test]
async fn tls_without_http2() {
    let authority = Authority::new("root");
    let (server, _) = serve(server_tls(&authority.issue(&["localhost"]))).await;
    // A client hello without ALPN, by a TLS client of its own: the server answers with an alert.
    let mut roots = rustls::RootCertStore::empty();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes());
    roots.add(der.expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for (protocols, expect) in
        [(vec![], "NoApplicationProtocol"), (vec![b"http/1.1".to_vec()], "NoApplicationProtocol")]
    {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols;
        let name = "localhost".try_into().expect("a name");
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let address = server.local_addr().expect("TCP");
        let error = tokio::task::spawn_blocking(move || -> io::Error {
            let mut stream = std::net::TcpStream::connect(address).expect("accepted");
            tls.complete_io(&mut stream).expect_err("it is refused")
        });
        let error = error.await.expect("no panic").to_string();
        assert!(error.contains(expect), "{error}");
    }
}
