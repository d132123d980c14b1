//! A channel where things end at the wrong moment.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::{Channel, Request};
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// Nothing here takes long; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn request(text: &str) -> Request<Bytes> {
    Request::new(Bytes::copy_from_slice(text.as_bytes()))
}

/// Runs `work` on a thread of its own, so that a deadlock fails the test rather than hang it.
fn without_deadlock(work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        work();
        done.send(()).expect("the test waits");
    });
    finished.recv_timeout(PATIENCE).expect("no deadlock and no panic");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_channel_survives_being_used_without_a_runtime() {
    without_deadlock(|| {
        let runtime = runtime();
        let server = runtime.block_on(TestServer::start());
        let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
        let panicked = catch_unwind(AssertUnwindSafe(|| channel.start_connecting()));
        panicked.expect_err("there is no runtime");
        let call = channel.unary(&ECHO, request("after all"));
        let response = runtime.block_on(call).expect("it answers");
        assert_eq!(response.message(), "after all");
        let _entered = runtime.enter();
        drop(server);
    });
}

#[test]
fn a_channel_survives_a_runtime_that_is_ending() {
    without_deadlock(|| {
        let ended = runtime();
        let handle = ended.handle().clone();
        drop(ended);
        let runtime = runtime();
        let server = runtime.block_on(TestServer::start());
        let channel = Channel::builder(server.target()).connect_lazy().expect("a target");
        {
            // What is spawned here is dropped at once.
            let _entered = handle.enter();
            channel.start_connecting();
        }
        let call = channel.unary(&ECHO, request("after all"));
        let response = runtime.block_on(call).expect("it answers");
        assert_eq!(response.message(), "after all");
        let _entered = runtime.enter();
        drop(server);
    });
}

#[tokio::test]
async fn a_connection_that_is_not_ready_goes_with_its_channel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let target = listener.local_addr().expect("bound").to_string();
    for close in [false, true] {
        let mut builder = Channel::builder(target.clone());
        // Nothing but the channel's end is to end it.
        builder = builder.connect_timeout(PATIENCE * 100);
        let channel = builder.connect_lazy().expect("a target");
        channel.start_connecting();
        let (mut stream, _) = listener.accept().await.expect("it connects");
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("it speaks first");
        if close {
            channel.close();
        } else {
            drop(channel);
        }
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
        end.await.expect("it ends").expect("politely");
    }
}
