//! Metadata that credentials add to calls, and the channels that refuse to carry it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::credentials::{
    AccessToken, Blocking, CallContext, CallCredentials, ChannelCredentials, Composite, LocalKind,
    PluginError, ServerCredentials,
};
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::{Channel, Code, Metadata, Request, Response, Status, Streaming};

use crate::support::{CHAT, COLLECT, ECHO, STREAM, messages, request};

/// Answers with the metadata whose names begin with "x-" or are "authorization".
fn seen(metadata: &Metadata) -> Bytes {
    let wanted = |name: &str| name.starts_with("x-") || name == "authorization";
    let lines: Vec<_> = metadata
        .iter()
        .filter(|(name, _)| wanted(name))
        .flat_map(|(name, _)| metadata.values(name).map(move |value| format!("{name}={value}")))
        .collect();
    Bytes::from(lines.join(";"))
}

async fn serve() -> (Server, String) {
    let mut routes = Routes::new("t");
    routes
        .unary(ECHO.clone(), |request: Request<Bytes>| async move {
            Ok(Response::new(seen(request.metadata())))
        })
        .server_streaming(STREAM.clone(), |request: Request<Bytes>| async move {
            let list = vec![Ok(seen(request.metadata()))];
            Ok(Response::new(Box::pin(messages(list)) as ResponseStream<Bytes>))
        })
        .client_streaming(COLLECT.clone(), |request: Request<Streaming<Bytes>>| async move {
            Ok(Response::new(seen(request.metadata())))
        })
        .bidirectional(CHAT.clone(), |request: Request<Streaming<Bytes>>| async move {
            let list = vec![Ok(seen(request.metadata()))];
            Ok(Response::new(Box::pin(messages(list)) as ResponseStream<Bytes>))
        });
    let server = Server::builder().add_service(routes);
    let server = server.credentials(ServerCredentials::local(LocalKind::Tcp));
    let server = server.bind("127.0.0.1:0").await.expect("bound");
    let target = server.local_addr().expect("TCP").to_string();
    (server, target)
}

fn local(target: &str, credentials: impl CallCredentials) -> Channel {
    let local = ChannelCredentials::local(LocalKind::Tcp).with_call_credentials(credentials);
    Channel::builder(target).credentials(local).connect_lazy().expect("a target")
}

async fn ask(channel: &Channel, request: Request<Bytes>) -> Result<String, Status> {
    let response = channel.unary(&ECHO, request).await?;
    Ok(String::from_utf8_lossy(response.message()).into_owned())
}

fn one(name: &'static str, value: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.append(name, value).expect("legal");
    metadata
}

#[tokio::test]
async fn every_kind_of_call_carries_them() {
    let (_server, target) = serve().await;
    let channel = local(&target, AccessToken::new("t0ken"));
    let expect = "authorization=Bearer t0ken";
    assert_eq!(ask(&channel, request()).await.expect("it answers"), expect);
    let responses = channel.server_streaming(&STREAM, request()).await.expect("it begins");
    let mut responses = responses.into_inner();
    assert_eq!(responses.message().await.expect("no error").expect("one"), expect);
    let requests = || Request::new(messages(vec![Bytes::new(); 3]));
    let response = channel.client_streaming(&COLLECT, requests()).await.expect("it answers");
    assert_eq!(response.message(), expect);
    let mut responses = channel.bidirectional(&CHAT, requests()).await.expect("it begins");
    assert_eq!(responses.message().await.expect("no error").expect("one"), expect);
}

#[tokio::test]
async fn composites_and_credentials_of_one_call() {
    let (_server, target) = serve().await;
    let named = |value: &'static str| {
        move |_: CallContext| async move { Ok::<_, PluginError>(one("x-who", value)) }
    };
    let both = Composite::new(named("first"), named("second")).and(AccessToken::new("t"));
    let channel = local(&target, both);
    let mut request = request();
    request.metadata_mut().append("x-own", "0").expect("legal");
    request.set_credentials(named("third"));
    let seen = ask(&channel, request).await.expect("it answers");
    assert!(seen.contains("x-own=0"), "{seen}");
    assert!(seen.contains("authorization=Bearer t"), "{seen}");
    let order: Vec<_> = seen.split(';').filter(|line| line.starts_with("x-who")).collect();
    assert_eq!(order[..3], ["x-who=first", "x-who=second", "x-who=third"], "{seen}");
}

