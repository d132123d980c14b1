//! The compiler behind `grpc_tools`.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use pyo3::prelude::*;

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(protoc, module)?)?;
    module.add_function(wrap_pyfunction!(python_module, module)?)
}

/// Runs protoc's command line; `arguments[0]` is the program's name.
///
/// Uses the process's own standard streams, as a C++ protoc does: what Python put in the place of
/// `sys.stdout` is not asked. Returns the exit status.
#[pyfunction]
fn protoc(py: Python<'_>, arguments: Vec<String>) -> i32 {
    py.detach(|| {
        let mut stdout = io::stdout();
        let status = ferrpc_codegen::protoc::main(
            &arguments,
            &mut Unbuffered,
            &mut stdout,
            &mut io::stderr(),
        );
        // Whoever reads the stream is gone, or it is closed: the files are what counts.
        let _ = stdout.flush();
        status
    })
}

/// The generated module of the messages, or of the services, of a file below one of `paths`.
///
/// Returns its text and nothing else, or nothing and what the compiler has to say.
#[pyfunction]
fn python_module(
    py: Python<'_>,
    name: &str,
    paths: Vec<PathBuf>,
    services: bool,
) -> (Option<String>, Option<String>) {
    match py.detach(|| ferrpc_codegen::protoc::python_module(name, &paths, services)) {
        Ok(text) => (Some(text), None),
        Err(report) => (None, Some(report)),
    }
}

/// Standard input without the buffer that Rust keeps for the whole process: what is read ahead
/// would be missing from Python's `sys.stdin`.
struct Unbuffered;

impl Read for Unbuffered {
    #[cfg(unix)]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use std::os::fd::AsFd;
        std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?).read(into)
    }

    #[cfg(not(unix))]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        io::stdin().read(into)
    }
}
