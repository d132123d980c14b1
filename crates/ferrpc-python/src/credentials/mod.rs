//! Credentials as Python hands them to the engine's channels and ports.
//!
//! A channel is made anew in the child of a fork; so its credentials remember what they were made
//! from. Those of a port belong to the process of its server.
//!
//! ```text
//!   a handshake begins --> Fetches (queue) --> a Python thread: the user's fetcher
//!   (engine's threads) <------ Fetch.keep | replace | fail
//! ```

mod channel;
mod fetch;
mod server;
mod sign;

use ferrpc::credentials::LocalKind;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::contract::LocalConnection;

pub(crate) use channel::{ChannelCredentials, Shared};
pub(crate) use server::ServerCredentials;

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ChannelCredentials>()?;
    module.add_class::<ServerCredentials>()?;
    module.add_class::<fetch::Fetches>()?;
    module.add_class::<fetch::Fetch>()?;
    module.add_class::<sign::Signatures>()?;
    module.add_class::<sign::Question>()
}

/// What a `grpc.LocalConnectionType` means.
fn local_kind(number: u32) -> PyResult<LocalKind> {
    match number {
        LocalConnection::UDS => Ok(LocalKind::Unix),
        LocalConnection::LOCAL_TCP => Ok(LocalKind::Tcp),
        other => Err(PyValueError::new_err(format!("{other} is no grpc.LocalConnectionType"))),
    }
}
