//! Where a server listens.

use bytes::Bytes;
use ferrpc::server::{Dispatch, ListenAddress, Server};
use ferrpc::transport::{StreamIo, in_process};
use tokio::net::{TcpStream, UnixStream};

use crate::caller::Caller;
use crate::gate::{patiently, routes, server};

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
    // It has no name of its own, as callers mostly have none.
    assert_eq!(caller.unary("/t.T/Peer", "").await.messages, [&address]);
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