#[tokio::test]
async fn plugins_learn_which_call() {
    let (_server, target) = serve().await;
    let channel = local(
        &target,
        Blocking::new(|context: &CallContext| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(one("x-url", &format!("{} {}", context.service_url, context.method_name)))
        }),
    );
    let seen = ask(&channel, request()).await.expect("it answers");
    assert_eq!(seen, format!("x-url=https://{target}/t Echo"));
}

#[tokio::test]
async fn a_channel_without_security_refuses() {
    let (_server, target) = serve().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let plugin = {
        let asked = Arc::clone(&asked);
        move |_: CallContext| {
            asked.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, PluginError>(Metadata::new()) }
        }
    };
    let text = "Established channel does not have a sufficient security level to transfer call \
                credential.";
    let channel = Channel::builder(&*target).connect_lazy().expect("a target");
    let mut of_call = request();
    of_call.set_credentials(plugin.clone());
    let status = ask(&channel, of_call).await.expect_err("it is not secure");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, text));
    let insecure = ChannelCredentials::insecure().with_call_credentials(plugin);
    let channel = Channel::builder(&*target).credentials(insecure).connect_lazy();
    let channel = channel.expect("a target");
    let status = ask(&channel, request()).await.expect_err("it is not secure");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, text));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody was asked");
}

#[tokio::test]
async fn plugins_that_fail() {
    let (_server, target) = serve().await;
    let failing = |_: CallContext| async { Err::<Metadata, _>(PluginError::new("no token")) };
    let status = ask(&local(&target, failing), request()).await.expect_err("it fails");
    let text = "Getting metadata from plugin failed with error: no token";
    assert_eq!((status.code(), status.message()), (Code::Unavailable, text));

    let status = ask(&local(&target, AccessToken::new("a\nb")), request()).await;
    let status = status.expect_err("it is illegal");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "Illegal metadata"));

    let panicking = |_: CallContext| async { panic!("a plugin that panics") };
    let status = ask(&local(&target, panicking), request()).await.expect_err("it panics");
    assert_eq!(status.code(), Code::Unavailable);
    let blocking = Blocking::new(|_: &CallContext| panic!("a plugin that panics"));
    let status = ask(&local(&target, blocking), request()).await.expect_err("it panics");
    assert_eq!(status.code(), Code::Unavailable);

    let hanging = |_: CallContext| std::future::pending::<Result<Metadata, PluginError>>();
    let mut hurried = request();
    hurried.set_timeout(Duration::from_millis(50));
    let status = ask(&local(&target, hanging), hurried).await.expect_err("it hangs");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("the call's credentials"), "{status}");
}

#[tokio::test]
async fn nobody_is_asked_without_a_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let plugin = {
        let asked = Arc::clone(&asked);
        move |_: CallContext| {
            asked.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, PluginError>(Metadata::new()) }
        }
    };
    let status = ask(&local("127.0.0.1:1", plugin), request()).await.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// At both APIs: what they answer is for a connection that there is.
#[tokio::test]
async fn they_are_not_asked_before_there_is_a_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let asked = Arc::new(AtomicUsize::new(0));
    let plugin = || {
        let asked = Arc::clone(&asked);
        move |_: CallContext| {
            asked.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, PluginError>(Metadata::new()) }
        }
    };
    let status = ask(&local(&target, plugin()), request()).await.expect_err("nobody is there");
    let expected = (status.code(), status.message().to_owned());
    assert_eq!(expected.0, Code::Unavailable);
    #[cfg(unix)]
    {
        let local = ChannelCredentials::local(LocalKind::Tcp).with_call_credentials(plugin());
        let channel = ferrpc_blocking::Channel::new(Channel::builder(target).credentials(local));
        let channel = channel.expect("a target");
        let calls = tokio::task::spawn_blocking(move || {
            let unary = channel.unary(&ECHO, request()).expect_err("nobody is there");
            let stream = channel.server_streaming(&STREAM, request()).expect_err("the same");
            [unary, stream]
        });
        for status in calls.await.expect("no panic") {
            assert_eq!((status.code(), status.message().to_owned()), expected);
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
