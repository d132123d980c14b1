//! Handshakes that fail, as both ends tell it: codes and details of calls, and what the server logs.
#![cfg(feature = "tls")]

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use ferrpc::client::ChannelBuilder;
use ferrpc::credentials::{
    ChannelCredentials, ClientAuth, ClientTls, ServerCredentials, ServerTls,
};
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status};
use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificates::{Authority, Issued};
use crate::support::{ECHO, request, until};
use crate::warnings::Warnings;

async fn serve(issued: &Issued, auth: ClientAuth) -> (Server, String) {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        Ok(Response::new(request.into_inner()))
    });
    let tls = ServerTls::builder(issued.identity()).client_auth(auth);
    let tls = ServerCredentials::tls(tls.build().expect("an identity"));
    let server = Server::builder().add_service(routes).credentials(tls);
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let port = server.local_addr().expect("TCP").port();
    (server, format!("localhost:{port}"))
}

fn channel(target: &str, roots: &Authority, client: Option<&Issued>) -> ChannelBuilder {
    let mut tls = ClientTls::builder().roots(roots.roots());
    if let Some(client) = client {
        tls = tls.identity(client.identity());
    }
    let credentials = ChannelCredentials::tls(tls.build().expect("roots"));
    Channel::builder(target).credentials(credentials)
}

async fn ask(channel: ChannelBuilder) -> Result<Response<Bytes>, Status> {
    channel.connect_lazy().expect("a target").unary(&ECHO, request()).await
}

/// What a caller with that certificate is told, and what a server that wants one logs.
async fn check(authority: &Authority, client: Option<Issued>, caller: &str, server: &[&str]) {
    let warnings = Warnings::default();
    let _guard = warnings.listen();
    let required = ClientAuth::Required(authority.roots());
    let (_server, target) = serve(&authority.issue(&["localhost"]), required).await;
    let status = ask(channel(&target, authority, client.as_ref())).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(caller), "{caller:?} is not in {status}");
    until("the server says why", || !warnings.said().is_empty()).await;
    let said = warnings.said();
    for part in server {
        assert!(said[0].contains(part), "{part:?} is not in {said:?}");
    }
}

#[tokio::test]
async fn client_certificates() {
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    let refuses = "the server refuses our client certificate";
    check(
        &ours,
        None,
        "the server expects a client certificate, the channel has none",
        &["expected a client certificate, the caller has none", "make it optional"],
    )
    .await;
    check(
        &ours,
        Some(theirs.issue(&["stranger"])),
        "the server refuses our client certificate (unknown ca)",
        &["unknown issuer: expected one of 1 trusted roots", "was issued by CN=their root"],
    )
    .await;
    let old = |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2020, 2, 3);
    check(
        &ours,
        Some(ours.issue_with(&["late"], old)),
        "the server refuses our client certificate (certificate expired)",
        &["expired: the client's certificate (CN=late) was valid until Feb  3"],
    )
    .await;
    let new = |params: &mut rcgen::CertificateParams| params.not_before = date_time_ymd(2200, 2, 3);
    check(
        &ours,
        Some(ours.issue_with(&["early"], new)),
        refuses,
        &["not yet valid: the client's certificate (CN=early) is valid from Feb  3"],
    )
    .await;
    check(
        &ours,
        Some(ours.for_servers_only()),
        refuses,
        &["the client's certificate (CN=client) was not issued for a client"],
    )
    .await;
}

/// A caller that does not trust the server: the server hears it.
#[tokio::test]
async fn callers_without_trust() {
    let warnings = Warnings::default();
    let _guard = warnings.listen();
    let (ours, theirs) = (Authority::new("our root"), Authority::new("their root"));
    let (_server, target) = serve(&ours.issue(&["localhost"]), ClientAuth::None).await;
    ask(channel(&target, &theirs, None)).await.expect_err("it is not trusted");
    until("the server says why", || !warnings.said().is_empty()).await;
    let said = warnings.said();
    assert!(said[0].contains("the caller refuses our certificate (unknown ca)"), "{said:?}");
}

#[tokio::test]
async fn callers_without_http2() {
    let authority = Authority::new("root");
    for (protocols, text) in [
        (vec![], "by ALPN, the caller offers none"),
        (vec![b"http/1.1".to_vec()], "by ALPN, the caller has others"),
    ] {
        let warnings = Warnings::default();
        let _guard = warnings.listen();
        let (server, _) = serve(&authority.issue(&["localhost"]), ClientAuth::None).await;
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols;
        let name = "localhost".try_into().expect("a name");
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let address = server.local_addr().expect("TCP");
        let calling = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).expect("accepted");
            tls.complete_io(&mut stream).expect_err("it is refused")
        });
        calling.await.expect("no panic");
        until("the server says why", || !warnings.said().is_empty()).await;
        let said = warnings.said();
        assert!(said[0].contains(text), "{said:?}");
    }
}

/// A server that speaks TLS and names no protocol, or another.
fn without_http2(authority: &Authority, protocols: Vec<Vec<u8>>) -> String {
    let pair = authority.issue(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.pem.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM"),
        )
        .expect("an identity");
    config.alpn_protocols = protocols;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let target = format!("localhost:{}", listener.local_addr().expect("TCP").port());
    std::thread::spawn(move || {
        // The channels of both kinds connect once; whatever comes then is nobody's.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a server");
            let _ = tls.complete_io(&mut stream);
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    target
}

#[tokio::test]
async fn servers_without_http2() {
    let authority = Authority::new("root");
    for (protocols, text) in [
        (vec![], "expected the protocol \"h2\" by ALPN, it named none"),
        (vec![b"http/1.1".to_vec()], "expected the protocol \"h2\" by ALPN, the server has others"),
    ] {
        let target = without_http2(&authority, protocols);
        let mut outcomes = vec![ask(channel(&target, &authority, None)).await];
        #[cfg(unix)]
        {
            let blocking = ferrpc_blocking::Channel::new(channel(&target, &authority, None))
                .expect("a target");
            let asking = tokio::task::spawn_blocking(move || blocking.unary(&ECHO, request()));
            outcomes.push(asking.await.expect("no panic"));
        }
        for outcome in outcomes {
            let status = outcome.expect_err("no HTTP/2");
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(status.message().contains(text), "{text:?} is not in {status}");
        }
    }
}
