//! The synchronous server: what `grpc._server` is built on.
//!
//! ```text
//!   engine's threads          |  Python's threads
//!   connection --> queue ------> Drain.take() --> handler --> Call.reply() --> connection
//!                  (arrivals) -> Server.next_task(): the serving thread, which submits drains
//! ```
//!
//! Calls cross as a [`Call`](call::Call) each, in and out; no engine thread attaches to the
//! interpreter. Whatever may wait does so detached from it.

pub(crate) mod call;
mod engine;
pub(crate) mod life;
mod options;
mod wait;

use pyo3::prelude::*;

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::Server>()?;
    module.add_class::<engine::Drain>()?;
    module.add_class::<call::Call>()?;
    module.add("CallOver", module.py().get_type::<call::CallOver>())?;
    module.add("InvalidMetadata", module.py().get_type::<call::InvalidMetadata>())
}
