//! Error codes and why a connection ended.

use std::fmt;

/// An HTTP/2 error code (RFC 9113, 7).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u32);

impl Reason {
    /// Graceful end.
    pub const NO_ERROR: Self = Self(0x0);
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// The endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// Flow control was violated.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame came for a stream that was half-closed or closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of a size that is not allowed.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was not processed.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(0x8);
    /// A header block could not be decoded.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// A CONNECT tunnel broke.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// HTTP/1.1 is required.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCause {
    /// Both sides finished: a graceful end.
    Graceful,
    /// The transport ended or failed under the connection.
    TransportLost,
    /// The peer sent GOAWAY with an error, or with streams it will not serve.
    PeerGoAway {
        /// The peer's error code.
        reason: Reason,
        /// The peer's debug text.
        debug: Box<str>,
    },
    /// The peer broke a rule or exceeded a limit; we sent GOAWAY with this.
    PeerError {
        /// The code we sent.
        reason: Reason,
        /// The text we sent: the name of the rule or limit.
        debug: &'static str,
    },
    /// No sign of life within the keepalive timeout.
    KeepaliveTimeout,
    /// The peer did not complete its handshake (preface and SETTINGS) in time.
    HandshakeTimeout,
    /// The peer accepted none of our bytes for too long.
    WriteStall,
    /// The local side asked for it.
    Local,
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graceful => f.write_str("the connection was closed gracefully"),
            Self::TransportLost => {
                f.write_str("the transport was closed by the peer or the network")
            }
            Self::PeerGoAway { reason, debug } if debug.is_empty() => {
                write!(f, "the peer sent GOAWAY {reason}")
            }
            Self::PeerGoAway { reason, debug } => {
                write!(f, "the peer sent GOAWAY {reason}: {}", debug.escape_debug())
            }
            Self::PeerError { reason, debug } => {
                write!(f, "the peer broke the protocol ({reason}): {debug}")
            }
            Self::KeepaliveTimeout => f.write_str("keepalive ping was not answered in time"),
            Self::HandshakeTimeout => f.write_str("the HTTP/2 handshake was not completed in time"),
            Self::WriteStall => f.write_str("the peer accepted no data for too long"),
            Self::Local => f.write_str("the connection was closed locally"),
        }
    }
}
