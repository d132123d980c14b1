//! What the user of a connection chooses.

use std::time::Duration;

use crate::frame::settings::{MAX_FRAME_SIZE, MIN_FRAME_SIZE};
use crate::limits::Limits;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens streams.
    Client,
    /// Accepts streams.
    Server,
}

/// How much may be in flight towards us, on a stream and on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Starts at 256 KiB a stream and grows with the measured bandwidth-delay product, up to `max`
    /// bytes. The connection's window is four times a stream's and at least 1 MiB.
    Auto {
        /// The largest stream window, in bytes.
        max: u32,
    },
    /// Always this many bytes a stream; the connection's window is four times that and at least
    /// 1 MiB.
    Fixed(u32),
}

impl Default for Window {
    fn default() -> Self {
        Self::Auto { max: 16 << 20 }
    }
}

/// Pings that we send to learn whether the peer is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a ping goes out; `None`: never.
    pub interval: Option<Duration>,
    /// Silence after that ping which ends the connection.
    pub timeout: Duration,
    /// Whether to ping while no stream is open.
    pub without_streams: bool,
    /// Pings in a row without a stream's data between them, beyond which they come at most once a
    /// minute (gRFC L116). 0: no such bound.
    pub max_pings_without_data: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: None,
            timeout: Duration::from_secs(20),
            without_streams: false,
            max_pings_without_data: 2,
        }
    }
}

/// Settings of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Flow control towards us.
    pub window: Window,
    /// The largest frame we accept, in bytes (16,384 to 16,777,215).
    pub max_frame_size: u32,
    /// What the peer must not exceed.
    pub limits: Limits,
    /// Pings that we send.
    pub keepalive: Keepalive,
    /// Names of fields that are known even of a header list that is too large, if they are short.
    pub essential_fields: &'static [&'static str],
    /// Randomness for what is left to chance; the connection has no other source.
    pub seed: u64,
}

impl Config {
    /// The frame size that is advertised and enforced: within the protocol's bounds (6.5.2).
    pub(crate) fn max_frame_size(&self) -> u32 {
        self.max_frame_size.clamp(MIN_FRAME_SIZE, MAX_FRAME_SIZE)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Window::default(),
            max_frame_size: 16_384,
            limits: Limits::default(),
            keepalive: Keepalive::default(),
            essential_fields: &[],
            seed: 0,
        }
    }
}
