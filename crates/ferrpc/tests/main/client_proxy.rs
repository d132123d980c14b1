//! Channels that go through an HTTP proxy.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::Proxy;
use ferrpc::{Channel, Code, Request, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{ECHO, TestServer};

/// A proxy that keeps the heads of its requests and answers with `answer`; if that is a success it
/// connects to where `leads` says, whatever it was asked for.
async fn proxy(answer: &'static str, leads: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (kept, leads) = (Arc::clone(&kept), leads.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a head"));
                }
                kept.lock().expect("no panic").push(String::from_utf8(head).expect("ASCII"));
                if !answer.contains(" 2") {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    return;
                }
                let mut server = TcpStream::connect(leads).await.expect("it runs");
                // The server's first bytes come together with the proxy's answer.
                let mut first = [0; 4096];
                let count =
                    match tokio::time::timeout(Duration::from_millis(20), server.read(&mut first))
                        .await
                    {
                        Ok(count) => count.expect("it runs"),
                        Err(_) => 0,
                    };
                let both = [answer.as_bytes(), &first[..count]].concat();
                // In pieces, so that the head has to be gathered.
                for piece in both.chunks(7) {
                    stream.write_all(piece).await.expect("somebody reads");
                    stream.flush().await.expect("somebody reads");
                    tokio::task::yield_now().await;
                }
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, heads)
}

async fn ask(target: &str, proxy: Proxy) -> Result<Bytes, Status> {
    let channel = Channel::builder(target).proxy(proxy).connect_lazy().map_err(Status::from)?;
    let mut request = Request::new(Bytes::from_static(b"x"));
    request.set_timeout(Duration::from_secs(20));
    channel.unary(&ECHO, request).await.map(ferrpc::Response::into_inner)
}

const FINE: &str = "HTTP/1.1 200 Connection established\r\nX-Some: header\r\n\r\n";

#[tokio::test]
async fn the_proxy_gets_the_name() {
    let server = TestServer::start().await;
    let (address, heads) = proxy(FINE, server.target().replace("http://", "")).await;
    // A name that nobody here can look up.
    let url = format!("http://us%65r:p:w@{address}");
    assert_eq!(ask("server.invalid:7", Proxy::http(url)).await.expect("it answers"), "x");
    let expect = "CONNECT server.invalid:7 HTTP/1.1\r\nHost: server.invalid:7\r\n\
                  Proxy-Authorization: Basic dXNlcjpwOnc=\r\n\r\n";
    assert_eq!(*heads.lock().expect("no panic"), [expect]);

    let both = Proxy::http(format!("http://{address}"));
    assert_eq!(ask("ipv4:10.0.0.1:5", both).await.expect("it answers"), "x");
    let head = heads.lock().expect("no panic").pop().expect("another");
    assert!(head.starts_with("CONNECT 10.0.0.1:5 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("Authorization"), "{head}");
}

#[tokio::test]
async fn errors_say_what_the_proxy_said() {
    let check = async |answer: &'static str, parts: &[&str]| {
        let (address, _) = proxy(answer, String::new()).await;
        let status = ask("server.invalid:7", Proxy::http(format!("http://u:secret@{address}")));
        let status = status.await.expect_err("it refuses");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        for part in parts.iter().chain([&"server.invalid:7", &&*address]) {
            assert!(status.message().contains(part), "{part:?} is not in {status}");
        }
        assert!(!status.message().contains("secret"), "{status}");
    };
    check(
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        &["refused to connect to server.invalid:7: HTTP/1.1 403 Forbidden"],
    )
    .await;
    check("HTTP/1.1 407 Who are you\r\n\r\n", &["wants to know who asks", "USER:PASSWORD@"]).await;
    check("SSH-1.0-OpenSSH\r\n\r\n", &["does not answer in HTTP", "SSH-1.0"]).await;
    check("", &["ended the connection without an answer", "is it an HTTP proxy?"]).await;
    check("HTTP/1.1 503 x", &["ended the connection without an answer"]).await;
}

#[tokio::test]
async fn proxies_that_are_not_there() {
    let status = ask("server.invalid:7", Proxy::http("http://127.0.0.1:1")).await;
    let status = status.expect_err("nobody is there");
    assert!(status.message().contains("cannot reach the proxy 127.0.0.1:1"), "{status}");
    assert!(status.message().contains("connection refused"), "{status}");
    let status = ask("server.invalid:7", Proxy::http("https://u:secret@proxy")).await;
    let status = status.expect_err("of no kind that we know");
    assert!(status.message().contains("only http:// proxies"), "{status}");
    assert!(!status.message().contains("secret"), "{status}");
}

#[tokio::test]
async fn an_answer_without_end_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while stream.write_all(&[b'a'; 1000]).await.is_ok() {}
        }
    });
    let status = ask("server.invalid:7", Proxy::http(format!("http://{address}"))).await;
    let status = status.expect_err("it never ends");
    assert!(status.message().contains("is too long"), "{status}");
}

#[tokio::test]
async fn none() {
    let server = TestServer::start().await;
    assert_eq!(ask(&server.target(), Proxy::none()).await.expect("it answers"), "x");
}
