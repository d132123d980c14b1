//! How an accepted byte stream becomes a connection: its handshake, then its task.

use std::sync::Arc;

use ferrpc_core::Transport;
use ferrpc_net::clock;
use ferrpc_net::listen::Entrance;
use ferrpc_net::seed::seed;
use ferrpc_net::streams::Secured;

use super::connection::Connection;
use super::memory::{Account, Holder};
use super::shared::{Place, Shared};
use crate::transport::driver::Driver;
use crate::transport::mailbox::Mailbox;
use crate::transport::{ConnectionInfo, Io};

/// Serves one connection, its handshake included, which has a task of its own.
pub(crate) fn serve(shared: &Arc<Shared>, io: Box<dyn Io>, place: Place, door: Entrance) {
    let Entrance::Guarded(door, handshake) = door else {
        return connect(shared, Secured::plain(io), place);
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let peer = io.peer();
        match handshake.run(door.pass(io, &handshake)).await {
            // A task of its own: this one would keep the handshake's memory.
            Ok(secured) => connect(&shared, secured, place),
            Err(refusal) => shared.handshakes.failed(&peer, &refusal),
        }
    });
}

/// Spawns the driver of a new connection, unless the server is shutting down.
fn connect(shared: &Arc<Shared>, secured: Secured, place: Place) {
    let Secured { io, fault } = secured;
    let mailbox = Mailbox::new();
    let info = Arc::new(ConnectionInfo::of(&*io));
    let account = Account::new(&shared.memory, clock::now());
    let Some(id) = shared.connections.add(&mailbox, &account) else { return };
    tracing::debug!(peer = %info.peer, "connection opened");
    let mut config = shared.config.clone();
    config.seed = seed();
    let transport = Transport::server(config, clock::now());
    let holder = Holder::new(account, Arc::clone(&mailbox));
    let (own, ours) = (Arc::clone(shared), Arc::clone(&mailbox));
    let role = Connection::new(own, id, info, ours, holder, place, fault);
    let task = tokio::spawn(Driver::new(io, transport, role, mailbox));
    shared.connections.spawned(id, task.abort_handle());
}
