//! The numbers that the engine and the package agree on. They stand here alone: Python reads them as
//! attributes of these classes, `grpc._ferrpc.CallEvent.ENDED`, and where its public API has numbers
//! of its own a test compares them.

use ferrpc::client::ConnectivityState;
use ferrpc::{Code, Encoding, EncodingSet};
use pyo3::prelude::*;

/// Classes with numbers as attributes, and a function that registers them.
macro_rules! contract {
    ($(
        $(#[$class:meta])*
        $name:ident { $($(#[$item:meta])* $constant:ident = $value:literal,)* }
    )*) => {
        $(
            $(#[$class])*
            #[pyclass(frozen, module = "grpc._ferrpc")]
            pub(crate) struct $name;

            #[pymethods]
            impl $name {
                $(
                    $(#[$item])*
                    #[classattr]
                    pub(crate) const $constant: u32 = $value;
                )*
            }
        )*

        fn register_classes(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_class::<$name>()?;)*
            Ok(())
        }
    };
}

contract! {
    /// What a loop's queue says of a call, the client's or the server's.
    CallEvent {
        /// It ended; of a server's: it was cancelled.
        ENDED = 0,
        /// There is something received, perhaps, or there will be no more.
        RECEIVED = 1,
        /// There is room for a message, perhaps.
        ROOM = 2,
    }

    /// What a loop's queue says of a server.
    ServerEvent {
        /// Calls wait.
        ARRIVED = 0,
        /// It has ended.
        STOPPED = 1,
    }

    /// What the serving thread of a server has to do next.
    ServerTask {
        /// A drain is wanted in a lane.
        SUBMIT = 0,
        /// A call that was watched is over.
        ENDED = 1,
        /// The server has ended, and the thread with it.
        STOP = 2,
    }

    /// What a loop's connection waits for, and what it got: bits.
    IoInterest {
        READ = 1,
        WRITE = 2,
        /// More is there already.
        AGAIN = 4,
        /// The connection is over.
        OVER = 8,
        /// Look again soon; it looks again.
        LOOK = 16,
        /// There are entries in the loop's queue, for which the loop is not woken.
        FILLED = 32,
    }

    /// In place of the number of a question for a signature.
    SignatureEvent {
        /// There will be no more questions.
        NOBODY_ASKS = 0xffff_ffff,
    }

    /// The states of channels, as `grpc.ChannelConnectivity` numbers them.
    Connectivity {
        IDLE = 0,
        CONNECTING = 1,
        READY = 2,
        TRANSIENT_FAILURE = 3,
        SHUTDOWN = 4,
    }

    /// As `grpc.Compression` numbers them.
    Compression {
        NO_COMPRESSION = 0,
        DEFLATE = 1,
        GZIP = 2,
    }

    /// As `grpc.LocalConnectionType` numbers them.
    LocalConnection {
        UDS = 0,
        LOCAL_TCP = 1,
    }

    /// As `grpc.experimental.PrivateKeySignatureAlgorithm` numbers them.
    SignatureNumber {
        RSA_PKCS1_SHA256 = 0,
        RSA_PKCS1_SHA384 = 1,
        RSA_PKCS1_SHA512 = 2,
        ECDSA_SECP256R1_SHA256 = 3,
        ECDSA_SECP384R1_SHA384 = 4,
        ECDSA_SECP521R1_SHA512 = 5,
        RSA_PSS_RSAE_SHA256 = 6,
        RSA_PSS_RSAE_SHA384 = 7,
        RSA_PSS_RSAE_SHA512 = 8,
    }
}

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_classes(module)?;
    // As `grpc.StatusCode` numbers them: by their names.
    module.add("STATUS_CODES", Code::ALL.map(|code| (code.name(), code.number())).to_vec())
}

/// A state's number.
pub(crate) const fn connectivity(state: ConnectivityState) -> u32 {
    match state {
        ConnectivityState::Idle => Connectivity::IDLE,
        ConnectivityState::Connecting => Connectivity::CONNECTING,
        ConnectivityState::Ready => Connectivity::READY,
        ConnectivityState::TransientFailure => Connectivity::TRANSIENT_FAILURE,
        ConnectivityState::Shutdown => Connectivity::SHUTDOWN,
    }
}

/// The algorithm of a `grpc.Compression`.
pub(crate) fn encoding(number: i64) -> Option<Encoding> {
    match u32::try_from(number).ok()? {
        Compression::NO_COMPRESSION => Some(Encoding::Identity),
        Compression::DEFLATE => Some(Encoding::Deflate),
        Compression::GZIP => Some(Encoding::Gzip),
        _ => None,
    }
}

/// The set that grpcio writes as bits: one for each algorithm.
pub(crate) fn encodings(bits: i64) -> EncodingSet {
    let all = [Compression::DEFLATE, Compression::GZIP].map(i64::from);
    let used = all.into_iter().filter(|number| bits & 1 << number != 0).filter_map(encoding);
    used.fold(EncodingSet::IDENTITY, EncodingSet::with)
}
