//! asyncio: what both halves of `grpc.aio` are built on.
//!
//! ```text
//!   engine's threads                 |  the thread of an event loop
//!   push(tag, what), wakers ---> Queue ---> fileno() is readable: drain() --> callbacks by tag
//! ```

mod client;
mod queue;
mod server;

use pyo3::prelude::*;

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<client::LoopCall>()?;
    module.add_class::<client::LoopChannel>()?;
    module.add_class::<client::LoopConnection>()?;
    module.add_class::<queue::LoopQueue>()?;
    server::register(module)
}
