//! To be written: see the module of the same name in the package `grpc`.

use pyo3::prelude::*;

/// Registers this module's items.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
