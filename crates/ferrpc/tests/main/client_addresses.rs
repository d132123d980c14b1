//! Servers with several addresses, of which some lead nowhere; zones; `localhost`.
#![cfg(unix)]

use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use bytes::Bytes;
use ferrpc::server::{Routes, Server};
use ferrpc::{Channel, Request, Response, Status};
use ferrpc_blocking as blocking;

use crate::support::*;

/// An address that does not lead to a server.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Refuses,
    /// Accepts, and closes at once.
    Closes,
    /// Accepts, and says nothing.
    IsSilent,
}

impl Bad {
    /// It is so for as long as the listener lives.
    fn open(self) -> (String, Option<TcpListener>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        match self {
            Self::Refuses => (address, None),
            Self::IsSilent => (address, Some(listener)),
            Self::Closes => {
                let accepts = listener.try_clone().expect("another descriptor");
                thread::spawn(move || accepts.incoming().for_each(drop));
                (address, Some(listener))
            }
        }
    }
}

/// What a call comes to, by both clients.
async fn call_both(target: &str) -> [Result<Bytes, Status>; 2] {
    let channel = Channel::builder(target).connect_lazy().expect("a target");
    let by_task = channel.unary(&ECHO, request()).await.map(Response::into_inner);
    let channel = blocking::Channel::new(blocking::Channel::builder(target)).expect("a target");
    let by_thread = tokio::task::spawn_blocking(move || channel.unary(&ECHO, request()));
    [by_task, by_thread.await.expect("no panic").map(Response::into_inner)]
}

#[tokio::test]
async fn bad_addresses_do_not_stop_the_others() {
    let server = TestServer::start().await;
    for bad in [
        &[Bad::Refuses][..],
        &[Bad::Closes],
        &[Bad::IsSilent],
        &[Bad::Refuses, Bad::IsSilent, Bad::Closes],
    ] {
        let opened: Vec<_> = bad.iter().map(|bad| bad.open()).collect();
        let addresses: Vec<_> = opened.iter().map(|(address, _)| address.as_str()).collect();
        let target = format!("ipv4:{},{}", addresses.join(","), server.address);
        for result in call_both(&target).await {
            result.unwrap_or_else(|status| panic!("{bad:?}: {status}"));
        }
    }
}

#[tokio::test]
async fn both_clients_say_the_same_of_addresses_that_fail() {
    for bad in [&[Bad::Refuses][..], &[Bad::Closes], &[Bad::Refuses, Bad::Closes]] {
        let opened: Vec<_> = bad.iter().map(|bad| bad.open()).collect();
        let addresses: Vec<_> = opened.iter().map(|(address, _)| address.as_str()).collect();
        let target = format!("ipv4:{}", addresses.join(","));
        let [task, thread] = call_both(&target).await;
        let (task, thread) = (task.expect_err("no server"), thread.expect_err("no server"));
        assert_eq!((task.code(), task.message()), (thread.code(), thread.message()));
        for address in addresses {
            assert!(task.message().contains(address), "{task}");
        }
    }
}

async fn serve(address: &str) -> (Server, u16) {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: Request<Bytes>| async {
        Ok(Response::new(request.into_inner()))
    });
    let server = Server::builder().add_service(routes).bind(address).await.expect("bound");
    let port = server.local_addr().expect("TCP").port();
    (server, port)
}

/// Not everybody has it.
fn is_ipv6_there() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[tokio::test]
async fn localhost_is_both_loopback_addresses() {
    if !is_ipv6_there() {
        return;
    }
    let (_server, port) = serve("localhost:0").await;
    let (_only_ipv6, other) = serve("[::1]:0").await;
    for target in [
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("localhost:{other}"),
        format!("dns:///localhost:{other}"),
    ] {
        for result in call_both(&target).await {
            result.unwrap_or_else(|status| panic!("{target}: {status}"));
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn addresses_have_zones() {
    if !is_ipv6_there() {
        return;
    }
    let (_server, port) = serve("[::1%lo]:0").await;
    for target in [
        format!("[::1%lo]:{port}"),
        format!("[::1%25lo]:{port}"),
        format!("dns:///[::1%25lo]:{port}"),
        format!("ipv6:[::1%lo]:{port}"),
        format!("ipv6:%5B::1%25lo%5D:{port}"),
    ] {
        for result in call_both(&target).await {
            result.unwrap_or_else(|status| panic!("{target}: {status}"));
        }
    }
}
