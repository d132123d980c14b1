//! What the streams of one connection do to each other, over sockets and at both clients: nothing.
//! (At random paces and under virtual time: `mixtures.rs` of the core.)

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrpc::server::{ResponseStream, Routes, Server};
use ferrpc::transport::in_process;
use ferrpc::{Channel, Request, Response, Status, Streaming};
use tokio::sync::watch;

use crate::support::{COLLECT, STREAM, messages};

/// Larger than the windows here.
const LARGE: usize = 300_000;

/// Nothing here takes long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of streams. Uploads are counted, those with the metadata "later" once `go` is true.
fn server(go: watch::Receiver<bool>) -> Server {
    let mut routes = Routes::new("t");
    routes.server_streaming(STREAM.clone(), |request: Request<Bytes>| async move {
        let size = if request.into_inner().is_empty() { 60_000 } else { LARGE };
        let rows = (0..20).map(move |_| Ok(Bytes::from(vec![1; size])));
        Ok(Response::new(Box::pin(messages(rows)) as ResponseStream<Bytes>))
    });
    routes.client_streaming(COLLECT.clone(), move |request: Request<Streaming<Bytes>>| {
        let mut go = go.clone();
        async move {
            if request.metadata().value("later").is_some() {
                let _ = go.wait_for(|go| *go).await;
            }
            let (mut requests, mut bytes) = (request.into_inner(), 0);
            while let Some(message) = requests.message().await? {
                bytes += message.len();
            }
            Ok(Response::new(Bytes::from(bytes.to_string())))
        }
    });
    Server::builder().max_held_messages(1 << 20).add_service(routes).build()
}

fn upload(size: usize, later: bool) -> Request<impl Iterator<Item = Bytes> + Send + 'static> {
    let mut request = Request::new((0..20).map(move |_| Bytes::from(vec![1; size])));
    request.set_timeout(PATIENCE);
    if later {
        request.metadata_mut().insert("later", "please").expect("legal");
    }
    request
}

/// Asks for rows: large ones, or such as fit in a window.
fn rows(size: &'static str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(size));
    request.set_timeout(PATIENCE);
    request
}

async fn all(mut responses: Streaming<Bytes>) -> Result<usize, Status> {
    let mut bytes = 0;
    while let Some(message) = responses.message().await? {
        bytes += message.len();
    }
    Ok(bytes)
}

/// The ways to a server: over TCP, over a unix socket, within the process.
async fn ways(server: &Arc<Server>) -> Vec<Channel> {
    let held = |target: &str| Channel::builder(target).max_held_messages(1 << 20);
    server.bind("127.0.0.1:0").await.expect("a free port");
    let tcp = server.local_addr().expect("bound").to_string();
    let folder = std::env::temp_dir();
    let unix = format!("unix:{}/ferrpc-beside-{}.sock", folder.display(), std::process::id());
    server.bind(&unix).await.expect("binds");
    let inside = Arc::clone(server);
    let inside = held("inproc:test").connector(move |_: &_| {
        let (ours, theirs) = in_process();
        inside.serve_io(theirs);
        std::future::ready(Ok(ours))
    });
    [held(&tcp), held(&unix), inside].map(|way| way.connect_lazy().expect("a target")).into()
}

/// Fifty responses that are not read, and fifty uploads that are not: all that is held for them is
/// more than the limit. Small and large ones beside them go on; in the end all of them do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_not_read() {
    let (go, gone) = watch::channel(false);
    let server = Arc::new(server(gone));
    for channel in ways(&server).await {
        let paused_uploads: Vec<_> = (0..50)
            .map(|_| {
                let channel = channel.clone();
                let upload = upload(60_000, true).map(messages);
                tokio::spawn(async move { channel.client_streaming(&COLLECT, upload).await })
            })
            .collect();
        let mut paused = Vec::new();
        for _ in 0..50 {
            let responses = channel.server_streaming(&STREAM, rows("")).await;
            let mut responses = responses.expect("it begins").into_inner();
            assert!(responses.message().await.expect("no error").is_some());
            paused.push(responses);
        }
        for size in [10, 60_000, LARGE] {
            let counted = channel.client_streaming(&COLLECT, upload(size, false).map(messages));
            assert_eq!(counted.await.expect("counted").into_inner(), (20 * size).to_string());
        }
        let large = channel.server_streaming(&STREAM, rows("large"));
        let large = large.await.expect("it begins").into_inner();
        assert_eq!(all(large).await.expect("no error"), 20 * LARGE);
        for responses in paused {
            assert_eq!(all(responses).await.expect("no error"), 19 * 60_000);
        }
        go.send_replace(true);
        for upload in paused_uploads {
            let counted = upload.await.expect("a task").expect("counted");
            assert_eq!(counted.into_inner(), "1200000");
        }
        go.send_replace(false);
    }
}

/// The same at the blocking client.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_not_read_by_threads() {
    let (go, gone) = watch::channel(false);
    let server = server(gone);
    server.bind("127.0.0.1:0").await.expect("a free port");
    let target = server.local_addr().expect("bound").to_string();
    let work = move || {
        let channel = Channel::builder(target).max_held_messages(1 << 20);
        let channel = ferrpc_blocking::Channel::new(channel).expect("a target");
        let paused_uploads: Vec<_> = (0..50)
            .map(|_| {
                let channel = channel.clone();
                std::thread::spawn(move || channel.client_streaming(&COLLECT, upload(60_000, true)))
            })
            .collect();
        let mut paused = Vec::new();
        for _ in 0..50 {
            let mut responses = channel.server_streaming(&STREAM, rows("")).expect("it begins");
            assert!(responses.message().expect("no error").is_some());
            paused.push(responses);
        }
        for size in [10, 60_000, LARGE] {
            let counted = channel.client_streaming(&COLLECT, upload(size, false));
            assert_eq!(counted.expect("counted").into_inner(), (20 * size).to_string());
        }
        let all = |mut responses: ferrpc_blocking::Responses<Bytes>| {
            let mut bytes = 0;
            while let Some(message) = responses.message().expect("no error") {
                bytes += message.len();
            }
            bytes
        };
        let large = channel.server_streaming(&STREAM, rows("large")).expect("it begins");
        assert_eq!(all(large), 20 * LARGE);
        for responses in paused {
            assert_eq!(all(responses), 19 * 60_000);
        }
        go.send_replace(true);
        for upload in paused_uploads {
            let counted = upload.join().expect("a thread").expect("counted");
            assert_eq!(counted.into_inner(), "1200000");
        }
    };
    tokio::task::spawn_blocking(work).await.expect("it ends");
}
