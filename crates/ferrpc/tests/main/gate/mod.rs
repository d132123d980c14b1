//! A server with handlers that wait until a test lets them go on.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ferrpc::server::{Dispatch, Routes, Server};
use ferrpc::{Metadata, Method, Request, Response, codec};
use tokio::sync::Semaphore;

use crate::caller::PATIENCE;

pub(crate) const ECHO: Method<Bytes, Bytes> =
    Method::unary("/t.T/Echo", codec::raw(), codec::raw());
pub(crate) const GATE: Method<Bytes, Bytes> =
    Method::unary("/t.T/Gate", codec::raw(), codec::raw());
pub(crate) const PEER: Method<Bytes, Bytes> =
    Method::unary("/t.T/Peer", codec::raw(), codec::raw());

pub(crate) fn none() -> Metadata {
    Metadata::new()
}

/// Handlers of /t.T/Gate wait here for a permit; and what counts those that started.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) started: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) async fn until_started(&self, count: usize) {
        let wait = async {
            while self.started.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        patiently(wait).await;
    }
}

pub(crate) fn routes(dispatch: Dispatch) -> (Routes, Gate) {
    let gate = Gate { permits: Arc::new(Semaphore::new(0)), started: Arc::default() };
    let mut routes = Routes::new("t.T");
    routes.unary(
        ECHO,
        |request: Request<Bytes>| async move { Ok(Response::new(request.into_inner())) },
    );
    routes.unary(PEER, |request: Request<Bytes>| async move {
        Ok(Response::new(Bytes::from(request.peer().to_owned())))
    });
    let in_handler = gate.clone();
    routes.unary(GATE, move |request: Request<Bytes>| {
        let gate = in_handler.clone();
        async move {
            gate.started.fetch_add(1, Ordering::SeqCst);
            gate.permits.acquire().await.expect("never closed").forget();
            Ok(Response::new(request.into_inner()))
        }
    });
    for method in ["Echo", "Peer", "Gate"] {
        routes.dispatch(method, dispatch);
    }
    (routes, gate)
}

pub(crate) async fn server() -> (Server, Gate) {
    let (routes, gate) = routes(Dispatch::Auto);
    let server = Server::builder().add_service(routes).bind("127.0.0.1:0").await.expect("binds");
    (server, gate)
}

pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it happens")
}
