//! A call's way through its attempts.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ferrpc_core::call::Step;
use ferrpc_core::channel::AttemptEnd;
use ferrpc_core::{Encoding, Metadata, Status, Time};
use ferrpc_net::clock;
use ferrpc_net::credentials::{self, SecurityLevel};

use super::call::{CallCell, Progress};
use super::connections::{Connection, Connections};
use super::role::{Command, Start};

/// Holds a call while its caller waits for it: dropped, the call is cancelled.
pub(super) struct CallGuard {
    pub(super) cell: Arc<CallCell>,
    over: bool,
}

/// How far a call is to be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The response's headers.
    Begin,
    /// The call's end.
    End,
}

/// How far it came.
pub(super) enum Driven {
    /// The response began.
    Began(Metadata, Encoding),
    /// The call is over.
    Ended(Status),
}

impl CallGuard {
    pub(super) const fn new(cell: Arc<CallCell>) -> Self {
        Self { cell, over: false }
    }

    /// The call is over: there is nothing to cancel.
    pub(super) const fn disarm(&mut self) {
        self.over = true;
    }

    /// Runs attempts until the response begins or the call is over.
    pub(super) async fn drive(&mut self, connections: &Arc<Connections>, until: Until) -> Driven {
        if self.cell.head.credentials.is_some()
            && let Err(status) = self.authorize(connections).await
        {
            return self.ended(status);
        }
        let mut due = true;
        loop {
            let at_hand = due.then(|| connections.connection()).flatten();
            let connection = match at_hand {
                Some(connection) => connection,
                None => match self.connection(connections).await {
                    Ok(connection) => connection,
                    Err(status) => return self.ended(status),
                },
            };
            self.cell.begin_attempt();
            let start = Command::Start(Start::new(Arc::clone(&self.cell)));
            if connection.mailbox.send(start).is_err() {
                // What came back was dropped, and so told the call that it never left.
                connections.connection_lost(connection.id());
            }
            let ended = match self.progress(until).await {
                Progress::Headers(metadata, encoding) => {
                    return Driven::Began(metadata, encoding);
                }
                Progress::Ended(ended) => ended,
            };
            let Some(next) = ended.next else { return self.ended(ended.status) };
            due = next <= clock::now();
        }
    }

    /// Adds what the call's credentials say to its metadata, once there is a connection to say it
    /// on, at most until the deadline.
    async fn authorize(&self, connections: &Arc<Connections>) -> Result<(), Status> {
        let head = &self.cell.head;
        let Some(credentials) = &head.credentials else { return Ok(()) };
        if !connections.has_connection() {
            self.connection(connections).await?;
        }
        if connections.security_level() < SecurityLevel::PrivacyAndIntegrity {
            return Err(credentials::insecure());
        }
        let context = head.context();
        let mut asking = pin!(credentials::ask(&**credentials, &context));
        let asking = poll_fn(|cx| {
            // The sender may end the call meanwhile.
            if let Poll::Ready(Progress::Ended(ended)) = self.cell.poll_end(cx) {
                return Poll::Ready(Err(ended.status));
            }
            asking.as_mut().poll(cx)
        });
        let added = match self.deadline() {
            None => asking.await,
            Some(deadline) => {
                match tokio::time::timeout_at(clock::to_instant(deadline), asking).await {
                    Ok(added) => added,
                    Err(_) => Err(AttemptEnd::late_for_credentials().status),
                }
            }
        }?;
        head.authorize(&added);
        Ok(())
    }

    /// Waits for a connection, and for the time of the next attempt, at most until the deadline.
    async fn connection(&self, connections: &Arc<Connections>) -> Result<Connection, Status> {
        // Subscribed before asking: no change is missed.
        let mut changes = connections.watch();
        loop {
            let request = self.cell.lock().call.request();
            let pick = |wait_for_ready| connections.pick(wait_for_ready);
            let until = match request.step(clock::now(), pick) {
                Step::Begin(connection) => return Ok(connection),
                Step::Wait(until) => until,
                Step::Fail(failure) => {
                    let mut end = AttemptEnd::unreachable(failure.status());
                    self.cell.lock().call.handle_end(clock::now(), &mut end);
                    if end.is_final() {
                        return Err(end.status);
                    }
                    continue;
                }
                Step::Closed => return Err(AttemptEnd::closed().status),
                Step::Late => {
                    let late = self.cell.lock().call.late();
                    return Err(late.unwrap_or_else(|| connections.late()).status);
                }
            };
            let mut changed = pin!(changes.changed());
            let changed = poll_fn(|cx| {
                // The sender may end the call meanwhile: a message that cannot be encoded.
                if let Poll::Ready(Progress::Ended(ended)) = self.cell.poll_end(cx) {
                    return Poll::Ready(Err(ended.status));
                }
                changed.as_mut().poll(cx).map(|_| Ok(()))
            });
            match until {
                None => changed.await?,
                Some(until) => {
                    let changed = tokio::time::timeout_at(clock::to_instant(until), changed).await;
                    changed.unwrap_or(Ok(()))?;
                }
            }
        }
    }

    /// Waits for what the attempt comes to.
    async fn progress(&self, until: Until) -> Progress {
        poll_fn(|cx| match until {
            Until::Begin => self.cell.poll_begin(cx),
            Until::End => self.cell.poll_end(cx),
        })
        .await
    }

    fn deadline(&self) -> Option<Time> {
        self.cell.lock().call.deadline()
    }

    /// The call ended with `status`; a sender that is left learns of it.
    fn ended(&mut self, status: Status) -> Driven {
        self.disarm();
        Driven::Ended(status)
    }

    fn cancel(&mut self) {
        self.over = true;
        self.cell.cancel();
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}
