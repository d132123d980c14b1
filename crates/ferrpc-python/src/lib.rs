//! The extension module `grpc._ferrpc`: PyO3 glue between `ferrpc` and the package `grpc`, and
//! nothing else.
//!
//! Engine threads never attach to the interpreter: they hand over tags and bytes; serialisers and
//! handlers run on Python's own threads.

mod aio;
mod client;
mod completions;
mod contract;
mod credentials;
mod fork;
mod metadata;
mod metadata_limits;
mod protoc;
mod runtime;
mod server;
mod trace;
mod waiting;

use pyo3::prelude::*;

/// Registers everything in the module.
#[pymodule]
fn _ferrpc(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    trace::install();
    fork::register(module)?;
    contract::register(module)?;
    completions::register(module)?;
    aio::register(module)?;
    client::register(module)?;
    credentials::register(module)?;
    server::register(module)?;
    module.add_function(wrap_pyfunction!(metadata::is_legal_metadata, module)?)?;
    protoc::register(module)
}
