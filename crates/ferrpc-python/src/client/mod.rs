//! Channels and calls as `grpc._channel` uses them: one crossing in and one out for a blocking
//! unary call.
//!
//! ```text
//!   Channel.unary  ------------------------------------->  bytes | Ended
//!   Channel.start -> Call: next, send, ended, headers ...   Late (None) after each time slice
//!                      \-- on_end(tag) -> Completions (Python threads take them)
//! ```
//!
//! Whoever waits has detached from the interpreter. Nothing here attaches while it holds a lock
//! of the engine's, and the engine's threads never attach: they hand over tags.

mod call;
mod channel;
mod ended;

use pyo3::prelude::*;

pub(crate) use channel::{Channel, Method};
pub(crate) use ended::Ended;

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<channel::Channel>()?;
    module.add_class::<channel::AioChannel>()?;
    module.add_class::<channel::Method>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<ended::Ended>()
}
