//! One attempt of a subchannel to connect: by which addresses, and which of them is first.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ferrpc_core::Transport;
use ferrpc_core::channel::{Attempt, AttemptId, Dialing};
use ferrpc_net::connect::{self, ConnectError, Failure, Place};
use ferrpc_net::streams::Secured;
use ferrpc_net::{clock, trace};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Connection, Dialled, Subchannel, seed};
use crate::client::role::ClientRole;
use crate::transport::driver::Driver;
use crate::transport::mailbox::Mailbox;

impl Subchannel {
    /// One attempt to connect, of which there is one at a time: by all addresses that the target has,
    /// until the SETTINGS of the first server come.
    pub(super) async fn attempt(self: &Arc<Self>, attempt: Attempt) -> Result<(), ConnectError> {
        let places = connect::places(&self.target, &self.config.dialer).await?;
        let mut plan = Dialing::new(places.len());
        let (tells, mut connected) = mpsc::unbounded_channel();
        // With it go those that are too late.
        let mut tries = JoinSet::new();
        let mut failures = Vec::new();
        loop {
            while let Some(at) = plan.poll_start(clock::now()) {
                let (subchannel, place, tells) =
                    (Arc::clone(self), places[at].clone(), tells.clone());
                tries.spawn(async move {
                    subchannel.try_place(attempt.id, &place, || told(&tells)).await
                });
            }
            if plan.has_failed() {
                return Err(ConnectError::failed(&self.target, failures));
            }
            let event = poll_fn(|cx| match tries.poll_join_next(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending => connected.poll_recv(cx).map(|_| None),
            });
            let event = match plan.poll_timeout() {
                None => Ok(event.await),
                Some(at) => tokio::time::timeout_at(clock::to_instant(at), event).await,
            };
            match event {
                // It is time for the next one.
                Err(_) => {}
                Ok(None) => plan.handle_connected(clock::now()),
                Ok(Some(Some(Ok(Ok(Ok(())))))) => return Ok(()),
                Ok(Some(Some(Ok(Ok(Err(failure)))))) => {
                    failures.push(failure);
                    plan.handle_failed(clock::now());
                }
                Ok(Some(Some(Ok(Err(error))))) => return Err(error),
                // A task ends without a result only when the runtime shuts down.
                Ok(Some(Some(Err(_)) | None)) => plan.handle_failed(clock::now()),
            }
        }
    }

    /// Tries one place, up to the server's SETTINGS. The inner error is the place's, the outer one
    /// the channel's.
    async fn try_place(
        self: &Arc<Self>,
        attempt: AttemptId,
        place: &Place,
        connected: impl FnOnce() + Send,
    ) -> Result<Result<(), (String, Failure)>, ConnectError> {
        let name = place.name(&self.target, &self.config.dialer);
        tracing::debug!(
            target: trace::CONNECTIVITY, channel = %self.target, address = name, "connecting"
        );
        let Secured { io, fault } =
            match place.connect(&self.target, &self.config.dialer, connected).await {
                Ok(secured) => secured,
                Err(failure) => return Ok(Err((name, failure))),
            };
        let (outcome, finished) = oneshot::channel();
        let mailbox = Mailbox::new();
        let mut config = self.config.transport.clone();
        let id = {
            let mut state = self.lock();
            let Some(dialled) = state.machine.handle_dialled(attempt) else {
                return Err(ConnectError::closed());
            };
            config.http2.keepalive.interval = dialled.keepalive;
            let connection = Connection { id: dialled.id, mailbox: Arc::clone(&mailbox) };
            state.dialled.push(Dialled { connection, outcome });
            dialled.id
        };
        config.seed = seed();
        let role = ClientRole::new(id, Arc::downgrade(self), Arc::clone(&mailbox));
        let transport = Transport::client(config, clock::now());
        tokio::spawn(Driver::new(io, transport, role, mailbox));
        match finished.await {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(cause)) => Ok(Err((name, Failure::handshake(cause, fault.as_deref())))),
            Err(_) => Err(ConnectError::runtime(&self.target)),
        }
    }
}

/// A place is connected. If nobody listens any more, another one was first.
fn told(tells: &mpsc::UnboundedSender<()>) {
    let _ = tells.send(());
}
