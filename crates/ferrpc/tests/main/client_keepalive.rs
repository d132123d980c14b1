//! A channel whose pings a server finds too frequent (gRFC A8), on a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use ferrpc::Channel;
use ferrpc::client::{ConnectivityState, Keepalive};
use ferrpc::server::{Routes, Server};
use ferrpc::transport::in_process;
use tokio::time::Instant;

use crate::support::ECHO;

/// Pings every minute to a server that takes them every two hours when there is no call: the first
/// is good, two are forgiven, the fourth ends the connection. Each next one pings half as often.
#[tokio::test(start_paused = true)]
async fn each_complaint_doubles_the_interval() {
    let mut routes = Routes::new("t");
    routes.unary(ECHO.clone(), |request: ferrpc::Request<bytes::Bytes>| async move {
        Ok(ferrpc::Response::new(request.into_inner()))
    });
    let server = Arc::new(Server::builder().add_service(routes).build());
    let channel = Channel::builder("inproc:test")
        .keepalive(Keepalive {
            interval: Some(Duration::from_secs(60)),
            timeout: Duration::from_secs(20),
            without_streams: true,
            max_pings_without_data: 0,
        })
        .connector(move |_: &_| {
            let (ours, theirs) = in_process();
            server.serve_io(theirs);
            std::future::ready(Ok(ours))
        })
        .connect_lazy()
        .expect("a target");
    for minutes in [1, 2, 4] {
        channel.connected().await.expect("the server runs");
        let connected = Instant::now();
        channel.state_changed(ConnectivityState::Ready).await;
        let lived = connected.elapsed();
        let wanted = Duration::from_secs(4 * 60 * minutes);
        let wanted = wanted..wanted + Duration::from_secs(1);
        assert!(wanted.contains(&lived), "{lived:?} of {wanted:?}");
    }
}
