//! What a channel's machine is told at its beginning, and what its driver does for it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use ferrpc_http2::Time;

use super::{BackoffConfig, ConnectionId, Picker, StateChange, SubchannelId};
use crate::service_config::LoadBalancing;

/// Settings of a channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// How calls are spread over addresses.
    pub balancing: LoadBalancing,
    /// Pauses between attempts to connect, and between look-ups that fail.
    pub backoff: BackoffConfig,
    /// The most that an attempt, or a look-up, may take, in place of what the backoff says.
    pub connect_timeout: Option<Duration>,
    /// The interval of keepalive pings of the first connection.
    pub keepalive: Option<Duration>,
    /// From an answer to the next look-up; `None`: the addresses never change.
    pub resolution_interval: Option<Duration>,
    /// The only source of chance.
    pub seed: u64,
}

/// Makes the errors of a channel from those of its addresses.
pub trait Causes {
    /// Why an address does not lead to a server.
    type Address: Debug;
    /// Why there is no connection.
    type Error: Clone + Debug;

    /// The addresses, at least one, lead to no server.
    fn addresses(&self, failures: Vec<Self::Address>) -> Self::Error;

    /// Neither the name nor an address answered for so long.
    fn timed_out(&self, patience: Duration) -> Self::Error;

    /// The name has no addresses.
    fn no_addresses(&self) -> Self::Error;
}

/// Names one try of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialId {
    pub(super) subchannel: SubchannelId,
    pub(super) number: u64,
}

/// An address that is to be tried now.
#[derive(Clone, Debug)]
pub struct Dial<A> {
    /// Names the try.
    pub id: DialId,
    /// Where it leads.
    pub address: A,
    /// When its attempt began.
    pub began: Time,
    /// When the driver gives it up, by [`Channel::handle_failed`](super::Channel::handle_failed).
    pub give_up: Time,
}

/// What a channel's driver does.
#[derive(Debug)]
pub enum Event<A, H, E> {
    /// Look the name up; [`Channel::handle_resolved`](super::Channel::handle_resolved) takes the answer.
    Resolve,
    /// Make a byte stream to an address, up to the server's SETTINGS.
    Dial(Dial<A>),
    /// This try is not wanted any more.
    Abandon(DialId),
    /// This connection, which has no SETTINGS yet, is not wanted any more.
    Close(ConnectionId),
    /// This connection takes no new calls. It ends with its last call.
    Drain(ConnectionId, H),
    /// Calls pick from this from now on.
    Picker(Arc<Picker<H>>),
    /// The state is another one.
    State(StateChange),
    /// There is no connection, for this reason. It is tried again.
    Failed(E),
}

pub(super) type Events<A, H, C> = VecDeque<Event<A, H, <C as Causes>::Error>>;
