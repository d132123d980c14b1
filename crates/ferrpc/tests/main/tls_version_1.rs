//! Certificates of X.509 version 1: taken as those of servers and clients, never as those of issuers.
#![cfg(feature = "tls")]

use std::time::Duration;

use bytes::Bytes;
use ferrpc::credentials::{
    ChannelCredentials, ClientAuth, ClientTls, Roots, ServerCredentials, ServerTls,
};
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Code, Request, Response, Status};
use rcgen::{GeneralSubtree, NameConstraints};

use crate::certificates::{Authority, Issued};
use crate::support::ECHO;

/// Answers with the common name of the caller's certificate.
async fn serve(issued: &Issued, callers: Option<&Authority>) -> (Server, String) {
    let mut tls = ServerTls::builder(issued.identity());
    if let Some(callers) = callers {
        tls = tls.client_auth(ClientAuth::Required(callers.roots()));
    }
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async move {
        let properties = request.auth_context().into_iter().flat_map(|auth| auth.properties.iter());
        let mut names = properties.filter(|(name, _)| name == "x509_common_name");
        let name = names.next().map(|(_, value)| Bytes::copy_from_slice(value));
        Ok(Response::new(name.unwrap_or_default()))
    });
    let credentials = ServerCredentials::tls(tls.build().expect("an identity"));
    let server = Server::builder().add_service(routes).credentials(credentials);
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let port = server.local_addr().expect("TCP").port();
    (server, format!("localhost:{port}"))
}

fn trusting(roots: Roots, own: Option<&Issued>) -> ChannelCredentials {
    let mut tls = ClientTls::builder().roots(roots).common_names(true);
    if let Some(own) = own {
        tls = tls.identity(own.identity());
    }
    ChannelCredentials::tls(tls.build().expect("roots"))
}

async fn ask(target: &str, credentials: ChannelCredentials) -> Result<Bytes, Status> {
    let channel = Channel::builder(target).credentials(credentials).connect_lazy();
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(20));
    Ok(channel.expect("a target").unary(&ECHO, request).await?.into_inner())
}

/// What a client that trusts `root` gets from a server of that identity.
async fn asked(root: &Authority, issued: &Issued) -> Result<Bytes, Status> {
    let (_server, target) = serve(issued, None).await;
    ask(&target, trusting(root.roots(), None)).await
}

fn refused(outcome: Result<Bytes, Status>, part: &str) {
    let status = outcome.expect_err("it is refused");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(part), "{part:?} is not in: {status}");
}

fn old(authority: &Authority, name: &str) -> Issued {
    authority.version_1(&authority.issue(&[name]), &[], &[])
}

#[tokio::test]
async fn servers_and_clients() {
    let root = Authority::new("root");
    let (_server, target) = serve(&old(&root, "localhost"), Some(&root)).await;
    let credentials = || trusting(root.roots(), Some(&old(&root, "client")));
    let name = ask(&target, credentials()).await.expect("both are trusted");
    assert_eq!(name, "client");
    let channel =
        ferrpc_blocking::Channel::new(Channel::builder(&target).credentials(credentials()));
    let blocking = tokio::task::spawn_blocking(move || {
        channel.expect("a target").unary(&ECHO, Request::new(Bytes::new()))
    });
    let response = blocking.await.expect("no panic").expect("both are trusted");
    assert_eq!(response.message(), "client");
    // Names are still looked at, and common ones are where the channel takes them.
    let name = old(&root, "elsewhere.example");
    refused(asked(&root, &name).await, "wrong name: expected localhost");
    let strict = ClientTls::builder().roots(root.roots()).identity(name.identity()).build();
    let strict = ChannelCredentials::tls(strict.expect("roots"));
    refused(ask(&target, strict).await, "wrong name: expected localhost");
}

#[tokio::test]
async fn behind_an_intermediate_and_as_its_own_root() {
    let root = Authority::new("root");
    let middle = root.certify("middle");
    let served = old(&middle, "localhost").behind(&middle.pem);
    asked(&root, &served).await.expect("it is trusted");
    // Pinned: trusted as what it is.
    let pinned = old(&root, "localhost");
    let (_server, target) = serve(&pinned, None).await;
    let roots = Roots::from_pem(&pinned.pem).expect("PEM");
    ask(&target, trusting(roots, None)).await.expect("it is trusted");
}

#[tokio::test]
async fn what_is_no_better_than_in_version_3() {
    let (root, other) = (Authority::new("root"), Authority::new("root"));
    // The same name, another key.
    refused(asked(&root, &old(&other, "localhost")).await, "is refused");
    let expired = root.version_1(&root.expired(), &[], &[]);
    refused(asked(&root, &expired).await, "expired");
    let (_server, target) = serve(&root.issue(&["localhost"]), Some(&root)).await;
    let stranger = old(&other, "stranger");
    let outcome = ask(&target, trusting(root.roots(), Some(&stranger))).await;
    refused(outcome, "TLS: the server");
}

/// `[0] { 2 }`, the version 3.
const VERSION: &[u8] = &[0xa0, 3, 2, 1, 2];

/// An empty extension; and the one with which this crate tells version 1 from version 3.
const EXTENSIONS: &[&[u8]] = &[
    &[],
    &[0xa3, 12, 0x30, 10, 0x30, 8, 6, 4, 0x69, 0x85, 0xa0, 0x6c, 4, 0],
    &[0xa3, 12, 0x30, 10, 0x30, 8, 6, 4, 0x69, 0x85, 0xa0, 0x6b, 4, 0],
];

#[tokio::test]
async fn nobody_issues_by_version_1() {
    let root = Authority::new("root");
    let middle = root.certify("middle");
    let own = Issued { pem: middle.pem.clone(), key: String::new() };
    let mut middles = vec![root.version_1(&own, &[], &[])];
    // Dressed up by an attacker.
    middles.extend(EXTENSIONS.iter().map(|tail| root.version_1(&own, VERSION, tail)));
    let (_server, target) = serve(&root.issue(&["localhost"]), Some(&root)).await;
    for issuer in &middles {
        for leaf in [old(&middle, "localhost"), middle.issue(&["localhost"])] {
            let chain = leaf.behind(&issuer.pem);
            refused(asked(&root, &chain).await, "TLS: ");
            let outcome = ask(&target, trusting(root.roots(), Some(&chain))).await;
            refused(outcome, "refuses our client certificate");
        }
    }
}

#[tokio::test]
async fn a_certificate_is_what_was_signed() {
    // A signature on the fields of version 1 is none on those of version 3, other than the mark's.
    let root = Authority::new("root");
    let issued = root.issue(&["localhost"]);
    for tail in &EXTENSIONS[..2] {
        refused(asked(&root, &root.version_1(&issued, VERSION, tail)).await, "TLS: ");
    }
}

#[tokio::test]
async fn constraints_on_names_hold_for_common_names() {
    let constrained = Authority::with("root", |params| {
        let permitted = vec![GeneralSubtree::DnsName("good.example".to_owned())];
        let constraints =
            NameConstraints { permitted_subtrees: permitted, excluded_subtrees: vec![] };
        params.name_constraints = Some(constraints);
    });
    refused(asked(&constrained, &old(&constrained, "localhost")).await, "wrong name");
    let nameless =
        constrained.issue_with(&["localhost"], |params| params.subject_alt_names.clear());
    refused(asked(&constrained, &nameless).await, "wrong name");
    let free = Authority::new("root");
    let nameless = free.issue_with(&["localhost"], |params| params.subject_alt_names.clear());
    asked(&free, &nameless).await.expect("it is trusted");
}
